extension Coordinator {
    /// Looks at everything known and begins what is due. Called after every event.
    mutating func decide(at now: Moment, _ effects: inout Effects) {
        self.verdict = self.health.verdict(at: now)
        guard self.state != nil, self.halted == nil, self.writing == nil else { return }
        self.resumeClaim(at: now, &effects)
        guard self.writing == nil, !self.isResumingClaim else { return }
        switch self.activity {
        case .idle, .preparing, .ruleChange: self.judgeLeader(at: now, &effects)
        case .bootstrap, .failover: break
        }
        guard self.writing == nil else { return }
        if case .preparing = self.activity { self.prepare(at: now, &effects) }
        guard self.writing == nil else { return }
        if case .idle = self.activity {
            self.applyEdits(at: now, &effects)
            if self.writing == nil { self.adjustRule(at: now, &effects) }
        }
        self.bringBack(at: now, &effects)
        self.renewLease(at: now, &effects)
    }

    /// A claim that is written down is brought to its end, whatever became of the machine that made it: what it recorded
    /// may have acknowledged commits, and the rules before it must not be gone on with.
    private mutating func resumeClaim(at now: Moment, _ effects: inout Effects) {
        guard case .idle = self.activity else { return }
        switch self.state?.procedure {
        case .sealing(_, let reason, let planned, let forced):
            guard self.hasLooked(at: now, &effects) else { return }
            self.claimAgain(planned, forced: forced, reason: reason, at: now, &effects)
        case .promoting(_, let reason): self.startFailover(.automatic, reason: reason, at: now, &effects)
        case .bootstrap, .changingRule, nil: break
        }
    }

    /// A claim that is written down waits for ``hasLooked(at:_:)``.
    var isResumingClaim: Bool {
        guard case .idle = self.activity, case .sealing = self.state?.procedure else { return false }
        return true
    }

    /// Whether every member showed its pledge, or did not answer. A new claim is above any pledge, and its seal takes the
    /// place of what would have told that the store is an old one.
    private func hasLooked(at now: Moment, _ effects: inout Effects) -> Bool {
        let members = Set(self.state?.openRules.flatMap(\.cohort) ?? [])
        let isMissed = members.contains { node in
            guard let view = self.nodes[node] else { return false }
            return view.observation == nil && view.facts == nil && view.failure == nil
        }
        let due = self.loadedAt + (self.state?.spec.timings.confirmAfter ?? .zero)
        guard isMissed, now < due else { return true }
        effects.wake(at: due)
        return false
    }

    /// A new claim in place of one that recorded nothing: orders of the old one may still be under way somewhere.
    mutating func claimAgain(
        _ planned: NodeName?, forced: Bool, reason: String, at now: Moment, _ effects: inout Effects
    ) {
        let kind: Failover.Kind
        if self.state?.rule == nil, let planned {
            kind = .adopt(leader: planned)
        } else {
            kind = forced ? .requested(target: planned, force: true) : .automatic
        }
        self.startFailover(kind, reason: reason, at: now, &effects)
    }

    private mutating func judgeLeader(at now: Moment, _ effects: inout Effects) {
        self.waitingReason = nil
        guard let state = self.state, let rule = state.rule else { return }
        guard case .replace(let cause) = self.verdict else {
            switch self.activity {
            case .idle:
                self.judgeDisk(rule, at: now, &effects)
                if self.writing == nil { self.judgeIsolation(rule, at: now, &effects) }
            // A change that waits for followers in vain does not stand in the way.
            case .ruleChange: self.judgeIsolation(rule, at: now, &effects)
            case .bootstrap, .preparing, .failover: break
            }
            return
        }
        if state.paused {
            self.waitingReason = "the leader should be replaced (\(cause.words)), but the cluster is paused"
            return
        }
        if state.openRules.allSatisfy({ self.canDiscover($0, at: now) }) {
            let interval = state.spec.timings.failoverInterval
            if let ended = self.lastFailoverEnded, now - ended < interval {
                self.waitingReason = "the last failover ended less than \(interval.milliseconds) ms ago"
                effects.wake(at: ended + interval)
                return
            }
            self.startFailover(
                .automatic, reason: "\(rule.leader) is to be replaced: \(cause.words)", at: now, &effects)
        } else {
            self.waitingReason =
                "the leader should be replaced (\(cause.words)), but too few standbys answer to know every commit"
            self.restartInPlace(rule, cause, at: now, &effects)
        }
    }

    /// Nobody else can lead: the agent may start the leader again under the rule that names it.
    private mutating func restartInPlace(
        _ rule: Rule, _ cause: LeaderHealth.Cause, at now: Moment, _ effects: inout Effects
    ) {
        guard cause == .postmasterExited, self.state?.spec[rule.leader]?.agent != nil else { return }
        // It may have taken the pledge of a change that was not confirmed.
        let newest = self.state?.openRules.last { $0.claim == rule.claim } ?? rule
        self.hostOrders.send(.startLeader(newest.pledge), to: rule.leader, at: now, &effects)
    }

