extension Coordinator {
    /// Brings back every node that should follow and does not: by settings when it runs as a standby, through its
    /// agent otherwise. A member of an open rule is never rewound or cloned: its acknowledgement still counts.
    mutating func bringBack(at now: Moment, _ effects: inout Effects) {
        guard let (rule, names) = self.leaderToFollow, let state = self.state else { return }
        for spec in state.spec.nodes where spec.name != rule.leader {
            guard let view = self.nodes[spec.name], !self.isAttached(spec.name, view),
                !self.hostOrders.isBusy(spec.name)
            else { continue }
            guard let command = self.orderFor(spec, view, rule: rule, names: names, at: now, &effects) else { continue }
            self.nodes[spec.name]?.followedAt = now
            switch command {
            case .follow(_, _, let name), .rejoin(_, _, let name, _):
                if state.replicationNames[spec.name] != name { self.nodes[spec.name]?.pendingName = name }
            default: break
            }
            self.hostOrders.send(command, to: spec.name, at: now, &effects)
        }
    }

    /// While a term is being installed, its own look at the walsenders counts: the leader that is watched is the old one.
    private func isAttached(_ node: NodeName, _ view: NodeView) -> Bool {
        if case .failover(let machine) = self.activity { return machine.attached.contains(node) }
        return view.attachedSince != nil
    }

    private mutating func orderFor(
        _ spec: NodeSpec, _ view: NodeView, rule: Rule, names: [NodeName: ReplicationName], at now: Moment,
        _ effects: inout Effects
    ) -> NodeCommand? {
        let limit = self.freshness
        let isMember = self.state?.openRules.contains { $0.cohort.contains(spec.name) } ?? true
        let counts = isMember && !DecisionFaults.isOn(.recloneMember)
        let hasAgent = spec.agent != nil
        let isInstalling = if case .failover = self.activity { true } else { false }
        let isKnown = self.isKnownToFollow(spec.name, rule, names)
        // Its WAL must be compared with the leader's first, which may end in replacing it: not while it counts.
        if !isKnown, counts, hasAgent { return nil }
        if let facts = view.freshFacts(limit, at: now), hasAgent, facts.activity == nil {
            switch facts.postmaster {
            case .stopped, .absent:
                let mode: RejoinMode = counts ? .startOnly : (view.requestedRejoin ?? .rebuild)
                return self.rejoin(spec.name, rule, names, mode: mode)
            case .running: break
            }
        }
        // An observation that began before the last order, or before the last procedure ended, does not show its result.
        guard let seen = view.fresh(limit, at: now), let from = view.observedFrom, from >= view.followedAt ?? from
        else {
            return nil
        }
        // Nobody told it whom to follow (it was sealed too late to be counted): no reason to wait.
        let isStranded = view.followedAt == nil && seen.receiver == nil
        let patience = isStranded ? now : (view.followedAt ?? view.detachedSince) + Self.attachGrace
        if !seen.inRecovery {
            guard hasAgent, !counts else { return nil }
            guard self.isFormerLeader(spec.name, seen, rule) || view.requestedRejoin != nil else { return nil }
            return self.rejoin(spec.name, rule, names, mode: view.requestedRejoin ?? .rebuild)
        }
        // The failover itself tells its followers; here come those that it could not reach.
        if isInstalling, names[spec.name] != nil { return nil }
        guard now >= patience || seen.pledge?.claim != rule.claim else {
            effects.wake(at: patience)
            return nil
        }
        let wasTold = seen.pledge?.claim == rule.claim && seen.syncNames == SyncList.fence.setting
        if hasAgent, !counts, !isKnown || (wasTold && view.followedAt != nil) {
            return self.rejoin(spec.name, rule, names, mode: view.requestedRejoin ?? .rebuild)
        }
        guard hasAgent || !self.mayHaveForked(spec.name, seen, rule) else { return nil }
        return .follow(rule.pledge, leader: rule.leader, name: self.name(of: spec.name, names, keep: counts))
    }

    /// Whether the WAL of `node` is known to be a part of the leader's: it was sealed in the claim that made the
    /// leader, or has joined since. Of all others only an agent can tell, by comparing: equal timeline ids do not
    /// prove equal history.
    private func isKnownToFollow(_ node: NodeName, _ rule: Rule, _ names: [NodeName: ReplicationName]) -> Bool {
        if rule.cohort.contains(node) || names[node] != nil { return true }
        return self.state?.timelines.last { $0.term == rule.number.term }?.isHeld(by: node) ?? true
    }

