/// What one claim has found out so far about the members, as the arithmetic of open rules needs it.
package struct SealEvidence: Hashable, Sendable {
    /// Servers that cannot acknowledge for an older term.
    package var sealed: Set<NodeName> = []
    /// Sealed servers whose position was read after their seal in this claim.
    package var read: Set<NodeName> = []
    /// Leaders that hold a fence, which is a pledge to this claim.
    package var fenced: Set<NodeName> = []
    /// Fenced leaders whose position was read after their fence.
    package var leaderRead: Set<NodeName> = []
    /// Since when each of `sealed` is: the answer's arrival.
    package var sealedSince: [NodeName: Moment] = [:]
    /// Leaders whose agents were gone before they were: nobody may be there to end their lease.
    package var unguarded: Set<NodeName> = []
    /// Only in a wrong variant: when the claim was taken.
    var claimed: Moment?

    package init() {}

    /// As if no position of `nodes` were known: who is to be passed over must not be needed.
    func withoutPositions(of nodes: Set<NodeName>) -> SealEvidence {
        var evidence = self
        evidence.read.subtract(nodes)
        evidence.leaderRead.subtract(nodes)
        return evidence
    }
}

extension Rule {
    /// What is missing before this rule no longer stands in the way of `chosen`.
    package enum Missing: Hashable, Sendable {
        /// The leader could still make N copies with these unsealed followers.
        case notFenced(unsealed: [NodeName])
        /// Positions of `needed` of these followers are not known; a durable commit could hide there.
        case notDiscovered(unread: [NodeName], needed: Int)
        /// The leader's lease may be renewed, or nobody may end it: none of its followers is sealed, or its agent is gone.
        case leaseLasts(of: NodeName)
        /// The leader's lease is over by then.
        case leaseRuns(of: NodeName, until: Moment)
    }

    /// DESIGN section 5, step 3. Empty when the rule is satisfied.
    package func missing(_ evidence: SealEvidence, chosen: NodeName?, at now: Moment) -> [Missing] {
        if self.leader == chosen { return [] }
        if let lease = self.lease { return self.missing(lease, evidence, at: now) }
        var result: [Missing] = []
        let unsealed = self.followers.filter { !evidence.sealed.contains($0) }
        // A leader that became a standby and was sealed, or was reclaimed where it runs, is as good as fenced.
        let isFenced = evidence.fenced.contains(self.leader) || evidence.sealed.contains(self.leader)
        if unsealed.count >= self.copies - 1, !isFenced {
            result.append(.notFenced(unsealed: unsealed))
        }
        let unread = self.followers.filter { !evidence.read.contains($0) }
        let known = self.followers.count - unread.count
        let isLeaderRead = evidence.leaderRead.contains(self.leader) || evidence.read.contains(self.leader)
        let isGuessed = DecisionFaults.isOn(.unreadLeaderDiscovered) && evidence.fenced.contains(self.leader)
        if known < self.followersToDiscover, !isLeaderRead, !isGuessed {
            result.append(.notDiscovered(unread: unread, needed: self.followersToDiscover - known))
        }
        return result
    }

    /// Under a lease nothing can be discovered: the leader must have stopped. Either it is fenced, or its lease is over,
    /// which is so a lease after one of those who could have renewed it was sealed. What a controller renewed it with was
    /// older than the claim, and the claim older than the seal.
    private func missing(_ lease: Duration, _ evidence: SealEvidence, at now: Moment) -> [Missing] {
        if evidence.fenced.contains(self.leader) || evidence.sealed.contains(self.leader) { return [] }
        var since = self.followers.compactMap { evidence.sealedSince[$0] }.min()
        if DecisionFaults.isOn(.leaseFromClaim), since != nil { since = evidence.claimed }
        guard let since, !evidence.unguarded.contains(self.leader) else { return [.leaseLasts(of: self.leader)] }
        let over = since + lease + LeaderLease.slack(lease)
        return now < over ? [.leaseRuns(of: self.leader, until: over)] : []
    }
}

extension [Rule] {
    /// The cohort and the copies that the next rule must have, so that nothing acknowledged on the way to `cohort` and
    /// `copies` can escape a failover that satisfies these open rules and the next.
    ///
    /// While a list changes, each walsender counts with its own copy of the number, but over all walsenders that are
    /// listed by theirs: a commit may be acknowledged by as few as the old number of members, some of them new. With
    /// rules {b, c} of 2 and {a, b, c} of 3 under leader b, one acknowledgement by a is enough for an instant, and neither
    /// rule would look for it at a. One of the rules must therefore count everybody with the fewest copies, or all that
    /// can acknowledge must be read anyway: always so with one copy or, when every member is in a rule of two, with two.
    package func onTheWay(to cohort: some Sequence<NodeName>, copies: Int) -> (cohort: Set<NodeName>, copies: Int) {
        let wanted = Set(cohort)
        if DecisionFaults.isOn(.changeInOneStep) { return (wanted, copies) }
        let everyone = self.reduce(wanted) { $0.union($1.cohort) }
        let fewest = Swift.min(copies, self.map(\.copies).min() ?? copies)
        let counting = self.filter { $0.copies == fewest }.map { Set($0.cohort) } + (copies == fewest ? [wanted] : [])
        let isCovered =
            switch fewest {
            case 1: true
            case 2: counting.reduce([]) { $0.union($1) } == everyone
            default: counting.contains(everyone)
            }
        return isCovered ? (wanted, copies) : (everyone, fewest)
    }
}