    /// Asks for the checkpoint before a switchover; the leader may still be busy with an earlier order.
    private mutating func prepare(at now: Moment, _ effects: inout Effects) {
        guard let leader = self.state?.rule?.leader else { return }
        guard now - self.preparingSince < Self.checkpointPatience else {
            self.checkpointed(at: now, &effects)
            return
        }
        effects.wake(at: self.preparingSince + Self.checkpointPatience)
        self.hostOrders.send(.checkpoint, to: leader, at: now, &effects)
    }

    // MARK: - Who is in the cohort

    private mutating func adjustRule(at now: Moment, _ effects: inout Effects) {
        guard let state = self.state, let rule = state.rule, now >= self.ruleChangeNotBefore,
            self.verdict == .healthy,
            let leader = self.nodes[rule.leader]?.fresh(state.spec.timings.freshness, at: now), !leader.inRecovery,
            let seenAt = self.nodes[rule.leader]?.observedAt, seenAt > self.settledAt + state.spec.timings.probeInterval
        else { return }
        let (cohort, copies) = self.wantedCohort(rule, leader, at: now, &effects)
        let expected = SyncList(rule, names: state.replicationNames).setting
        if cohort != Set(rule.cohort) || copies != rule.copies || state.spec.lease != rule.lease {
            let left = Set(rule.cohort).subtracting(cohort).sorted(), joined = cohort.subtracting(rule.cohort).sorted()
            let words = [
                left.isEmpty ? nil : "\(left.map(\.text).joined(separator: ", ")) left",
                joined.isEmpty ? nil : "\(joined.map(\.text).joined(separator: ", ")) joined",
                copies == rule.copies ? nil : "\(copies) copies instead of \(rule.copies)",
                Self.changeOfLease(from: rule.lease, to: state.spec.lease),
            ].compactMap { $0 }.joined(separator: "; ")
            self.changeRule(cohort: cohort, copies: copies, reason: words, at: now, &effects)
        } else if state.openRules.count > 1 || state.procedure != nil {
            self.changeRule(
                cohort: cohort, copies: copies, reason: "an earlier change was not confirmed", at: now, &effects)
        } else if leader.syncNames != expected {
            self.changeRule(
                cohort: cohort, copies: copies, reason: "synchronous_standby_names was not what the rule asks for",
                at: now, &effects)
        }
    }

    private mutating func changeRule(
        cohort: Set<NodeName>, copies: Int, reason: String, at now: Moment, _ effects: inout Effects
    ) {
        guard var state = self.state else { return }
        for node in cohort {
            if let name = self.nodes[node]?.pendingName { state.replicationNames[node] = name }
        }
        if let leader = state.rule?.leader {
            state.timelines.follow(leader, self.nodes.filter { $0.value.attachedSince != nil && $0.key != leader }.keys)
        }
        self.start(
            .ruleChange(
                RuleChange(state, cohort: cohort, copies: copies, lease: state.spec.lease, reason: reason, at: now)),
            at: now, &effects)
    }

    /// The leader, the members that are attached or not yet given up, and the standbys that have caught up.
    private func wantedCohort(
        _ rule: Rule, _ leader: ServerObservation, at now: Moment, _ effects: inout Effects
    ) -> (Set<NodeName>, Int) {
        guard let spec = self.state?.spec else { return (Set(rule.cohort), rule.copies) }
        var cohort: Set<NodeName> = [rule.leader]
        let removing = self.state?.removing ?? []
        for node in spec.nodes where node.name != rule.leader && !node.nosync && !removing.contains(node.name) {
            guard let view = self.nodes[node.name] else { continue }
            let isMember = rule.cohort.contains(node.name)
            if let since = view.attachedSince {
                let joins = now - since >= Self.joinDelay && self.hasCaughtUp(node.name, leader)
                if isMember || joins { cohort.insert(node.name) } else { effects.wake(at: since + Self.joinDelay) }
            } else if isMember, now - view.detachedSince < spec.timings.standbyTimeout {
                cohort.insert(node.name)
                effects.wake(at: view.detachedSince + spec.timings.standbyTimeout)
            }
        }
        let copies = spec.durability.copiesInForce
        if cohort.count >= copies { return (cohort, copies) }
        // Too few for the copies that were asked for: one less only if the spec allows it.
        if spec.durability.mayDegrade(nodes: spec.nodes.count) { return (cohort, cohort.count) }
        return (Set(rule.cohort), rule.copies)
    }

    private func hasCaughtUp(_ node: NodeName, _ leader: ServerObservation) -> Bool {
        let names = [self.state?.replicationNames[node], self.nodes[node]?.pendingName].compactMap { $0?.description }
        return leader.senders.contains { sender in
            names.contains(sender.applicationName) && sender.state == "streaming"
                && leader.position.bytesAhead(of: sender.flushed ?? .zero) < Self.joinLag
        }
    }
}
