/// What a procedure saw of the leader that it installed: between its end and the first probe after it, nothing newer is
/// known. It has the age of the leader's own answers, counts no longer than a probe would, and no step that is taken by
/// itself rests on it.
struct LastSight: Hashable, Sendable {
    var leader: NodeName
    /// When the leader answered that it is open for commits.
    var openedAt: Moment
    /// Who had flushed the term's row.
    var attached: Set<NodeName>
    /// When the leader said so.
    var lookedAt: Moment
}

extension Coordinator {
    /// Of the procedure that ends, if it installed a leader.
    var sightOfActivity: LastSight? {
        guard case .failover(let machine) = self.activity, machine.progress == .finished,
            let leader = machine.plan?.rule.leader, let openedAt = machine.openedAt
        else { return nil }
        return LastSight(
            leader: leader, openedAt: openedAt, attached: machine.attached, lookedAt: machine.lookedAt ?? openedAt)
    }

    /// The judgement of the leader now, for people and their requests; ``verdict`` is what the controller acts on.
    package func verdict(at now: Moment) -> LeaderHealth.Verdict {
        let judged = self.health.verdict(at: now)
        guard case .suspect = judged, let sight = self.sight(at: now), now - sight.openedAt < self.freshness else {
            return judged
        }
        return .healthy
    }

    /// Whether the leader streams to `node`, as far as the leader itself was last heard.
    func streams(_ node: NodeName, at now: Moment) -> Bool {
        if self.nodes[node]?.attachedSince != nil { return true }
        guard let sight = self.sight(at: now), now - sight.lookedAt < self.freshness else { return false }
        return sight.attached.contains(node) && self.showsNoFailure(node, at: now)
    }

    /// Nil once the leader was asked again, and at the first sign that something is wrong with it.
    private func sight(at now: Moment) -> LastSight? {
        guard let sight = self.lastSight, sight.leader == self.watched, sight.leader == self.state?.rule?.leader,
            self.nodes[sight.leader]?.observedFrom ?? .origin < self.settledAt,
            self.showsNoFailure(sight.leader, at: now)
        else { return nil }
        return sight
    }

    private func showsNoFailure(_ node: NodeName, at now: Moment) -> Bool {
        guard let view = self.nodes[node], view.fresh(self.freshness, at: now) != nil else { return false }
        switch view.freshFacts(self.freshness, at: now)?.postmaster {
        case .running, nil: return true
        case .stopped, .absent: return false
        }
    }
}
