/// A node's name in the cluster: a server and the agent beside it.
///
/// Lower-case letters, digits and `_`, starting with a letter, at most 40 bytes: it becomes part of slot
/// names (`[a-z0-9_]`, 63 bytes; PostgreSQL manual, "Replication Slots") and of `application_name`.
package struct NodeName: Hashable, Comparable, Sendable, Codable, CustomStringConvertible, CodingKeyRepresentable {
    package let text: String

    package init?(_ text: String) {
        guard let first = text.utf8.first, (0x61...0x7A).contains(first), text.utf8.count <= 40,
            text.utf8.allSatisfy({ (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F })
        else { return nil }
        self.text = text
    }

    package static func < (a: NodeName, b: NodeName) -> Bool { a.text < b.text }

    package var description: String { self.text }

    /// The physical slot that this node streams from, on whichever server it follows.
    package var slotName: String { Self.slotPrefix + self.text }

    /// Slots with it are ours: they are made, moved and dropped without asking.
    package static let slotPrefix = "pgha_"

    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let name = NodeName(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not a node name: \(text)"))
        }
        self = name
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.text)
    }

    package var codingKey: any CodingKey { NameKey(stringValue: self.text) }

    package init?<T: CodingKey>(codingKey: T) { self.init(codingKey.stringValue) }

    private struct NameKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}

/// The `application_name` of one follow: the node's name and a random suffix, new with every follow.
///
/// The suffix makes a name an identity: a clone with copied settings, or a walsender of an earlier follow,
/// never satisfies the list that holds the current one (DESIGN section 4).
package struct ReplicationName: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    package let node: NodeName
    package let suffix: UInt64
    /// As the server knows it. Made once: every look at the walsenders compares it.
    package let description: String

    package init(node: NodeName, suffix: UInt64) {
        self.node = node
        self.suffix = suffix
        self.description = "\(node).\(Claim.hexadecimal(suffix))"
    }

    /// Parses `node.0123456789abcdef`; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let node = NodeName(String(parts[0])), parts[1].utf8.count == 16,
            let suffix = UInt64(parts[1], radix: 16)
        else { return nil }
        self.init(node: node, suffix: suffix)
    }

    package static func < (a: ReplicationName, b: ReplicationName) -> Bool {
        (a.node, a.suffix) < (b.node, b.suffix)
    }

    package static func == (a: ReplicationName, b: ReplicationName) -> Bool { (a.node, a.suffix) == (b.node, b.suffix) }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.node)
        hasher.combine(self.suffix)
    }

    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let name = ReplicationName(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not a replication name: \(text)"))
        }
        self = name
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.description)
    }
}
