internal import Glibc

/// Reads from libpq's text why a connection could not be opened: before version 17 (and in part after) libpq
/// tells neither errno nor SQLSTATE of a failed connection in any other way.
///
/// The SQLSTATE is in the text because the connection is opened with `PQERRORS_VERBOSE`. The texts of errno come
/// from strerror(3), as libpq's do, so a translation is the same on both sides.
enum ConnectFailure {
    /// `text` may hold several attempts, one per address: what proves that a server answered goes first, and
    /// "refused" last, since only it makes a server look dead at once.
    static func classify(_ text: String, needsPassword: Bool) -> PostgresError {
        if let (code, message) = self.serverError(in: text) {
            return PostgresError(code.hasPrefix("28") ? .authentication : .server, sqlstate: code, message: message)
        }
        let line = self.oneLine(text)
        if needsPassword || self.contains(text, ["fe_sendauth", "authentication", "SCRAM", "channel binding"]) {
            return PostgresError(.authentication, message: line)
        }
        if self.contains(text, ["SSL", "certificate", "private key"]) { return PostgresError(.tls, message: line) }
        // EAGAIN: the backlog of a Unix socket is full, as with a stopped postmaster.
        if self.contains(text, errors: [ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, EAGAIN]) {
            return PostgresError(.timedOut, message: line)
        }
        if self.contains(text, ["server closed the connection"])
            || self.contains(text, errors: [ECONNRESET, EPIPE, ECONNABORTED])
        {
            return PostgresError(.reset, message: line)
        }
        if self.contains(text, errors: [ECONNREFUSED, ENOENT]) { return PostgresError(.refused, message: line) }
        if self.contains(text, ["could not translate host name", "could not parse network address"]) {
            return PostgresError(.cannotResolve, message: line)
        }
        return PostgresError(.client, message: line)
    }

    /// The last `SEVERITY:  XXXXX: message` in the text: colon, two blanks, five letters or digits, colon.
    private static func serverError(in text: String) -> (code: String, message: String)? {
        for line in text.split(separator: "\n").reversed() {
            let bytes = Array(line.utf8)
            guard bytes.count > 9 else { continue }
            for start in 0..<(bytes.count - 8) {
                guard bytes[start..<(start + 3)].elementsEqual(":  ".utf8), bytes[start + 8] == UInt8(ascii: ":"),
                    bytes[(start + 3)..<(start + 8)].allSatisfy(self.isCodeByte)
                else { continue }
                let message = bytes[(start + 9)...].drop { $0 == UInt8(ascii: " ") }
                return (
                    String(decoding: bytes[(start + 3)..<(start + 8)], as: UTF8.self),
                    String(decoding: message, as: UTF8.self)
                )
            }
        }
        return nil
    }

    private static func isCodeByte(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    private static func contains(_ text: String, _ parts: [String]) -> Bool { parts.contains { text.contains($0) } }

    private static func contains(_ text: String, errors: [Int32]) -> Bool {
        errors.contains { text.contains(String(cString: strerror($0))) }
    }

    static func oneLine(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).map { $0.drop { $0 == "\t" || $0 == " " } }.joined(separator: "; ")
    }
}
