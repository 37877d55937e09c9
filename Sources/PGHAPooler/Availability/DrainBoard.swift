internal import PGHACore
internal import Synchronization

/// Collects from all loops that no transaction is left on the leader that a claim replaces.
final class DrainBoard: Sendable {
    private struct Count {
        var claim = Term.zero
        var loops = 0
    }

    private let loops: Int
    private let count = Mutex(Count())
    private let continuation: AsyncStream<Term>.Continuation
    /// The claims for which all loops have let go, each once.
    let drained: AsyncStream<Term>

    init(loops: Int) {
        self.loops = loops
        (self.drained, self.continuation) = AsyncStream.makeStream()
    }

    /// Called once by each loop for each claim.
    func letGo(_ claim: Term) {
        let isComplete = self.count.withLock { count in
            if count.claim != claim { count = Count(claim: claim) }
            count.loops += 1
            return count.loops == self.loops
        }
        if isComplete { self.continuation.yield(claim) }
    }

    func finish() { self.continuation.finish() }
}
