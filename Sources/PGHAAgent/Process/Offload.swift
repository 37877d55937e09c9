import Dispatch
import Glibc

/// Runs calls that may block (fsync, rename, /proc, statvfs) away from the cooperative threads.
enum Offload {
    private static let queue = DispatchQueue(label: "pgha.agent.blocking", attributes: .concurrent)

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
