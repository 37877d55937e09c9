import Dispatch
import Glibc
import Synchronization

/// Writes whole lines to a file descriptor without ever holding up its caller.
///
/// A log collector that stalls must not stall a failover. A line goes out at once when poll(2) says that the
/// descriptor takes it: a pipe that is ready takes at least `PIPE_BUF` bytes (4096 on Linux, pipe(7)). Otherwise
/// a queue of its own writes it later, in order; beyond a limit lines are dropped and counted.
package final class LineOutput: Sendable {
    package static let standardError = LineOutput(descriptor: STDERR_FILENO)

    private struct State {
        /// Not yet written, whole lines.
        var pending: [UInt8] = []
        /// Whether the queue is writing; until it is done every line goes through it, so that the order holds.
        var isDraining = false
        /// Lines dropped since the last one that was written.
        var dropped = 0
        /// Whether the lines are JSON objects; the note about dropped lines is written like them.
        var isJSON = false
    }

    private let descriptor: Int32
    /// Bytes that may wait.
    private let limit: Int
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "pgha.log")

    package init(descriptor: Int32, limit: Int = 1 << 20) {
        self.descriptor = descriptor
        self.limit = limit
    }

    /// Writes `line` and a line feed.
    package func write(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        let mustDrain = self.state.withLock { state in
            if !state.isDraining, bytes.count <= Self.atomicSize, self.isReady() {
                let written = max(0, Glibc.write(self.descriptor, bytes, bytes.count))
                if written == bytes.count { return false }
                state.pending += bytes[written...]
            } else if state.pending.count + bytes.count > self.limit {
                state.dropped += 1
                state.isJSON = bytes.first == UInt8(ascii: "{")
                return false
            } else {
                state.pending += bytes
            }
            defer { state.isDraining = true }
            return !state.isDraining
        }
        if mustDrain { self.queue.async { self.drain() } }
    }

    /// Waits until everything was written, at most `timeout`. Blocks: for the end of the process.
    package func flush(timeout: Duration = .seconds(1)) {
        let done = DispatchSemaphore(value: 0)
        self.queue.async { done.signal() }
        let nanoseconds = Int(timeout / .nanoseconds(1))
        _ = done.wait(timeout: .now() + .nanoseconds(nanoseconds))
    }

    private static let atomicSize = 4096

    private func isReady() -> Bool {
        var poll = pollfd(fd: self.descriptor, events: Int16(POLLOUT), revents: 0)
        return Glibc.poll(&poll, 1, 0) == 1 && poll.revents & Int16(POLLOUT) != 0
    }

    private func drain() {
        while let bytes = self.nextBytes() {
            var start = 0
            while start < bytes.count {
                let written = bytes[start...].withUnsafeBytes { Glibc.write(self.descriptor, $0.baseAddress, $0.count) }
                if written > 0 {
                    start += written
                } else if errno == EAGAIN {
                    var poll = pollfd(fd: self.descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = Glibc.poll(&poll, 1, -1)
                } else if errno != EINTR {
                    // Nobody reads any more: these lines are lost, and there is nowhere to say so.
                    break
                }
            }
        }
    }

    /// What waits; nil, and the end of draining, when nothing does.
    private func nextBytes() -> [UInt8]? {
        self.state.withLock { state in
            var bytes = state.pending
            if state.dropped > 0 {
                let note =
                    state.isJSON
                    ? #"{"level":"warning","msg":"log lines dropped","lines":"\#(state.dropped)"}"#
                    : #"level=warning msg="log lines dropped" lines=\#(state.dropped)"#
                bytes += Array("\(note)\n".utf8)
                state.dropped = 0
            }
            state.pending = []
            state.isDraining = !bytes.isEmpty
            return bytes.isEmpty ? nil : bytes
        }
    }
}
