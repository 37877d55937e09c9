/// Reads the comma-separated attributes of SCRAM's messages: `r=nonce,s=salt`.
struct SCRAMAttributes {
    private let text: ArraySlice<UInt8>
    /// Where the next attribute begins.
    private(set) var position: Int

    init(_ text: [UInt8], from position: Int = 0) {
        self.text = text[...]
        self.position = position
    }

    var isAtEnd: Bool { self.position >= self.text.endIndex }

    /// The value of the next attribute, which must be `name`; nil if it is another.
    mutating func value(_ name: Unicode.Scalar) -> ArraySlice<UInt8>? {
        guard let next = self.next(), next.name == UInt8(ascii: name) else { return nil }
        return next.value
    }

    /// nil at the end, or where no `letter=` begins.
    mutating func next() -> (name: UInt8, value: ArraySlice<UInt8>)? {
        guard self.position + 2 <= self.text.endIndex, self.text[self.position + 1] == UInt8(ascii: "=") else {
            return nil
        }
        let name = self.text[self.position]
        guard name | 0x20 >= UInt8(ascii: "a"), name | 0x20 <= UInt8(ascii: "z") else { return nil }
        let value = self.text[(self.position + 2)...].prefix { $0 != UInt8(ascii: ",") }
        // Past the comma; an attribute must follow one, so that `a=b,` is none.
        self.position = value.endIndex + 1
        if value.endIndex == self.text.endIndex - 1 { return nil }
        return (name, value)
    }

    /// Printable ASCII without the comma (RFC 5802, section 7).
    static func isNonce(_ bytes: ArraySlice<UInt8>) -> Bool {
        !bytes.isEmpty && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ",") }
    }
}

/// Why an exchange ended.
package enum SCRAMFailure: Error, Equatable, Sendable {
    /// A message that is not as RFC 5802 wants it.
    case malformed(String)
    case unsupported(String)
    /// The client believes that the server cannot bind to the channel, which it can: somebody may have removed the
    /// offer on the way.
    case bindingDowngraded
    /// Bound to another certificate: somebody is in the middle.
    case bindingMismatch
    /// Wrong password, or no such user.
    case wrongProof
    /// The server does not know the password either.
    case wrongServerSignature
    /// The server's nonce does not continue the client's.
    case wrongNonce
    /// More rounds than the limit: a hostile server could keep a pooler busy.
    case tooManyIterations(Int)
    /// The verifier's salt or cost has changed since the keys were learned: learn them again.
    case keysOutdated
    /// The server's `e=…`.
    case refused(String)

    /// For clients of the pooler.
    package var sqlState: SQLState {
        switch self {
        case .unsupported: .featureNotSupported
        case .bindingDowngraded, .bindingMismatch: .invalidAuthorization
        case .wrongProof: .invalidPassword
        default: .protocolViolation
        }
    }
}
