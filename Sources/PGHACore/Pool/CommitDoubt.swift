/// A commit whose server was lost before it answered, and what can be known of it from the next leader.
///
/// Intuition: the new leader has every record of the old one's WAL up to the fork and none behind it. The pooler asked,
/// with the COMMIT, for the transaction's id and for where the WAL ended. The commit's record came behind that end, so
/// with the end at or past the fork it was never seen: not committed. With the end before the fork the transaction's
/// own first record was seen, so the new leader cannot have given its id to another transaction, and what it says of
/// the id is true.
///
/// A transaction that wrote no record before its COMMIT has changed nothing but unlogged tables, which a promotion
/// empties. Only its id might have been given to another, and nothing that lasts depends on what is said of it.
///
/// Limits: nothing is claimed but for one promotion right behind the commit's own term. A leader that went on in place,
/// perhaps after a crash, may have lost the end of its WAL and used ids again.
package struct CommitDoubt: Hashable, Sendable {
    package enum Verdict: Hashable, Sendable {
        case notCommitted
        /// `pg_xact_status` of the leader tells the truth.
        case askLeader
        case unknown
    }

    /// With the epoch, as `pg_current_xact_id` gives it.
    package let transaction: UInt64
    /// Where the WAL ended when COMMIT was sent.
    package let end: LSN
    /// Of the leader that it was sent to.
    package let term: Term

    package init(transaction: UInt64, end: LSN, term: Term) {
        self.transaction = transaction
        self.end = end
        self.term = term
    }

    /// Nil while the leader is still the same. A topology names a new one once its rule is open: its history is decided.
    package func verdict(_ topology: PoolTopology) -> Verdict? {
        guard topology.term > self.term, topology.takesWrites else { return nil }
        let terms = topology.terms
        guard terms.count > 1, terms[terms.count - 1].term == topology.term, terms[terms.count - 2].term == self.term,
            let fork = terms[terms.count - 1].fork
        else { return .unknown }
        return self.end >= fork ? .notCommitted : .askLeader
    }
}

extension [RecordedTimeline] {
    /// How the terms began that poolers may have sent commits to. No fork is told of a term that an operator forced: its
    /// leader may never have followed the one before.
    package func termStarts(forced: Term?) -> [PoolTopology.TermStart] {
        self.indices.map { index in
            let recorded = self[index]
            let isPromotion =
                index > 0 && recorded.timeline.number > 0 && recorded.timeline != self[index - 1].timeline
                && recorded.term > self[index - 1].term && recorded.term != forced
            return .init(term: recorded.term, fork: isPromotion ? recorded.fork : nil)
        }
    }
}
