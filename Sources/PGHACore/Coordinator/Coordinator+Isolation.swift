/// A leader that nobody follows any more acknowledges nothing, however healthy it is.
///
/// Policy: when enough of the others answer to hold the copies among themselves, one of them takes over as if an operator
/// had asked for it. Whether they reach each other nobody can know before. When they do not, commits wait in the new term
/// as they did in the old one, until anybody follows; the servers do not take turns meanwhile.
extension Coordinator {
    mutating func judgeIsolation(_ rule: Rule, at now: Moment, _ effects: inout Effects) {
        guard let state = self.state, self.verdict == .healthy, rule.copies > 1,
            !state.spec.durability.mayDegrade(nodes: state.spec.nodes.count), let since = self.isolatedSince(rule)
        else { return }
        // After one standby time-out a member is given up, and somebody else may take its place.
        let due = since + state.spec.timings.standbyTimeout * 2
        guard now >= due else {
            effects.wake(at: due)
            return
        }
        let words = "no standby has streamed from \(rule.leader) for \((now - since).milliseconds / 1000) s"
        let others = state.spec.nodes.map(\.name).filter { $0 != rule.leader && self.isLeft(alone: $0, at: now) }
        let hasCandidate = others.contains { rule.cohort.contains($0) && state.spec[$0]?.nofailover == false }
        guard others.count >= rule.copies, hasCandidate, !state.paused,
            state.openRules.allSatisfy({ self.canDiscover($0, at: now) })
        else {
            let why = state.paused ? "the cluster is paused" : "too few others answer to do without it"
            self.waitingReason = "\(words), and \(why)"
            return
        }
        if let ended = self.lastFailoverEnded, now < ended + state.spec.timings.failoverInterval {
            effects.wake(at: ended + state.spec.timings.failoverInterval)
            return
        }
        self.startFailover(.requested(target: nil, force: false), reason: words, at: now, &effects)
    }

    /// Since when nobody streams from the leader; nil while somebody does.
    private func isolatedSince(_ rule: Rule) -> Moment? {
        let others = self.nodes.filter { $0.key != rule.leader }.values
        guard others.allSatisfy({ $0.attachedSince == nil }) else { return nil }
        return others.map(\.detachedSince).max()
    }

    /// A standby that answers, could hold a copy, and has no receiver: where one streams, the leader is not asked right.
    private func isLeft(alone node: NodeName, at now: Moment) -> Bool {
        guard let seen = self.nodes[node]?.fresh(self.freshness, at: now) else { return false }
        return seen.inRecovery && seen.receiver?.status != "streaming" && !seen.replayPaused
            && self.state?.spec[node]?.nosync == false && self.shortage(of: node, at: now) == nil
    }
}
