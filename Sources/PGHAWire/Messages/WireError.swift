/// An error or a notice as clients see it.
package struct WireError: Error, Hashable, Sendable {
    package enum Severity: String, Hashable, Sendable {
        case error = "ERROR"
        /// The connection ends with it.
        case fatal = "FATAL"
        case panic = "PANIC"
        case warning = "WARNING"
        case notice = "NOTICE"
        case info = "INFO"
        case log = "LOG"
        case debug = "DEBUG"
    }

    package var severity: Severity
    package var state: SQLState
    package var message: String
    package var detail: String?
    package var hint: String?

    package init(
        _ severity: Severity, _ state: SQLState, _ message: String, detail: String? = nil, hint: String? = nil
    ) {
        self.severity = severity
        self.state = state
        self.message = message
        self.detail = detail
        self.hint = hint
    }
}

extension WireBuffer {
    package mutating func errorResponse(_ error: WireError) { self.report(BackendMessage.errorResponse, error) }

    package mutating func noticeResponse(_ notice: WireError) { self.report(BackendMessage.noticeResponse, notice) }

    private mutating func report(_ type: UInt8, _ error: WireError) {
        self.message(type) { buffer in
            // S may be translated, V never is: libpq wants V, drivers older than 9.6 know S only.
            buffer.field("S", error.severity.rawValue)
            buffer.field("V", error.severity.rawValue)
            buffer.append(UInt8(ascii: "C"))
            buffer.append(error.state.bytes)
            buffer.append(UInt8(0))
            buffer.field("M", error.message)
            if let detail = error.detail { buffer.field("D", detail) }
            if let hint = error.hint { buffer.field("H", hint) }
            buffer.append(UInt8(0))
        }
    }

    private mutating func field(_ code: Unicode.Scalar, _ text: String) {
        self.append(UInt8(ascii: code))
        self.appendString(text)
    }

    /// "String" of the protocol from bytes of any encoding; a zero inside is left out, as it would end it early.
    package mutating func appendString(_ text: WireText) {
        for byte in text.bytes where byte != 0 { self.append(byte) }
        self.append(UInt8(0))
    }
}
