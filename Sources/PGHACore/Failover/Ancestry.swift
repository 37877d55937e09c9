/// Ranks WAL positions along the history that recorded terms explain.
///
/// A later term wins whatever its position: its leader was chosen with every durable commit below the fork, and
/// nothing on the older timeline beyond that fork was acknowledged. WAL on a timeline that no recorded term
/// explains (a promotion by hand, or one that was never opened) counts only up to its fork.
package struct Ancestry: Hashable, Sendable {
    package struct Rank: Hashable, Comparable, Sendable {
        /// The term of the last timeline that is explained; zero when none is.
        package var term: Term
        package var end: LSN

        package init(term: Term, end: LSN) {
            self.term = term
            self.end = end
        }

        package static func < (a: Rank, b: Rank) -> Bool { (a.term, a.end) < (b.term, b.end) }
    }

    private let recorded: [RecordedTimeline]

    package init(_ recorded: [RecordedTimeline]) { self.recorded = recorded }

    package func rank(_ position: WALPosition) -> Rank {
        var rank = Rank(term: .zero, end: .zero)
        for segment in position.history.segments {
            let terms = self.recorded.lazy
                .filter { $0.timeline == segment.timeline && $0.fork == segment.begin }.map(\.term)
            guard let term = terms.max() else {
                return Rank(term: rank.term, end: min(rank.end, segment.begin ?? .zero))
            }
            rank = Rank(term: max(rank.term, term), end: segment.end ?? position.end)
        }
        return Rank(term: rank.term, end: min(rank.end, position.end))
    }

    /// Whether a server at `position` can stream from one at `leader` without losing WAL of its own: its timelines
    /// are the first of the leader's, with the same switch points, and it ends before the leader left its last one.
    package static func canFollow(_ position: WALPosition, leader: WALPosition) -> Bool {
        let ours = position.history.segments, theirs = leader.history.segments
        guard ours.count <= theirs.count else { return false }
        for (our, their) in zip(ours.dropLast(), theirs) where our != their { return false }
        let last = ours[ours.count - 1], same = theirs[ours.count - 1]
        return last.timeline == same.timeline && last.begin == same.begin && position.end <= same.end ?? leader.end
    }
}
