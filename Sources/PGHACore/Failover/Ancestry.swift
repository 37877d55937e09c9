/// Ranks WAL positions along the history that recorded terms explain.
///
/// A position belongs to the greatest term whose beginning it contains. A later term wins whatever its position: its
/// leader was chosen with every durable commit below the beginning, and nothing on another branch beyond that was
/// acknowledged. WAL on a timeline that no recorded term explains (a promotion by hand, or one that was never
/// opened) counts only up to its fork; WAL of a timeline that a later term did not continue counts for its own term
/// only, whatever its id.
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

    package func rank(_ position: WALPosition, of node: NodeName) -> Rank {
        if DecisionFaults.isOn(.rankByLSN) { return Rank(term: .zero, end: position.end) }
        var best = Rank(term: .zero, end: position.history.segments[0].end ?? position.end)
        for segment in position.history.segments {
            let end = segment.end ?? position.end
            for recorded in self.explaining(segment.timeline, segment.begin, node) where recorded.begin <= end {
                best = max(best, Rank(term: recorded.term, end: end))
            }
        }
        return best
    }

    /// Up to where a position is the WAL that a leader wrote or began with: the rest it lacks.
    package enum Shared: Hashable, Sendable {
        /// The leader never became writable, as far as is recorded.
        case nothingWritten
        /// It is on the leader's timeline.
        case along(LSN)
        /// It has nothing of the leader's timeline, and would pick the same id for its own.
        case apart(LSN)
    }

    package func shared(with term: Term, _ position: WALPosition, of node: NodeName) -> Shared {
        guard let recorded = self.recorded.last(where: { $0.term == term }), recorded.timeline.number > 0 else {
            return .nothingWritten
        }
        for segment in position.history.segments
        where segment.timeline == recorded.timeline && segment.begin == recorded.fork && recorded.isHeld(by: node) {
            return .along(segment.end ?? position.end)
        }
        return .apart(min(recorded.fork ?? .zero, position.end))
    }

    private func explaining(_ timeline: TimelineID, _ begin: LSN?, _ node: NodeName) -> [RecordedTimeline] {
        self.recorded.filter {
            $0.fork == begin && ($0.timeline == timeline || $0.timeline.number == 0) && $0.isHeld(by: node)
        }
    }

    /// Whether `node` can stream from `leader` without losing WAL of its own: its timelines are the first of the
    /// leader's, with the same switch points, it ends before the leader left its last one, and that one is known to
    /// be the same and not merely to have the same id.
    package func canFollow(
        _ node: NodeName, at position: WALPosition, leader: NodeName, at leaderPosition: WALPosition
    ) -> Bool {
        let ours = position.history.segments, theirs = leaderPosition.history.segments
        guard ours.count <= theirs.count else { return false }
        for (our, their) in zip(ours.dropLast(), theirs) where our != their { return false }
        let last = ours[ours.count - 1], same = theirs[ours.count - 1]
        guard last.timeline == same.timeline, last.begin == same.begin, position.end <= same.end ?? leaderPosition.end
        else { return false }
        return last.begin == nil
            || self.explaining(last.timeline, last.begin, node).contains { $0.isHeld(by: leader) }
    }
}

extension [RecordedTimeline] {
    /// `leader` goes on from `position`: of the timelines that it is not on by then, it never holds any WAL. It may
    /// pick the id of one of them for its own.
    package mutating func lead(_ leader: NodeName, from position: WALPosition) {
        let passed = position.history.segments
        for index in self.indices {
            let recorded = self[index]
            let isPassed = passed.contains {
                $0.begin == recorded.fork && ($0.timeline == recorded.timeline || recorded.timeline.number == 0)
            }
            if !isPassed { self[index].holders?.removeAll { $0 == leader } }
        }
    }

    /// `followers` stream from `leader` from here on: they hold what it holds and nothing else.
    package mutating func follow(_ leader: NodeName, _ followers: some Sequence<NodeName>) {
        let followers = Set(followers)
        for index in self.indices {
            guard let holders = self[index].holders else { continue }
            let others = Set(holders).subtracting(followers)
            self[index].holders = (holders.contains(leader) ? others.union(followers) : others).sorted()
        }
    }

    /// `node` was promoted by hand and runs on `timeline`, an id that it picked itself: whatever recorded timeline bears
    /// the same id, its WAL there is its own.
    package mutating func disown(_ timeline: TimelineID, of node: NodeName, among nodes: some Sequence<NodeName>) {
        let others = Set(nodes).subtracting([node])
        for index in self.indices where self[index].timeline == timeline && self[index].fork != nil {
            self[index].holders = Set(self[index].holders ?? others.sorted()).subtracting([node]).sorted()
        }
    }
}
