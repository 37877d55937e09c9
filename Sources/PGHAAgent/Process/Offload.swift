import Dispatch
import Glibc

/// Runs calls that may block (fsync, rename, /proc, statvfs, the output of a program) away from the cooperative threads.
///
/// Each on a serial queue of its own, which libdispatch gives a thread at once. One concurrent queue shares a pool with as
/// many threads as the machine has processors; when they block, one is added each second. Measured on two cores with six
/// calls that sleep: a seventh began after 2,950 ms, and after 0.3 ms this way. A fence must not wait for pg_basebackup.
enum Offload {
    private static var queue: DispatchQueue { DispatchQueue(label: "pgha.agent.blocking") }

    static func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            self.queue.async { continuation.resume(with: Result { try body() }) }
        }
    }

    static func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            self.queue.async { continuation.resume(returning: body()) }
        }
    }
}

/// A system call that failed.
struct SystemError: Error, Hashable, CustomStringConvertible {
    /// The call and its subject: `rename /a/b`.
    var call: String
    var code: Int32

    init(_ call: String, code: Int32 = errno) {
        self.call = call
        self.code = code
    }

    var description: String { "\(self.call): \(String(cString: strerror(self.code)))" }
}
