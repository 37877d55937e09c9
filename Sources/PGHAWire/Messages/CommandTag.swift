/// What CommandComplete says of a command: its words, with a zero at the end.
public enum CommandTag {
    /// Whether the tag may be one that the other functions look for. Two bytes tell that of nearly all: `CREATE …`,
    /// `DROP …`, `DISCARD …`, `DEALLOCATE …`.
    @inlinable @inline(__always) public static func mayMatter(_ body: UnsafeRawBufferPointer) -> Bool {
        guard body.count > 1, let first = body.first else { return false }
        return first == UInt8(ascii: "D") || (first == UInt8(ascii: "C") && body[1] == UInt8(ascii: "R"))
    }

    /// Directly, or with what holds them.
    package static func changesTypes(_ body: UnsafeRawBufferPointer) -> Bool {
        Self.typeChanges.contains { Self.equals(body, $0) }
    }

    private static let typeChanges: [StaticString] = [
        "CREATE TYPE", "DROP TYPE", "CREATE DOMAIN", "DROP DOMAIN", "CREATE SCHEMA", "DROP SCHEMA", "CREATE EXTENSION",
        "DROP EXTENSION", "DROP OWNED",
    ]

    package static func forgetsStatements(_ body: UnsafeRawBufferPointer) -> Bool {
        Self.equals(body, "DEALLOCATE ALL") || Self.equals(body, "DISCARD ALL")
    }

    private static func equals(_ body: UnsafeRawBufferPointer, _ tag: StaticString) -> Bool {
        guard body.count == tag.utf8CodeUnitCount + 1 else { return false }
        for index in 0..<tag.utf8CodeUnitCount where body[index] != tag.utf8Start[index] { return false }
        return true
    }
}
