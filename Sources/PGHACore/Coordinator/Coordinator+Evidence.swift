extension Coordinator {
    /// Older evidence is none.
    var freshness: Duration { self.state?.spec.timings.freshness ?? Timings().freshness }

    mutating func probed(
        _ node: NodeName, _ result: Result<ServerObservation, ProbeFailure>, began: Moment, at now: Moment
    ) {
        guard self.nodes[node] != nil else { return }
        switch result {
        case .success(let seen):
            self.nodes[node]?.observation = seen
            self.nodes[node]?.observedAt = now
            self.nodes[node]?.observedFrom = began
            self.nodes[node]?.failure = nil
            self.noteForked(node, seen)
            if !seen.inRecovery {
                self.sights[node] = LeaderSight(end: seen.position, began: began, agentHeard: self.nodes[node]?.factsAt)
            }
            if node != self.watched { self.health.standbyAnswered(node, seen, began: began, ended: now) }
        case .failure(let failure):
            self.nodes[node]?.failure = failure
        }
        if node == self.watched {
            // As it was before it was promoted: without a flush to wait for, that is no longer ago than a probe takes.
            if case .success(let seen) = result, seen.inRecovery, began < self.settledAt, self.state?.rule?.lease != nil
            {
                return
            }
            self.health.leaderAnswered(result, began: began, ended: now)
            if case .success(let seen) = result, began >= self.settledAt { self.noteAttached(seen, at: now) }
        }
    }

    /// A primary that no term made was promoted by hand. It may have picked the id, at the very fork, of a timeline that
    /// it was to follow: its WAL there must not be taken for that one's.
    private mutating func noteForked(_ node: NodeName, _ seen: ServerObservation) {
        guard !seen.inRecovery, let state = self.state, !state.openRules.contains(where: { $0.leader == node }),
            !state.displaced.contains(node), state.rule != nil,
            state.timelines.contains(where: { $0.timeline == seen.timeline && $0.fork != nil && $0.isHeld(by: node) }),
            !self.edits.contains(.forked(node, seen.timeline))
        else { return }
        self.edits.append(.forked(node, seen.timeline))
    }

    mutating func heard(_ node: NodeName, _ facts: AgentFacts, at now: Moment) {
        guard self.nodes[node] != nil else { return }
        self.nodes[node]?.facts = facts
        self.nodes[node]?.factsAt = now
        guard node == self.watched else { return }
        switch facts.postmaster {
        case .running: self.health.agentReported(running: true, at: now)
        case .stopped, .absent: self.health.agentReported(running: false, at: now)
        }
    }

    /// A member's pledge that this store never handed out halts it: the first thing that an old store would do is a
    /// needless failover or change of rule. Only members count, since a server that is being added may come from
    /// anywhere.
    mutating func compare(
        _ pledge: Pledge?, of node: NodeName, _ systemIdentifier: UInt64?, _ effects: inout Effects
    ) {
        guard let state = self.state, let pledge, let systemIdentifier, systemIdentifier == state.systemIdentifier,
            state.openRules.contains(where: { $0.cohort.contains(node) }), state.isOlder(than: pledge)
        else { return }
        self.halt(pledge, of: node, &effects)
    }

    /// Who streams from the leader under the name it was given. The leader's word counts: a follower on a wrong
    /// fork shows a receiver row too.
    private mutating func noteAttached(_ leader: ServerObservation, at now: Moment) {
        guard let state = self.state else { return }
        let streaming = Set(leader.senders.filter { $0.state == "streaming" }.map(\.applicationName))
        for (node, view) in self.nodes where node != self.watched {
            let names = [state.replicationNames[node], view.pendingName].compactMap { $0?.description }
            if names.contains(where: streaming.contains) {
                if view.attachedSince == nil { self.nodes[node]?.attachedSince = now }
                self.nodes[node]?.lastFailure = nil
            } else if view.attachedSince != nil {
                self.nodes[node]?.attachedSince = nil
                self.nodes[node]?.detachedSince = now
            }
        }
    }

    /// The leader whom followers should follow now: the current one, or the one being installed.
    var leaderToFollow: (rule: Rule, names: [NodeName: ReplicationName])? {
        if case .failover(let machine) = self.activity {
            guard machine.phase == .attaching || machine.phase == .opening, let plan = machine.plan else { return nil }
            return (plan.rule, plan.names)
        }
        guard let state = self.state, let rule = state.rule else { return nil }
        switch self.activity {
        case .idle, .ruleChange: return (rule, state.replicationNames)
        case .bootstrap, .preparing, .failover: return nil
        }
    }

    /// The claim for which poolers let go of the old leader, and a switchover waits; nil when none does. Who is halted
    /// goes on with nothing.
    package var draining: Claim? {
        guard self.halted == nil, case .failover(let machine) = self.activity, machine.isDraining else { return nil }
        return machine.claim
    }

    /// Whether enough followers answered lately for a failover to get anywhere.
    func canDiscover(_ rule: Rule, at now: Moment) -> Bool {
        let seen = rule.followers.filter { self.nodes[$0]?.fresh(self.freshness, at: now)?.inRecovery == true }
        return seen.count >= rule.followersToDiscover
    }
}
