// Bodies of messages that clients send, read in place: what the views point to is valid as long as the bytes are.
// Each initialiser gives nil where a length does not fit the body.

/// Query: one string.
package struct QueryView {
    /// Without its zero.
    package let text: UnsafeRawBufferPointer

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let text = reader.string(), reader.remaining == 0 else { return nil }
        self.text = text
    }
}

package struct ParseView {
    /// Empty for the unnamed statement.
    package let name: UnsafeRawBufferPointer
    package let text: UnsafeRawBufferPointer
    /// OIDs; 0 is left to the server.
    package let parameterTypes: WireNumbers

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let name = reader.string(), let text = reader.string(), let count = reader.integer(UInt16.self),
            let types = reader.bytes(Int(count) * 4), reader.remaining == 0
        else { return nil }
        self.name = name
        self.text = text
        self.parameterTypes = WireNumbers(types)
    }

    /// What two statements must share to share a plan: the text's zero, the count of types and the types. The name in
    /// front is the only part that a pooler changes.
    package static func content(of body: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        var reader = ByteReader(body)
        return reader.string() == nil ? nil : reader.rest
    }
}

package struct BindView {
    package let portal: UnsafeRawBufferPointer
    package let statement: UnsafeRawBufferPointer
    /// Formats, values and result formats, unread: they are the server's to judge.
    package let rest: UnsafeRawBufferPointer

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let portal = reader.string(), let statement = reader.string() else { return nil }
        self.portal = portal
        self.statement = statement
        self.rest = reader.rest
    }
}

/// Describe and Close.
package struct DescribeView {
    package let object: DescribedObject
    package let name: UnsafeRawBufferPointer

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let object = reader.byte().flatMap(DescribedObject.init(rawValue:)), let name = reader.string(),
            reader.remaining == 0
        else { return nil }
        self.object = object
        self.name = name
    }
}

package struct ExecuteView {
    package let portal: UnsafeRawBufferPointer
    /// 0: all rows.
    package let limit: UInt32

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let portal = reader.string(), let limit = reader.integer(UInt32.self), reader.remaining == 0 else {
            return nil
        }
        self.portal = portal
        self.limit = limit
    }
}

/// A password in the clear or the answer to an MD5 request.
package struct PasswordView {
    package let password: UnsafeRawBufferPointer

    /// An empty password is refused, as by PostgreSQL.
    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let password = reader.string(), !password.isEmpty, reader.remaining == 0 else { return nil }
        self.password = password
    }
}

package struct SASLInitialResponseView {
    /// nil: one that was not offered.
    package let mechanism: SASLMechanism?
    package let data: UnsafeRawBufferPointer

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        // -1, "no data", is lawful in the protocol and of no use in SCRAM.
        guard let name = reader.string(), let length = reader.integer(Int32.self),
            let data = reader.bytes(Int(length)), reader.remaining == 0
        else { return nil }
        self.mechanism = SASLMechanism(name)
        self.data = data
    }
}
