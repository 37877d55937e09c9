import Dispatch
import Glibc
import Synchronization

/// SIGINT, SIGTERM and SIGHUP as a request to end in order. From here on they do not end the process.
///
/// The second request is told to `insist`; the third ends the process at once.
final class Interruption: Sendable {
    /// Yields once.
    let requests: AsyncStream<Void>
    /// Kept so that they go on. `unsafe`: set in `init`, touched by nobody afterwards.
    private nonisolated(unsafe) let sources: [any DispatchSourceSignal]

    init(insist: @escaping @Sendable () -> Void) {
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        self.requests = stream
        let count = RequestCount()
        self.sources = [SIGINT, SIGTERM, SIGHUP].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                switch count.next() {
                case 1: continuation.yield()
                case 2: insist()
                default: _exit(128 + number)
                }
            }
            source.resume()
            return source
        }
    }

    private final class RequestCount: Sendable {
        private let count = Mutex(0)

        func next() -> Int {
            self.count.withLock { count in
                count += 1
                return count
            }
        }
    }
}
