import FoundationEssentials
import Glibc

/// Standard output or standard error. Writes are not buffered: output that goes to a pipe is seen when it happens.
struct Terminal: Sendable {
    static let standardOutput = Terminal(descriptor: STDOUT_FILENO)
    static let standardError = Terminal(descriptor: STDERR_FILENO)

    let descriptor: Int32

    var isTerminal: Bool { isatty(self.descriptor) == 1 }

    /// Colour only on a terminal, and not where it is not wanted. Source: https://no-color.org
    var hasColour: Bool {
        let environment = ProcessInfo.processInfo.environment
        return self.isTerminal && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
    }

    /// Columns and rows; 80 × 24 when the terminal does not say.
    var size: (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(self.descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Writes all of `text`; what a closed pipe does not take is lost.
    func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(self.descriptor, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { return }
            bytes = bytes.dropFirst(written)
        }
    }

    /// Seconds that local time is ahead of UTC at `unixSeconds`.
    static func offsetFromUTC(at unixSeconds: Int) -> Int {
        var time = time_t(unixSeconds)
        var local = tm()
        localtime_r(&time, &local)
        return Int(local.tm_gmtoff)
    }
}
