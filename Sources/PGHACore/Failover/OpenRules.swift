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

    package init() {}
}

extension Rule {
    /// What is missing before this rule no longer stands in the way of `chosen`.
    package enum Missing: Hashable, Sendable {
        /// The leader could still make N copies with these unsealed followers.
        case notFenced(unsealed: [NodeName])
        /// Positions of `needed` of these followers are not known; a durable commit could hide there.
        case notDiscovered(unread: [NodeName], needed: Int)
    }

    /// DESIGN section 5, step 3. Empty when the rule is satisfied.
    package func missing(_ evidence: SealEvidence, chosen: NodeName?) -> [Missing] {
        if self.leader == chosen { return [] }
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
}
