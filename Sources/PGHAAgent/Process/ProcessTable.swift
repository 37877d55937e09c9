import CPGHASystem
import Glibc

/// Reads of `/proc`. All calls block for a moment: one readlink(2) for each process of the machine.
enum ProcessTable {
    /// Processes whose working directory is `directory`: a postmaster and all its children have the data
    /// directory as theirs, so this finds a backend that outlived its postmaster and still holds shared memory.
    static func processes(workingIn directory: String) -> [pid_t] {
        self.all { self.workingDirectory($0) == directory }
    }

    /// Processes of this user that have `argument` as a part of their command line.
    static func processes(mentioning argument: String) -> [pid_t] {
        self.all { pid in
            guard pid != getpid(), let line = try? DurableFile.read("/proc/\(pid)/cmdline") else { return false }
            return line.split(separator: "\0").contains { $0.contains(argument) }
        }
    }

    static func workingDirectory(_ pid: pid_t) -> String? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { bytes in
            readlink("/proc/\(pid)/cwd", bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }

    /// Field 4 of proc(5) `stat`; nil when the process is gone.
    static func parent(_ pid: pid_t) -> pid_t? {
        guard let text = try? DurableFile.read("/proc/\(pid)/stat"), let close = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = text[text.index(after: close)...].split(separator: " ")
        return fields.count > 1 ? pid_t(fields[1]) : nil
    }

    /// Whether the process has ended without having been waited for.
    static func isZombie(_ pid: pid_t) -> Bool {
        guard let text = try? DurableFile.read("/proc/\(pid)/stat"), let close = text.lastIndex(of: ")") else {
            return false
        }
        return text[text.index(after: close)...].hasPrefix(" Z")
    }

    /// When the process started, seconds since 1970; nil when it is gone.
    static func startSeconds(_ pid: pid_t) -> Int64? {
        guard let ticks = self.startTicks(pid), let boot = self.bootSeconds else { return nil }
        return boot + ticks / Int64(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// When the process started, in clock ticks since boot; nil when it is gone. Field 22 of proc(5) `stat`; the name
    /// before it may hold blanks and parentheses.
    static func startTicks(_ pid: pid_t) -> Int64? {
        guard let text = try? DurableFile.read("/proc/\(pid)/stat"), let close = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = text[text.index(after: close)...].split(separator: " ")
        return fields.count > 19 ? Int64(fields[19]) : nil
    }

    private static var bootSeconds: Int64? {
        guard let text = try? DurableFile.read("/proc/stat") else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("btime ") }
        return line.flatMap { Int64($0.dropFirst(6)) }
    }

    private static func all(where matches: (pid_t) -> Bool) -> [pid_t] {
        ((try? DurableFile.list("/proc")) ?? []).compactMap { pid_t($0) }.filter(matches)
    }
}
