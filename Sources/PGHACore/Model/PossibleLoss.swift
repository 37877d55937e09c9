/// What a change of leader may have lost of commits that were acknowledged: mode `async` only, announced in the store
/// before the successor is promoted.
///
/// The old leader went on alone between the last look at it and the end of its lease. Of the WAL up to that look it is
/// known how much the successor lacks, in bytes; of what came after, only for how long it can have come.
package struct PossibleLoss: Hashable, Sendable, Codable {
    /// The part of one leader that could not be read any more.
    package struct Part: Hashable, Sendable, Codable {
        package var leader: NodeName
        /// Where the successor's WAL leaves the leader's.
        package var from: LSN
        /// How much more the leader was last seen with. Bytes of WAL.
        package var bytes: UInt64
        /// From the beginning of that look to the decision; zero when the leader was read after it could write no more.
        package var unseen: Duration

        package init(leader: NodeName, from: LSN, bytes: UInt64, unseen: Duration) {
            self.leader = leader
            self.from = from
            self.bytes = bytes
            self.unseen = unseen
        }
    }

    /// Of the successor.
    package var term: Term
    /// In the order of the rules that the leaders led by; none of them lost nothing.
    package var parts: [Part]

    package init(term: Term, parts: [Part]) {
        self.term = term
        self.parts = parts
    }

    package var bytes: UInt64 { self.parts.map(\.bytes).max() ?? 0 }
    package var unseen: Duration { self.parts.map(\.unseen).max() ?? .zero }

    /// For people: `at most 4096 bytes of WAL, and what n1 acknowledged alone in the 5.6 s after that`.
    package var words: String {
        self.parts.map { part in
            let alone = part.unseen.milliseconds
            let after =
                alone == 0 ? "" : ", and what it acknowledged in the \(alone) ms after it was last seen"
            return "\(part.bytes) bytes of WAL of \(part.leader)\(after)"
        }.joined(separator: "; ")
    }
}

/// A leader as it was last seen by this controller.
package struct LeaderSight: Hashable, Sendable {
    /// What it had flushed.
    package var end: LSN
    /// When the look began: everything acknowledged before is below `end`.
    package var began: Moment
    /// When its agent was last heard; nil: never. A lease ends only where an agent is there to end it.
    package var agentHeard: Moment?

    package init(end: LSN, began: Moment, agentHeard: Moment?) {
        self.end = end
        self.began = began
        self.agentHeard = agentHeard
    }
}
