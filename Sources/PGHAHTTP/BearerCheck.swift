/// Whether a request bears the cluster's token.
package enum BearerCheck {
    /// In time that depends on the lengths alone. `header` is the value of `Authorization`.
    package static func bears(_ header: String?, token: String) -> Bool {
        let wanted = Array("Bearer \(token)".utf8)
        let given = Array((header ?? "").utf8)
        var difference = UInt8(given.count == wanted.count ? 0 : 1)
        for index in wanted.indices { difference |= wanted[index] ^ (index < given.count ? given[index] : 0xFF) }
        return difference == 0
    }
}
