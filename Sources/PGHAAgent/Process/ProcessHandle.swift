import CPGHASystem
import Dispatch
import Glibc
import PGHACore
import Synchronization

/// One process behind a pidfd, whether our child or not: never confused with a later process of the same number.
final class ProcessHandle: Sendable {
    let pid: pid_t
    private let descriptor: Int32
    private let state: Mutex<State>

    private struct State {
        var exit: ProcessExit?
        var waiters: [CheckedContinuation<ProcessExit, Never>] = []
    }

    /// How a process ended.
    struct ProcessExit: Hashable, Sendable {
        /// As by waitid(2), negative for a signal; nil when the process was not our child.
        var status: Int32?
    }

    /// Watches `pid`; nil when there is no such process. `onExit` runs once, within a moment of the process's end.
    ///
    /// One thread sleeps in poll(2) on the pidfd: nothing polls on a timer, and no busy executor delays the news.
    /// (A dispatch source would do, but newer kernels show a pidfd as a regular file, which libdispatch treats
    /// as always readable.)
    init?(pid: pid_t, onExit: @escaping @Sendable (ProcessExit) -> Void = { _ in }) {
        let descriptor = pgha_pidfd_open(pid)
        guard descriptor >= 0 else { return nil }
        self.pid = pid
        self.descriptor = descriptor
        self.state = Mutex(State())
        DispatchQueue(label: "pgha.agent.exit.\(pid)", qos: .userInteractive).async { [self] in
            while pgha_wait_readable(descriptor, -1) != 1 {}
            self.finish(onExit)
        }
    }

    private func finish(_ onExit: (ProcessExit) -> Void) {
        var status: Int32 = 0
        let exit = ProcessExit(status: pgha_reap(self.descriptor, &status) == 1 ? status : nil)
        let waiters = self.state.withLock { state in
            state.exit = exit
            defer { state.waiters = [] }
            return state.waiters
        }
        onExit(exit)
        for waiter in waiters { waiter.resume(returning: exit) }
    }

    deinit { close(self.descriptor) }

    var exit: ProcessExit? { self.state.withLock { $0.exit } }

    /// Waits for the end. Not ended by cancellation: use ``exit(within:)`` for a bound.
    func waitForExit() async -> ProcessExit {
        await withCheckedContinuation { continuation in
            let exit: ProcessExit? = self.state.withLock { state in
                if state.exit == nil { state.waiters.append(continuation) }
                return state.exit
            }
            if let exit { continuation.resume(returning: exit) }
        }
    }

    /// Waits for the end for at most `limit`; nil when the process still runs then.
    func exit(within limit: Duration) async -> ProcessExit? {
        let descriptor = self.descriptor
        // Poll on a thread of our own: continuations of a waiter that gave up would have to be found again.
        let milliseconds = Int32(clamping: limit.milliseconds)
        let ended = await Offload.run { pgha_wait_readable(descriptor, milliseconds) == 1 }
        return ended ? await self.waitForExit() : nil
    }

    /// False when the process has ended.
    @discardableResult
    func signal(_ number: Int32) -> Bool { pgha_pidfd_send_signal(self.descriptor, number) == 0 }
}
