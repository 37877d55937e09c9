package import PGHACore

/// The state of a cluster as one revision of the store has it.
package struct VersionedState: Hashable, Sendable {
    /// Grows by one with every write of the state; the first is 1.
    package let revision: Int64
    package let state: ClusterState

    package init(revision: Int64, state: ClusterState) {
        self.revision = revision
        self.state = state
    }
}

/// Holds one cluster's decisions.
///
/// Every write depends on the revision that its writer read, and on its leadership where several controllers share
/// the store. A write whose fate is not known throws ``StoreError/unknownOutcome(_:)``: the caller loads the state
/// and compares. It never assumes that the write happened, nor that it did not.
///
/// `StoreContract` in `PGHATesting` says in code what every implementation does.
package protocol ClusterStore: Sendable {
    /// The newest state; nil before the first write.
    func load() async throws(StoreError) -> VersionedState?

    /// Writes `new` and appends `history` in one step, if the store is still at `revision` (nil: still empty).
    ///
    /// Returns the new revision; the write is then durable. Throws ``StoreError/conflict(actual:)`` when another
    /// write came first; then nothing was changed.
    func compareAndSet(
        _ new: ClusterState, expecting revision: Int64?, history: [HistoryEntry]
    ) async throws(StoreError) -> Int64

    /// The newest entries, at most `limit` of them, in the order in which they were written.
    func history(limit: Int) async throws(StoreError) -> [HistoryEntry]

    /// Appends entries that belong to no change of state.
    func appendHistory(_ entries: [HistoryEntry]) async throws(StoreError)
}

extension ClusterStore {
    /// Writes `new` without an entry in the history.
    package func compareAndSet(_ new: ClusterState, expecting revision: Int64?) async throws(StoreError) -> Int64 {
        try await self.compareAndSet(new, expecting: revision, history: [])
    }
}
