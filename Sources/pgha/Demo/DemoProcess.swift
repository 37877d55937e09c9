import CPGHASystem
import Dispatch
import FoundationEssentials
import Glibc
import PGHACore

/// One process behind a pidfd: a child of the demo, or what an earlier, killed demo left running.
final class DemoProcess: Sendable {
    let pid: pid_t
    private let descriptor: Int32

    /// Nil when there is no such process.
    init?(pid: pid_t) {
        let descriptor = pgha_pidfd_open(pid)
        guard descriptor >= 0 else { return nil }
        self.pid = pid
        self.descriptor = descriptor
    }

    deinit { close(self.descriptor) }

    /// Starts a program in a session of its own: the terminal's Ctrl-C reaches the demo alone, which stops its
    /// children in order. Output goes to the end of `log`.
    static func start(_ program: String, _ arguments: [String], log: String) throws -> DemoProcess {
        let output = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        let input = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer {
            close(output)
            close(input)
        }
        guard output >= 0, input >= 0 else { throw DemoIdentity.failure("write \(log)") }
        var argv = ([program] + arguments).map { strdup($0) } + [nil]
        var envp = ProcessInfo.processInfo.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        var pid: pid_t = 0
        errno = pgha_spawn(program, &argv, &envp, "/", input, output, output, &pid)
        guard errno == 0, let process = DemoProcess(pid: pid) else { throw DemoIdentity.failure("start \(program)") }
        return process
    }

    func signal(_ number: Int32) { _ = pgha_pidfd_send_signal(self.descriptor, number) }

    var hasEnded: Bool { pgha_wait_readable(self.descriptor, 0) == 1 }

    /// Waits for the end and reaps a child; false when it still runs after `limit`.
    ///
    /// A thread sleeps in poll(2): no cooperative thread is blocked.
    func waitForEnd(within limit: Duration? = nil) async -> Bool {
        let milliseconds = limit.map { Int32(clamping: $0.milliseconds) } ?? -1
        return await withCheckedContinuation { continuation in
            DispatchQueue(label: "pgha.demo.wait").async {
                let ended = pgha_wait_readable(self.descriptor, milliseconds) == 1
                var status: Int32 = 0
                if ended { _ = pgha_reap(self.descriptor, &status) }
                continuation.resume(returning: ended)
            }
        }
    }

    /// Asks it to end, and makes it after `limit`.
    func stop(within limit: Duration) async {
        self.signal(SIGTERM)
        if await self.waitForEnd(within: limit) { return }
        self.signal(SIGKILL)
        _ = await self.waitForEnd()
    }
}

/// Notes which processes the demo started, so that the next one can stop those that a killed demo left.
struct ProcessRecord: Codable {
    var pid: pid_t
    /// Clock ticks between boot and the process's start: with the pid, an identity. Source: proc(5) `stat`.
    var startTicks: UInt64

    enum CodingKeys: String, CodingKey {
        case pid
        case startTicks = "start_ticks"
    }

    static func write(_ process: DemoProcess, to path: String) {
        guard let ticks = self.startTicks(process.pid) else { return }
        let record = ProcessRecord(pid: process.pid, startTicks: ticks)
        try? Data(JSONText.line(record).utf8).write(to: URL(filePath: path), options: .atomic)
    }

    /// The process of the record, if it still runs.
    static func process(at path: String) -> DemoProcess? {
        guard let data = FileManager.default.contents(atPath: path),
            let record = try? JSONDecoder().decode(ProcessRecord.self, from: data),
            let process = DemoProcess(pid: record.pid), self.startTicks(record.pid) == record.startTicks
        else { return nil }
        return process
    }

    static func startTicks(_ pid: pid_t) -> UInt64? {
        guard let text = ProcessFiles.read("/proc/\(pid)/stat"), let close = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = text[text.index(after: close)...].split(separator: " ")
        return fields.count > 19 ? UInt64(fields[19]) : nil
    }
}

/// Files under `/proc`: their size says 0 and they come in pieces, so that Foundation reads only the first.
enum ProcessFiles {
    static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &piece, piece.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count == 0 ? String(decoding: bytes, as: UTF8.self) : nil }
            bytes += piece[..<count]
        }
    }
}
