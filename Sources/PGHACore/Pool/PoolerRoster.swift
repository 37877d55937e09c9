/// The poolers that follow a controller, and which of them have no transaction left on a leader that is replaced.
///
/// A pooler is known while its topology stream is open, so one that is gone holds nothing up. Several streams may bear
/// one name for a while (a pooler that connects again before the old stream's end was noticed): it stays known until
/// the last of them ends.
package struct PoolerRoster: Hashable, Sendable {
    private struct Pooler: Hashable, Sendable {
        var streams = 0
        /// The last claim for which it let go of the old leader.
        var drained = Term.zero
    }

    private var poolers: [String: Pooler] = [:]

    package init() {}

    package var isEmpty: Bool { self.poolers.isEmpty }
    package var names: [String] { self.poolers.keys.sorted() }

    package mutating func connected(_ name: String) { self.poolers[name, default: Pooler()].streams += 1 }

    package mutating func left(_ name: String) {
        guard var pooler = self.poolers[name] else { return }
        pooler.streams -= 1
        self.poolers[name] = pooler.streams > 0 ? pooler : nil
    }

    /// Its word counts for this claim only: between two changes of leader transactions begin again.
    package mutating func drained(_ name: String, for claim: Term) { self.poolers[name]?.drained = claim }

    /// Those that have not let go yet, sorted.
    package func waiting(for claim: Term) -> [String] {
        self.poolers.filter { $0.value.drained != claim }.keys.sorted()
    }
}
