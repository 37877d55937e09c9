import PGHAClient
import PGHACore
import Synchronization

/// The facts as last known, and those who listen to their changes.
///
/// A lock and no actor: the news of a dead postmaster comes from its watcher's thread and goes out at once,
/// whatever the agent is doing.
final class FactsBoard: Sendable {
    private struct State {
        var facts: AgentFacts
        var listeners: [Int: AsyncStream<AgentEvent>.Continuation] = [:]
        var nextListener = 0
    }

    private let state: Mutex<State>

    /// A listener that falls this many lines behind loses the oldest: each line holds all the facts.
    private static let backlog = 64

    init(_ facts: AgentFacts) { self.state = Mutex(State(facts: facts)) }

    var facts: AgentFacts { self.state.withLock { $0.facts } }

    /// Changes the facts and tells every listener, unless nothing changed.
    func update(_ kind: AgentEvent.Kind, _ change: (inout AgentFacts) -> Void) {
        self.state.withLock { state in
            let old = state.facts
            change(&state.facts)
            guard state.facts != old || kind == .heartbeat else { return }
            let event = AgentEvent(kind: kind, facts: state.facts)
            for listener in state.listeners.values { listener.yield(event) }
        }
    }

    /// The facts now, then every change. Ends when its consumer is cancelled.
    func listen() -> AsyncStream<AgentEvent> {
        AsyncStream(bufferingPolicy: .bufferingNewest(Self.backlog)) { continuation in
            let number = self.state.withLock { state in
                state.nextListener += 1
                state.listeners[state.nextListener] = continuation
                continuation.yield(AgentEvent(kind: .facts, facts: state.facts))
                return state.nextListener
            }
            continuation.onTermination = { [self] _ in
                self.state.withLock { _ = $0.listeners.removeValue(forKey: number) }
            }
        }
    }
}
