/// Something that a cluster that keeps its promises cannot do.
package struct Anomaly: Hashable, Sendable, Codable, CustomStringConvertible {
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// Acknowledged, and not there at the end.
        case lost
        /// There more than once.
        case doubled
        /// Refused, and there nevertheless.
        case refusedButThere = "refused_but_there"
        /// Somebody read it although it was refused, and it is not there at the end.
        case vanished
        /// Somebody read it, nobody was told of it, and it is not there at the end: see ``isPostgreSQLs``.
        case dirtyRead = "dirty_read"
        /// There, and nobody wrote it.
        case fromNowhere = "from_nowhere"
        /// A read that began after an acknowledgement does not show what was acknowledged.
        case staleRead = "stale_read"
        /// Two reads of a list of which neither begins with the other, or an order other than that of the acknowledgements.
        case disordered
        /// Money was made or lost.
        case unbalanced
        /// Two servers acknowledged in one term, or one did after a later term had begun to.
        case splitBrain = "split_brain"
    }

    package let kind: Kind
    /// The id, or the number of the account or list, that it is about; for a split brain the timeline.
    package let subject: Int64
    package let detail: String

    /// What PostgreSQL does by itself, and no manager of servers can prevent: a commit that waits for its standby becomes
    /// visible when the wait is cut short, also in the milliseconds after the death of the postmaster in which other
    /// backends still answer. It is never acknowledged. Source: syncrep.c, SyncRepWaitForLSN; tried on PostgreSQL 15.
    package var isPostgreSQLs: Bool { self.kind == .dirtyRead }

    package init(_ kind: Kind, _ subject: Int64, _ detail: String) {
        self.kind = kind
        self.subject = subject
        self.detail = detail
    }

    package var description: String { "\(self.kind.rawValue) \(self.subject): \(self.detail)" }
}
