/// What ReadyForQuery says of the transaction.
public enum TransactionStatus: UInt8, Sendable, BitwiseCopyable {
    /// `I`: between transactions.
    case idle = 0x49
    /// `T`: inside of one.
    case inTransaction = 0x54
    /// `E`: inside of one that has failed.
    case failed = 0x45
}

/// What a server asks for, or says, about authentication. Codes: PostgreSQL manual, "Message Formats".
enum AuthenticationCode {
    static let ok: UInt32 = 0
    static let cleartext: UInt32 = 3
    static let md5: UInt32 = 5
    static let sasl: UInt32 = 10
    static let saslContinue: UInt32 = 11
    static let saslFinal: UInt32 = 12
}

/// What the pooler says as a server.
extension WireBuffer {
    // MARK: Log-in

    package mutating func authenticationOk() { self.authentication(AuthenticationCode.ok) { _ in } }

    package mutating func authenticationCleartextPassword() {
        self.authentication(AuthenticationCode.cleartext) { _ in }
    }

    package mutating func authenticationMD5Password(salt: UInt32) {
        self.authentication(AuthenticationCode.md5) { $0.append(salt) }
    }

    package mutating func authenticationSASL(mechanisms: [SASLMechanism]) {
        self.authentication(AuthenticationCode.sasl) { buffer in
            for mechanism in mechanisms { buffer.appendString(mechanism.rawValue) }
            buffer.append(UInt8(0))
        }
    }

    package mutating func authenticationSASLContinue(_ data: [UInt8]) {
        self.authentication(AuthenticationCode.saslContinue) { $0.append(data) }
    }

    package mutating func authenticationSASLFinal(_ data: [UInt8]) {
        self.authentication(AuthenticationCode.saslFinal) { $0.append(data) }
    }

    private mutating func authentication(_ code: UInt32, _ body: (inout WireBuffer) -> Void) {
        self.message(BackendMessage.authentication) { buffer in
            buffer.append(code)
            body(&buffer)
        }
    }

    package mutating func parameterStatus(_ name: WireText, _ value: WireText) {
        self.message(BackendMessage.parameterStatus) { buffer in
            buffer.appendString(name)
            buffer.appendString(value)
        }
    }

    /// `key`: 4 bytes for clients that speak 3.0, up to 256 for those of 3.2.
    package mutating func backendKeyData(processID: UInt32, key: [UInt8]) {
        precondition(StartupParser.cancelKeyLengths.contains(key.count))
        self.message(BackendMessage.backendKeyData) { buffer in
            buffer.append(processID)
            buffer.append(key)
        }
    }

    package mutating func negotiateProtocolVersion(_ negotiation: ProtocolNegotiation) {
        self.message(BackendMessage.negotiateProtocolVersion) { buffer in
            // PostgreSQL 18 sends the whole version, older servers the minor one; libpq reads the low half of both.
            buffer.append(ProtocolVersion(major: 3, minor: negotiation.newestMinor).word)
            buffer.append(UInt32(negotiation.unknownOptions.count))
            for option in negotiation.unknownOptions { buffer.appendString(option) }
        }
    }

    package mutating func readyForQuery(_ status: TransactionStatus) {
        self.message(BackendMessage.readyForQuery) { $0.append(status.rawValue) }
    }

    // MARK: Results, for the admin console

    /// Columns of type text, or `bigint` where they are said to hold numbers.
    package mutating func rowDescription(columns: [String], isNumber: (String) -> Bool = { _ in false }) {
        self.message(BackendMessage.rowDescription) { buffer in
            buffer.append(UInt16(columns.count))
            for column in columns {
                buffer.appendString(column)
                // No table, no column number there.
                buffer.append(UInt32(0))
                buffer.append(UInt16(0))
                let isBigint = isNumber(column)
                buffer.append(isBigint ? Self.bigintType : Self.textType)
                // Text is of varying length. No modifier, text format.
                buffer.append(Int16(isBigint ? 8 : -1))
                buffer.append(Int32(-1))
                buffer.append(UInt16(0))
            }
        }
    }

    /// `pg_type.oid` of text.
    private static let textType: UInt32 = 25

    /// `pg_type.oid` of bigint.
    private static let bigintType: UInt32 = 20

    /// nil is NULL.
    package mutating func dataRow(_ values: [String?]) {
        self.message(BackendMessage.dataRow) { buffer in
            buffer.append(UInt16(values.count))
            for value in values {
                guard let value else {
                    buffer.append(Int32(-1))
                    continue
                }
                buffer.append(Int32(value.utf8.count))
                buffer.append(value)
            }
        }
    }

    package mutating func commandComplete(_ tag: String) {
        self.message(BackendMessage.commandComplete) { $0.appendString(tag) }
    }
}
