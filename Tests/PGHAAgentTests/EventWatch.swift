import PGHAClient
import PGHACore
import Synchronization

/// Reads an agent's event stream in the background.
final class EventWatch: Sendable {
    private struct Arrivals {
        var events: [AgentEvent] = []
        var last = ContinuousClock.now
    }

    private let arrivals = Arrived()
    private let task: Task<Void, any Error>

    private final class Arrived: Sendable {
        let state = Mutex(Arrivals())
    }

    init(_ client: AgentClient) {
        let arrivals = self.arrivals
        self.task = Task {
            for try await event in client.events() where event.kind != .heartbeat {
                arrivals.state.withLock {
                    $0.events.append(event)
                    $0.last = .now
                }
            }
        }
    }

    deinit { self.task.cancel() }

    private let arrivedAt = Mutex(ContinuousClock.now)
    var lastArrival: ContinuousClock.Instant { self.arrivedAt.withLock { $0 } }

    func ready() async throws { _ = try await self.next(.facts) }

    /// The next event of the kind; those before it are dropped.
    func next(_ kind: AgentEvent.Kind) async throws -> AgentEvent {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            let found: AgentEvent? = self.arrivals.state.withLock { state in
                guard let index = state.events.firstIndex(where: { $0.kind == kind }) else { return nil }
                let event = state.events[index]
                state.events.removeFirst(index + 1)
                self.arrivedAt.withLock { $0 = state.last }
                return event
            }
            if let found { return found }
            try await Task.sleep(for: .microseconds(500))
        }
        throw RigError(text: "no event \(kind)")
    }
}
