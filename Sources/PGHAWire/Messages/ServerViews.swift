// Bodies of messages that servers send, read in place: what the views point to is valid as long as the bytes are.
// Each initialiser gives nil where a length does not fit the body.

/// ErrorResponse and NoticeResponse.
package struct ErrorView {
    /// nil where the server sent none or one that is no SQLSTATE (CVE-2026-6666: never count on it).
    package private(set) var state: SQLState?
    /// `V`, which is never translated, or `S` from servers before 9.6.
    package private(set) var severity: UnsafeRawBufferPointer?
    package private(set) var message: UnsafeRawBufferPointer?
    package private(set) var detail: UnsafeRawBufferPointer?
    package private(set) var hint: UnsafeRawBufferPointer?
    /// Of PostgreSQL's source: who says it, where texts are translated.
    package private(set) var routine: UnsafeRawBufferPointer?

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        while true {
            guard let code = reader.byte() else { return nil }
            if code == 0 { break }
            guard let text = reader.string() else { return nil }
            switch code {
            case UInt8(ascii: "V"): self.severity = text
            case UInt8(ascii: "S"): self.severity = self.severity ?? text
            case UInt8(ascii: "C"): self.state = SQLState(text)
            case UInt8(ascii: "M"): self.message = text
            case UInt8(ascii: "D"): self.detail = text
            case UInt8(ascii: "H"): self.hint = text
            case UInt8(ascii: "R"): self.routine = text
            // Readers must skip what they do not know (manual, "Error and Notice Message Fields").
            default: break
            }
        }
        guard reader.remaining == 0 else { return nil }
    }

    /// `pg_terminate_backend`, or an orderly stop of the server, but neither its crash nor an immediate stop. Source:
    /// PostgreSQL, `ProcessInterrupts` in `postgres.c`.
    package var isAdministratorsCommand: Bool {
        self.state == .adminShutdown && self.routine.map { $0.equals("ProcessInterrupts") } ?? false
    }

    /// Whether the server closes the connection with it.
    package var isFatal: Bool {
        self.severity.map { $0.equals("FATAL") || $0.equals("PANIC") } ?? false
    }
}

package struct ParameterStatusView {
    package let name: UnsafeRawBufferPointer
    package let value: UnsafeRawBufferPointer

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let name = reader.string(), let value = reader.string(), reader.remaining == 0 else { return nil }
        self.name = name
        self.value = value
    }
}

/// What a server wants to see before it lets the pooler in.
package enum AuthenticationRequest {
    case ok
    case cleartextPassword
    case md5Password(salt: UInt32)
    /// Those of the offered mechanisms that are known.
    case sasl([SASLMechanism])
    case saslContinue(UnsafeRawBufferPointer)
    case saslFinal(UnsafeRawBufferPointer)
    /// Kerberos, GSSAPI, SSPI.
    case unsupported(code: UInt32)

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let code = reader.integer(UInt32.self) else { return nil }
        switch code {
        case AuthenticationCode.ok, AuthenticationCode.cleartext:
            guard reader.remaining == 0 else { return nil }
            self = code == AuthenticationCode.ok ? .ok : .cleartextPassword
        case AuthenticationCode.md5:
            guard let salt = reader.integer(UInt32.self), reader.remaining == 0 else { return nil }
            self = .md5Password(salt: salt)
        case AuthenticationCode.sasl:
            guard let mechanisms = Self.mechanisms(&reader) else { return nil }
            self = .sasl(mechanisms)
        case AuthenticationCode.saslContinue: self = .saslContinue(reader.rest)
        case AuthenticationCode.saslFinal: self = .saslFinal(reader.rest)
        default: self = .unsupported(code: code)
        }
    }

    private static func mechanisms(_ reader: inout ByteReader) -> [SASLMechanism]? {
        var known: [SASLMechanism] = []
        while let name = reader.string() {
            if name.isEmpty { return reader.remaining == 0 ? known : nil }
            if let mechanism = SASLMechanism(name) { known.append(mechanism) }
        }
        return nil
    }
}

package struct BackendKeyDataView {
    package let processID: UInt32
    package let key: UnsafeRawBufferPointer

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let processID = reader.integer(UInt32.self),
            StartupParser.cancelKeyLengths.contains(reader.remaining)
        else { return nil }
        self.processID = processID
        self.key = reader.rest
    }
}

/// NegotiateProtocolVersion from a server.
package struct NegotiationView {
    package let newestMinor: UInt16
    package let unknownOptions: [WireText]

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let version = reader.integer(UInt32.self), let count = reader.integer(UInt32.self) else { return nil }
        var options: [WireText] = []
        // Each takes a byte at least: a count that lies costs nothing.
        guard count <= reader.remaining else { return nil }
        for _ in 0..<count {
            guard let option = reader.string() else { return nil }
            options.append(WireText(option))
        }
        guard reader.remaining == 0 else { return nil }
        self.newestMinor = UInt16(truncatingIfNeeded: version)
        self.unknownOptions = options
    }
}

package struct NotificationView {
    package let processID: UInt32
    package let channel: UnsafeRawBufferPointer
    package let payload: UnsafeRawBufferPointer

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let processID = reader.integer(UInt32.self), let channel = reader.string(),
            let payload = reader.string(), reader.remaining == 0
        else { return nil }
        self.processID = processID
        self.channel = channel
        self.payload = payload
    }
}

/// DataRow, for the pooler's own queries.
package struct DataRowView {
    /// nil is NULL.
    package let values: [UnsafeRawBufferPointer?]

    package init?(_ body: UnsafeRawBufferPointer) {
        var reader = ByteReader(body)
        guard let count = reader.integer(UInt16.self) else { return nil }
        var values: [UnsafeRawBufferPointer?] = []
        for _ in 0..<count {
            guard let length = reader.integer(Int32.self) else { return nil }
            if length == -1 {
                values.append(nil)
            } else if let value = reader.bytes(Int(length)) {
                values.append(value)
            } else {
                return nil
            }
        }
        guard reader.remaining == 0 else { return nil }
        self.values = values
    }
}
