internal import Glibc
internal import Synchronization

/// Waits for sockets, on one thread of its own, so that no thread of the cooperative pool ever blocks.
///
/// A wait is registered in a table and the thread woken through a pipe; the thread polls all registered
/// descriptors until the earliest deadline. poll(2) over a few dozen descriptors costs microseconds, and it
/// keeps no state about a descriptor, so one that is closed and reused cannot confuse it.
final class SocketPoller: Sendable {
    static let shared = SocketPoller()

    enum Interest: Sendable {
        case readable, writable, either
        /// The peer has closed; data that arrives does not count.
        case hangUp
    }
    enum Readiness: Sendable { case ready, timedOut, cancelled }

    private struct Wait {
        let descriptor: Int32
        let events: Int16
        let deadline: ContinuousClock.Instant
        let continuation: CheckedContinuation<Readiness, Never>
    }

    private struct Table {
        var waits: [UInt64: Wait] = [:]
        var nextToken: UInt64 = 0
    }

    private let table = Mutex(Table())
    private let wakeRead: Int32
    private let wakeWrite: Int32

    private init() {
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0, "pipe: errno \(errno)")
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        (self.wakeRead, self.wakeWrite) = (ends[0], ends[1])
        var thread = pthread_t()
        let created = pthread_create(
            &thread, nil,
            { context in
                Unmanaged<SocketPoller>.fromOpaque(context!).takeUnretainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(created == 0, "pthread_create: \(created)")
        pthread_detach(thread)
    }

    /// A name for one wait, made before it so that someone else can ``interrupt(_:)`` it.
    func makeToken() -> UInt64 {
        self.table.withLock { table in
            table.nextToken += 1
            return table.nextToken
        }
    }

    /// Returns when `descriptor` is ready (an error on it counts), at the deadline, or when the wait is
    /// interrupted; the task's cancellation interrupts it if `cancellable`. Runs on the caller's actor up to the
    /// registration, so that the caller cannot interrupt it before.
    nonisolated(nonsending) func wait(
        _ descriptor: Int32, for interest: Interest, until deadline: ContinuousClock.Instant, token: UInt64,
        cancellable: Bool
    ) async -> Readiness {
        var now = pollfd(fd: descriptor, events: interest.events, revents: 0)
        if poll(&now, 1, 0) > 0 { return .ready }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let wait = Wait(
                    descriptor: descriptor, events: interest.events, deadline: deadline, continuation: continuation)
                // The handler below runs after the task is marked: either we see the mark here, or the handler
                // finds the wait in the table.
                let registered = self.table.withLock { table in
                    if cancellable && Task.isCancelled { return false }
                    table.waits[token] = wait
                    return true
                }
                if registered { self.wake() } else { continuation.resume(returning: .cancelled) }
            }
        } onCancel: {
            if cancellable { self.interrupt(token) }
        }
    }

    /// Ends a wait early with `.cancelled`; no effect when it is over or has not begun.
    func interrupt(_ token: UInt64) {
        let wait = self.table.withLock { $0.waits.removeValue(forKey: token) }
        wait?.continuation.resume(returning: .cancelled)
    }

    private func wake() {
        // A full pipe already wakes the thread.
        _ = write(self.wakeWrite, [1], 1)
    }

    private func run() {
        while true {
            let (tokens, waits) = self.table.withLock { (Array($0.waits.keys), Array($0.waits.values)) }
            var descriptors = waits.map { pollfd(fd: $0.descriptor, events: $0.events, revents: 0) }
            descriptors.append(pollfd(fd: self.wakeRead, events: Int16(POLLIN), revents: 0))
            let count = poll(&descriptors, nfds_t(descriptors.count), self.milliseconds(until: waits))
            if count > 0, descriptors[waits.count].revents != 0 { self.drainWakePipe() }
            let now = ContinuousClock.now
            for (index, token) in tokens.enumerated() {
                if count > 0, descriptors[index].revents != 0 {
                    self.end(token, .ready)
                } else if waits[index].deadline <= now {
                    self.end(token, .timedOut)
                }
            }
        }
    }

    private func milliseconds(until waits: [Wait]) -> Int32 {
        guard let earliest = waits.map(\.deadline).min() else { return -1 }
        return Int32(clamping: max(0, (earliest - ContinuousClock.now).wholeMilliseconds))
    }

    private func end(_ token: UInt64, _ readiness: Readiness) {
        let wait = self.table.withLock { $0.waits.removeValue(forKey: token) }
        wait?.continuation.resume(returning: readiness)
    }

    private func drainWakePipe() {
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(self.wakeRead, &bytes, bytes.count) > 0 {}
    }
}

extension SocketPoller.Interest {
    fileprivate var events: Int16 {
        switch self {
        case .readable: Int16(POLLIN)
        case .writable: Int16(POLLOUT)
        case .either: Int16(POLLIN) | Int16(POLLOUT)
        // POLLRDHUP, which Glibc's module hides; POLLHUP and POLLERR are always reported. Source: poll(2).
        case .hangUp: 0x2000
        }
    }
}
