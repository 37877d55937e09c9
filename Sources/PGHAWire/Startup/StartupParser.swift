/// Reads one packet without a type byte.
package enum StartupParser {
    /// PostgreSQL's own cap (`MAX_STARTUP_PACKET_LENGTH`): what nobody has authenticated for costs no more memory.
    package static let maximumLength: UInt32 = 10_000
    /// Length word and code.
    static let minimumLength: UInt32 = 8

    static let sslRequestCode: UInt32 = 1234 << 16 | 5679
    static let gssEncryptionRequestCode: UInt32 = 1234 << 16 | 5680
    static let cancelRequestCode: UInt32 = 1234 << 16 | 5678
    /// PostgreSQL 18's `MAX_CANCEL_KEY_LENGTH`, and what every server before it sends.
    package static let cancelKeyLengths = 4...256

    /// The bytes of the packet that `bytes` begin with, the length word included; nil while that word is incomplete.
    package static func length(_ bytes: UnsafeRawBufferPointer) throws(StartupProblem) -> Int? {
        var reader = ByteReader(bytes)
        guard let length = reader.integer(UInt32.self) else { return nil }
        guard length >= Self.minimumLength, length <= Self.maximumLength else { throw .invalidLength(length) }
        return Int(length)
    }

    /// `packet` is whole, from its length word to its end.
    package static func parse(_ packet: UnsafeRawBufferPointer) throws(StartupProblem) -> StartupPacket {
        var reader = ByteReader(packet)
        guard let length = reader.integer(UInt32.self), Int(length) == packet.count,
            let code = reader.integer(UInt32.self)
        else { throw .invalidLength(UInt32(clamping: packet.count)) }
        switch code {
        case Self.sslRequestCode:
            guard reader.remaining == 0 else { throw .invalidRequest }
            return .sslRequest
        case Self.gssEncryptionRequestCode:
            guard reader.remaining == 0 else { throw .invalidRequest }
            return .gssEncryptionRequest
        case Self.cancelRequestCode:
            return .cancel(try Self.cancelRequest(&reader))
        default:
            let version = ProtocolVersion(major: UInt16(code >> 16), minor: UInt16(truncatingIfNeeded: code))
            guard version.major == 3 else { throw .unsupportedVersion(version) }
            return .startup(try Self.startup(version, &reader))
        }
    }

    private static func cancelRequest(_ reader: inout ByteReader) throws(StartupProblem) -> CancelRequest {
        guard let processID = reader.integer(UInt32.self) else { throw .invalidCancelKeyLength(0) }
        guard Self.cancelKeyLengths.contains(reader.remaining) else {
            throw .invalidCancelKeyLength(reader.remaining)
        }
        return CancelRequest(processID: processID, key: Array(reader.rest))
    }

    private static func startup(
        _ version: ProtocolVersion, _ reader: inout ByteReader
    ) throws(StartupProblem) -> StartupMessage {
        var message = StartupMessage(user: "", database: "")
        message.version = version
        while true {
            guard let name = reader.string() else { throw .unterminated }
            // An empty name is the end, and nothing may follow.
            if name.isEmpty { break }
            guard let value = reader.string() else { throw .unterminated }
            try Self.take(name, value, into: &message)
        }
        guard reader.remaining == 0 else { throw .unterminated }
        guard !message.user.isEmpty else { throw .missingUser }
        if message.database.isEmpty { message.database = message.user }
        return message
    }

    /// Of a name that comes twice the last value counts, as in PostgreSQL.
    private static func take(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, into message: inout StartupMessage
    ) throws(StartupProblem) {
        if name.equals("user") {
            message.user = WireText(value)
        } else if name.equals("database") {
            message.database = WireText(value)
        } else if name.equals("options") {
            message.options = WireText(value)
            do { message.optionSettings = try StartupOptions.settings(in: value) } catch { throw .options(error) }
        } else if name.equals("replication") {
            message.replication = try Self.replication(value)
        } else if name.starts(with: "_pq_.".utf8) {
            message.protocolOptions.append(WireText(name))
        } else {
            message.parameters.append(StartupMessage.Parameter(WireText(name), WireText(value)))
        }
    }

    private static func replication(
        _ value: UnsafeRawBufferPointer
    ) throws(StartupProblem) -> StartupMessage.Replication {
        if value.equals("database") { return .logical }
        guard let isOn = BooleanText.value(of: value) else { throw .invalidReplication(WireText(value)) }
        return isOn ? .physical : .none
    }
}

/// PostgreSQL's spellings of true and false.
enum BooleanText {
    /// `parse_bool`: any beginning of true, false, yes, no; `on`, `off` or `of`; 1, 0.
    static func value(of text: UnsafeRawBufferPointer) -> Bool? {
        guard let first = text.first?.asciiLowercased else { return nil }
        switch first {
        case UInt8(ascii: "t"): return Self.begins(text, "true") ? true : nil
        case UInt8(ascii: "f"): return Self.begins(text, "false") ? false : nil
        case UInt8(ascii: "y"): return Self.begins(text, "yes") ? true : nil
        case UInt8(ascii: "n"): return Self.begins(text, "no") ? false : nil
        case UInt8(ascii: "o") where text.count >= 2:
            return text.equalsIgnoringCase("on") ? true : Self.begins(text, "off") ? false : nil
        case UInt8(ascii: "1"): return text.count == 1 ? true : nil
        case UInt8(ascii: "0"): return text.count == 1 ? false : nil
        default: return nil
        }
    }

    private static func begins(_ text: UnsafeRawBufferPointer, _ word: StaticString) -> Bool {
        guard text.count <= word.utf8CodeUnitCount else { return false }
        for index in 0..<text.count where text[index].asciiLowercased != word.utf8Start[index] { return false }
        return true
    }
}
