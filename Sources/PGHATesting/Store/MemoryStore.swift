package import PGHACore
package import PGHAStore
import Synchronization

/// A store in memory that can be told to fail.
package final class MemoryStore: ClusterStore {
    /// What happens to a write.
    package enum Fault: Hashable, Sendable {
        /// Another controller has written the same state just before.
        case conflict
        /// The answer is lost, and the write never happened.
        case unknownBeforeWrite
        /// The answer is lost, but the write happened.
        case unknownAfterWrite
        /// Another controller leads.
        case notLeading
        /// The store cannot be reached; nothing was changed.
        case unavailable
    }

    private struct Content {
        var current: VersionedState?
        var history: [HistoryEntry] = []
        /// For the next writes, the first for the next one.
        var faults: [Fault] = []
        var isUnavailable = false
    }

    private let content: Mutex<Content>

    package init(_ state: ClusterState? = nil) {
        self.content = Mutex(Content(current: state.map { VersionedState(revision: 1, state: $0) }))
    }

    /// Queues a fault for the write after those that already have one.
    package func failNextWrite(_ fault: Fault) { self.content.withLock { $0.faults.append(fault) } }

    /// Until it is set back, every call throws ``StoreError/unavailable(_:)``.
    package var isUnavailable: Bool {
        get { self.content.withLock { $0.isUnavailable } }
        set { self.content.withLock { $0.isUnavailable = newValue } }
    }

    /// What the store holds, whatever the faults.
    package var current: VersionedState? { self.content.withLock { $0.current } }

    package func load() async throws(StoreError) -> VersionedState? {
        let content = try self.reachable()
        return content.current
    }

    package func compareAndSet(
        _ new: ClusterState, expecting revision: Int64?, history: [HistoryEntry]
    ) async throws(StoreError) -> Int64 {
        let result = self.content.withLock { content in Self.write(new, revision, history, to: &content) }
        return try result.get()
    }

    package func history(limit: Int) async throws(StoreError) -> [HistoryEntry] {
        try self.reachable().history.suffix(max(0, limit))
    }

    package func appendHistory(_ entries: [HistoryEntry]) async throws(StoreError) {
        _ = try self.reachable()
        self.content.withLock { $0.history += entries }
    }

    private func reachable() throws(StoreError) -> Content {
        let content = self.content.withLock { $0 }
        if content.isUnavailable { throw .unavailable("switched off by the test") }
        return content
    }

    private static func write(
        _ new: ClusterState, _ revision: Int64?, _ history: [HistoryEntry], to content: inout Content
    ) -> Result<Int64, StoreError> {
        if content.isUnavailable { return .failure(.unavailable("switched off by the test")) }
        let fault = content.faults.isEmpty ? nil : content.faults.removeFirst()
        switch fault {
        case .conflict:
            if let current = content.current {
                content.current = VersionedState(revision: current.revision + 1, state: current.state)
            }
            return .failure(.conflict(actual: content.current?.revision))
        case .unknownBeforeWrite: return .failure(.unknownOutcome("made up, before the write"))
        case .notLeading: return .failure(.notLeading)
        case .unavailable: return .failure(.unavailable("made up"))
        case .unknownAfterWrite, nil: break
        }
        guard content.current?.revision == revision else {
            return .failure(.conflict(actual: content.current?.revision))
        }
        let next = (revision ?? 0) + 1
        content.current = VersionedState(revision: next, state: new)
        content.history += history
        return fault == nil ? .success(next) : .failure(.unknownOutcome("made up, after the write"))
    }
}
