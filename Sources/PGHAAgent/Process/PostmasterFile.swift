import Glibc

/// `postmaster.pid`, line by line. Source: PostgreSQL `pidfile.h`. Never written or removed by the agent: only the
/// server knows whether shared memory behind it is still attached.
struct PostmasterFile: Hashable, Sendable {
    var pid: pid_t
    var dataDirectory: String
    /// Seconds since 1970.
    var startSeconds: Int64
    /// `starting`, `stopping`, `ready`, `standby`; nil until written.
    var status: String?

    init?(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 3, let pid = pid_t(lines[0]), pid > 1, let start = Int64(lines[2]) else { return nil }
        self.pid = pid
        self.dataDirectory = String(lines[1])
        self.startSeconds = start
        let status = lines.count > 7 ? lines[7].filter { $0 != " " } : ""
        self.status = status.isEmpty ? nil : status
    }

    static func read(_ path: String) -> PostmasterFile? {
        guard let text = try? DurableFile.read(path) else { return nil }
        return PostmasterFile(text)
    }

    /// Whether the process that the file names is the postmaster of `data`: its working directory, and its start
    /// within 5 s of what it wrote (the file is written shortly after the start, and clocks are adjusted).
    func isAlive(data: String) -> Bool {
        guard ProcessTable.workingDirectory(self.pid) == data, let start = ProcessTable.startSeconds(self.pid) else {
            return false
        }
        return abs(start - self.startSeconds) <= 5
    }
}
