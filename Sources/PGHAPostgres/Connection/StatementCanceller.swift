internal import CLibpq
internal import Dispatch
internal import Glibc
internal import Synchronization

/// Sends cancel requests on threads of its own: `PQcancel` opens a connection and reads until the server closes
/// it, so against a frozen server it blocks until that is thawed.
final class StatementCanceller: Sendable {
    static let shared = StatementCanceller()

    /// Requests that may hang at the same time; beyond that none is sent, and the caller closes its session.
    private static let limit = 8

    private let underWay = Mutex(0)
    /// For the deadlines. A queue of its own: those that hang must not hold them up.
    private let timers = DispatchQueue(label: "pgha.cancel.timers")

    /// Whether the request was delivered, which is when the server has closed the request's connection.
    func send(_ request: Request, within patience: Duration) async -> Bool {
        let admitted = self.underWay.withLock { count in
            guard count < Self.limit else { return false }
            count += 1
            return true
        }
        guard admitted else {
            PQfreeCancel(request.raw)
            return false
        }
        return await self.sendAdmitted(request, within: patience)
    }

    private func sendAdmitted(_ request: Request, within patience: Duration) async -> Bool {
        let answer = Answer()
        return await withCheckedContinuation { continuation in
            answer.expect(continuation)
            // A queue for each, which has a thread of its own: a concurrent one has as many as the machine has processors,
            // and gets another each second.
            DispatchQueue(label: "pgha.cancel").async {
                var buffer = [CChar](repeating: 0, count: 256)
                let sent = PQcancel(request.raw, &buffer, Int32(buffer.count)) == 1
                PQfreeCancel(request.raw)
                self.underWay.withLock { $0 -= 1 }
                answer.give(sent)
            }
            let milliseconds = Int(patience.wholeMilliseconds)
            self.timers.asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { answer.give(false) }
        }
    }

    /// `@unchecked`: a `PGcancel` is never changed after it was made and may be used from any thread
    /// (PostgreSQL manual, "Canceling Queries in Progress"); only `send` frees it.
    struct Request: @unchecked Sendable {
        fileprivate let raw: OpaquePointer

        /// Made by the owner of `connection`, and to be sent.
        init?(_ connection: OpaquePointer) {
            guard let raw = PQgetCancel(connection) else { return nil }
            self.raw = raw
        }
    }

    /// Resumes its continuation with the first answer.
    private final class Answer: Sendable {
        private let continuation = Mutex<CheckedContinuation<Bool, Never>?>(nil)

        func expect(_ continuation: CheckedContinuation<Bool, Never>) {
            self.continuation.withLock { $0 = continuation }
        }

        func give(_ delivered: Bool) {
            self.continuation.withLock { $0.take() }?.resume(returning: delivered)
        }
    }
}

/// Calls `body` with a NULL-terminated array of C strings, nil for nil.
func withCStrings<Result>(
    _ texts: [String?], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
    let copies = texts.map { $0.map { strdup($0) } ?? nil }
    defer { for copy in copies { free(copy) } }
    return (copies.map { UnsafePointer($0) } + [nil]).withUnsafeBufferPointer { body($0.baseAddress!) }
}