    /// A standby without an agent whose WAL nobody has compared with the leader's: its timeline may be another one that
    /// bears the same id, and then PostgreSQL would stream across the fork without noticing.
    func mayHaveForked(_ node: NodeName, _ seen: ServerObservation, _ rule: Rule) -> Bool {
        guard let state = self.state, seen.inRecovery, state.spec[node]?.agent == nil,
            !self.isKnownToFollow(node, rule, state.replicationNames)
        else { return false }
        return !state.timelines.contains {
            $0.timeline == seen.timeline && ($0.fork == nil || ($0.isHeld(by: node) && $0.isHeld(by: rule.leader)))
        }
    }

    private mutating func rejoin(
        _ node: NodeName, _ rule: Rule, _ names: [NodeName: ReplicationName], mode: RejoinMode
    ) -> NodeCommand {
        .rejoin(
            rule.pledge, leader: rule.leader, name: self.name(of: node, names, keep: mode == .startOnly), mode: mode)
    }

    /// A member keeps the name that the leader's list holds; everyone else gets a new one.
    private mutating func name(
        of node: NodeName, _ names: [NodeName: ReplicationName], keep: Bool
    ) -> ReplicationName {
        if keep, let name = names[node] { return name }
        return ReplicationName(node: node, suffix: self.generator.next())
    }

    /// A primary that led an earlier term, or ran a timeline which an earlier term explains. Any other primary was
    /// promoted by hand: people decide.
    func isFormerLeader(_ node: NodeName, _ seen: ServerObservation, _ rule: Rule) -> Bool {
        guard let state = self.state else { return false }
        if state.displaced.contains(node) { return true }
        if let pledge = seen.pledge, pledge.number.term < rule.number.term { return true }
        let terms = state.timelines.filter { $0.timeline == seen.timeline }.map(\.term)
        return terms.contains { $0 < rule.number.term } && !terms.contains(rule.number.term)
    }

    mutating func hostAnswered(
        _ node: NodeName, _ command: NodeCommand, _ outcome: NodeOutcome, at now: Moment, _ effects: inout Effects
    ) {
        switch outcome {
        case .failed(let failure):
            self.hostOrders.failed(node, at: now)
            self.nodes[node]?.lastFailure = failure
            if case .checkpoint = command { self.checkpointed(at: now, &effects) }
            return
        case .done:
            self.nodes[node]?.lastFailure = nil
            self.nodes[node]?.followedAt = now
            switch command {
            case .checkpoint: self.checkpointed(at: now, &effects)
            case .rejoin(let pledge, _, let name, let mode):
                self.nodes[node]?.requestedRejoin = nil
                self.tellInstall(node, name, pledge.claim, at: now)
                if mode != .startOnly, pledge.claim == self.state?.rule?.claim {
                    self.edits.append(.follows(node, pledge.number.term))
                }
            case .follow(let pledge, _, let name):
                self.tellInstall(node, name, pledge.claim, at: now)
                if pledge.claim == self.state?.rule?.claim, self.state?.spec[node]?.agent == nil {
                    self.edits.append(.follows(node, pledge.number.term))
                }
            case .seal, .reclaim, .readPosition, .promote, .writeTermRow, .readSenders, .setSyncList, .fence,
                .startLeader, .startStandby, .initialize, .lease:
                break
            }
        case .reclaimed:
            // Started in place with the fence standing; the list comes back by a rule change.
            self.settledAt = now
        case .sealed, .promoted, .wrote, .senders, .fenced, .initialized: break
        }
        self.hostOrders.succeeded(node)
    }

    /// A failover that waits for followers may count one that came back meanwhile.
    private mutating func tellInstall(_ node: NodeName, _ name: ReplicationName, _ claim: Claim, at now: Moment) {
        guard case .failover(var machine) = self.activity, machine.claim == claim else { return }
        machine.joined(node, name, at: now)
        self.activity = .failover(machine)
    }

    mutating func checkpointed(at now: Moment, _ effects: inout Effects) {
        guard case .preparing(let candidate, let reason) = self.activity else { return }
        self.activity = .idle
        self.startFailover(.planned(candidate: candidate), reason: reason, at: now, &effects)
    }
}
