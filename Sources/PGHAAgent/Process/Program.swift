import CPGHASystem
import Dispatch
import Glibc
import Synchronization

/// Runs one of PostgreSQL's programs to its end.
enum Program {
    struct Output: Hashable, Sendable {
        var status: Int32
        /// The last ``Program/kept`` bytes of each stream.
        var standardOutput: String
        var standardError: String

        /// The last lines of what it said, for people.
        var complaint: String {
            let text = self.standardError.isEmpty ? self.standardOutput : self.standardError
            return text.split(separator: "\n").suffix(5).joined(separator: " | ")
        }
    }

    /// Bytes kept of each stream: the end of pg_waldump's output tells what its gigabytes do not.
    static let kept = 256 * 1024

    /// Cancellation ends the program: SIGINT first, so that pg_basebackup tidies up, SIGKILL after 2 s.
    ///
    /// - Parameters:
    ///   - environment: goes over what every program gets.
    ///   - lines: gets each line of standard output at once.
    ///   - progress: gets each line of standard error (ended by newline or carriage return) at once.
    static func run(
        _ path: String, _ arguments: [String], passfile: String? = nil, environment: [String: String] = [:],
        lines: (@Sendable (String) -> Void)? = nil, progress: (@Sendable (String) -> Void)? = nil
    ) async throws -> Output {
        let output = try Pipe()
        let error = try Pipe()
        let pid: pid_t = try await Offload.run {
            let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
            defer { for file in [null, output.write, error.write] { close(file) } }
            do {
                return try Spawn.start(
                    path, arguments,
                    environment: Spawn.environment(passfile: passfile).merging(environment) { $1 },
                    streams: .init(input: null, output: output.write, error: error.write))
            } catch let failure {
                for file in [output.read, error.read] { close(file) }
                throw failure
            }
        }
        guard let process = ProcessHandle(pid: pid) else { throw SystemError("pidfd_open \(path)") }
        let isOver = Flag()
        return try await withTaskCancellationHandler {
            async let standardOutput = Self.drain(output.read, lines)
            async let standardError = Self.drain(error.read, progress)
            let result = Output(
                status: await process.waitForExit().status ?? -1,
                standardOutput: await standardOutput, standardError: await standardError)
            isOver.value.withLock { $0 = true }
            try Task.checkCancellation()
            return result
        } onCancel: {
            // The whole group (each program leads its own): pg_basebackup's child that streams WAL holds the pipes
            // open, and would go on without its parent.
            isOver.value.withLock { if !$0 { kill(-pid, SIGINT) } }
            DispatchQueue.global().asyncAfter(deadline: .now() + 2) {
                isOver.value.withLock { if !$0 { kill(-pid, SIGKILL) } }
            }
        }
    }

    /// Set once all of the program is over: from then on its number may be another's.
    private final class Flag: Sendable {
        let value = Mutex(false)
    }

    private struct Pipe {
        var read: Int32
        var write: Int32

        init() throws {
            var ends: [Int32] = [-1, -1]
            guard pgha_pipe(&ends) == 0 else { throw SystemError("pipe2") }
            self.read = ends[0]
            self.write = ends[1]
        }
    }

    /// Reads to the end and closes. One blocked thread for each stream while the program runs.
    private static func drain(_ descriptor: Int32, _ deliver: (@Sendable (String) -> Void)?) async -> String {
        await Offload.run {
            defer { close(descriptor) }
            var tail: [UInt8] = []
            var line: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(descriptor, &chunk, chunk.count)
                if count < 0 && errno == EINTR { continue }
                if count <= 0 { return String(decoding: tail.suffix(Self.kept), as: UTF8.self) }
                tail.append(contentsOf: chunk[..<count])
                if tail.count > 2 * Self.kept { tail.removeFirst(tail.count - Self.kept) }
                guard let deliver else { continue }
                for byte in chunk[..<count] {
                    if byte == 0x0A || byte == 0x0D {
                        if !line.isEmpty { deliver(String(decoding: line, as: UTF8.self)) }
                        line = []
                    } else {
                        line.append(byte)
                    }
                }
            }
        }
    }
}
