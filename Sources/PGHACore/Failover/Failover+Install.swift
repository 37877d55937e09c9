extension Failover {
    mutating func installAnswered(
        _ node: NodeName, _ command: NodeCommand, _ outcome: NodeOutcome, at now: Moment, _ effects: inout Effects
    ) {
        guard let plan = self.plan else { return }
        switch outcome {
        case .promoted(let position), .reclaimed(let position):
            if self.phase == .promoting, node == plan.rule.leader {
                self.becameWritable(position, at: now, &effects)
            }
        case .wrote(let end): self.rowEnd = end
        case .senders(let senders): self.looked(senders, at: now)
        case .done:
            if case .follow = command { self.followersTold[node] = now }
            if case .lease = command { self.isLeased = true }
            if case .setSyncList = command { self.close(at: now, &effects) }
        case .failed(let failure):
            self.orders.failed(node, at: now)
            if node == plan.rule.leader { self.leaderFailed(failure) }
            return
        case .sealed, .fenced, .initialized: break
        }
        self.orders.succeeded(node)
        guard case .senders = outcome, !self.isAttached(plan) else { return }
        let isAlone = plan.rule.lacksMembers && self.attached.isEmpty
        self.orders.wait(node, until: now + (isAlone ? Self.rebuildPoll : Self.senderPoll))
    }

    /// Writes down which timeline this term has, before anything on it can be acknowledged.
    private mutating func becameWritable(_ position: WALPosition, at now: Moment, _ effects: inout Effects) {
        guard let plan = self.plan, let last = position.history.segments.last else { return }
        self.leaderPosition = position
        self.phase = .attaching
        self.attachingSince = now
        self.timelineStored = false
        let term = plan.rule.number.term
        let isKnown = self.state.timelines.contains {
            $0.term == term && $0.timeline == last.timeline && $0.fork == last.begin
        }
        if !isKnown {
            // Nothing of this term was acknowledged yet, so it may as well begin here: that is right for a leader
            // that was promoted and for one that leads on in place, and a resumed claim need not know which.
            self.state.timelines.removeAll { $0.term == term && $0.timeline.number == 0 }
            self.state.timelines.append(
                RecordedTimeline(
                    term: term, timeline: last.timeline, fork: last.begin, start: position.end,
                    holders: [plan.rule.leader] + plan.names.keys))
        }
        effects.persist = .init(state: self.state)
    }

    /// After *record* there is no undo: a candidate that cannot lead is left for a new claim, in which its own
    /// rule must be satisfied like every other open one.
    private mutating func leaderFailed(_ failure: NodeFailure) {
        guard let plan = self.plan, self.orders.failureCount(plan.rule.leader) >= Self.promoteAttempts,
            // The new claim has to be written, and another write is under way.
            self.phase != .attaching || self.timelineStored
        else { return }
        self.progress = .failed(
            reason: "\(plan.rule.leader) could not be made the leader of term \(self.claim.term): \(failure)",
            exclude: plan.rule.leader)
    }

    private mutating func looked(_ senders: [SenderObservation], at now: Moment) {
        guard let plan = self.plan else { return }
        let byName = Dictionary(plan.names.map { ($0.value.description, $0.key) }, uniquingKeysWith: { a, _ in a })
        self.attached = []
        self.lookedAt = now
        // A rule that lacks members has no row: it is for the rule with those who come to the leader's timeline.
        guard let end = plan.rule.lacksMembers ? self.leaderPosition?.end : self.rowEnd else { return }
        for sender in senders where sender.state == "streaming" {
            if let node = byName[sender.applicationName], let flushed = sender.flushed, flushed >= end {
                self.attached.insert(node)
            }
        }
    }

    /// Whether enough followers of the rule have flushed its row.
    private func isAttached(_ plan: Plan) -> Bool {
        self.attached.intersection(plan.rule.followers).count >= plan.rule.copies - 1
    }

    mutating func advanceInstall(at now: Moment, _ effects: inout Effects) {
        guard self.phase == .attaching, self.timelineStored, let plan = self.plan else { return }
        if plan.rule.lacksMembers {
            self.blockedReason =
                "\(plan.rule.leader) waits for servers to be rebuilt: \(plan.rule.copies) copies need them"
            if !self.attached.isEmpty { self.replaceCohort(at: now, &effects) }
            return
        }
        guard self.rowEnd != nil else { return }
        if self.isAttached(plan) {
            self.phase = .opening
        } else if now - self.attachingSince >= self.state.spec.timings.standbyTimeout {
            self.replaceCohort(at: now, &effects)
        } else {
            effects.wake(at: self.attachingSince + self.state.spec.timings.standbyTimeout)
        }
    }

    /// The recorded cohort did not attach in time: a higher version with those that did supersedes it. The lower
    /// one stays open until the higher one is confirmed.
    private mutating func replaceCohort(at now: Moment, _ effects: inout Effects) {
        guard let plan = self.plan, effects.persist == nil else { return }
        self.attachingSince = now
        let able = self.attached.filter { self.state.spec[$0]?.nosync == false }.union([plan.rule.leader])
        let cohort = Set(self.staying(able.sorted(), besides: plan.rule.leader))
        let wanted = self.copiesWanted
        let mayDegrade = self.state.spec.durability.mayDegrade(nodes: self.state.spec.nodes.count)
        guard cohort.count >= wanted || mayDegrade, cohort != Set(plan.rule.cohort) else { return }
        let listed = self.isResumed ? self.state.openRules.filter { $0.claim == self.claim } : []
        let step = listed.onTheWay(to: cohort, copies: min(wanted, cohort.count))
        guard step.cohort != Set(plan.rule.cohort) || step.copies != plan.rule.copies else { return }
        let next = Rule(
            number: RuleNumber(term: plan.rule.number.term, version: plan.rule.number.version + 1),
            nonce: plan.rule.nonce, leader: plan.rule.leader, cohort: step.cohort, copies: step.copies,
            lease: step.copies == 1 ? plan.rule.lease : nil)
        self.plan?.rule = next
        self.blockedReason = nil
        self.rowEnd = nil
        self.timelineStored = false
        self.state.timelines.follow(plan.rule.leader, cohort)
        self.state.openRules.append(next)
        self.state.procedure = .promoting(rule: next, reason: self.reason)
        effects.persist = .init(state: self.state)
    }

    mutating func sendInstallOrders(at now: Moment, _ effects: inout Effects) {
        guard let plan = self.plan, plan.rule.number.version == self.recordedVersion else { return }
        let leader = plan.rule.leader
        switch self.phase {
        case .promoting:
            switch plan.way {
            case .promote: self.orders.send(.promote(self.pledge), to: leader, at: now, &effects)
            case .already:
                let isStopped = self.state.spec[leader]?.agent != nil && self.orders.failureCount(leader) % 2 == 1
                self.orders.send(
                    isStopped ? .startLeader(self.pledge) : .reclaim(self.pledge), to: leader, at: now, &effects)
            case .start: self.orders.send(.startLeader(self.pledge), to: leader, at: now, &effects)
            }
            self.tellFollowers(at: now, &effects)
        case .attaching:
            self.tellFollowers(at: now, &effects)
            if self.rowEnd == nil, !plan.rule.lacksMembers, let timeline = self.state.timelines.last {
                self.orders.send(
                    .writeTermRow(plan.rule, timeline: timeline, reason: self.reason), to: leader, at: now, &effects)
            } else {
                self.orders.send(.readSenders(self.pledge), to: leader, at: now, &effects)
            }
        case .opening:
            if !self.isLeased, !DecisionFaults.isOn(.openWithoutLease),
                let terms = LeaseTerms(self.state.openRules, leader: leader, pledge: self.pledge)
            {
                self.orders.send(.lease(self.pledge, terms), to: leader, at: now, &effects)
                return
            }
            self.orders.send(
                .setSyncList(self.pledge, SyncList(plan.rule, names: plan.names)), to: leader, at: now, &effects)
        case .claiming, .draining, .handingOver, .sealing, .rereading, .recording, .closing, .finished: break
        }
    }

    private mutating func tellFollowers(at now: Moment, _ effects: inout Effects) {
        guard let plan = self.plan else { return }
        for (node, name) in plan.names.sorted(by: { $0.key < $1.key }) where !self.attached.contains(node) {
            if let told = self.followersTold[node], now - told < Self.attachGrace {
                effects.wake(at: told + Self.attachGrace)
                continue
            }
            self.orders.send(.follow(self.pledge, leader: plan.rule.leader, name: name), to: node, at: now, &effects)
        }
    }

    private mutating func close(at now: Moment, _ effects: inout Effects) {
        guard let plan = self.plan, self.phase == .opening else { return }
        self.phase = .closing
        self.openedAt = now
        self.state.close(plan.rule)
        effects.persist = .init(
            state: self.state,
            entry: .init(
                kind: self.historyKind, detail: "\(plan.rule.leader) leads: \(self.reason)\(self.lossInWords)",
                took: now - self.started))
    }

    private var historyKind: String {
        switch self.kind {
        case .automatic, .requested: "failover"
        case .planned: "switchover"
        case .adopt: "bootstrap"
        }
    }
}

extension Failover {
    package var startedAt: Moment { self.started }

    /// Who leads when this is done, as far as that is decided.
    package var successor: NodeName? {
        if let plan = self.plan { return plan.rule.leader }
        if case .planned(let candidate) = self.kind { return candidate }
        return nil
    }

    /// A server came back as a standby of the candidate, under `name`, while the term is being installed.
    package mutating func joined(_ node: NodeName, _ name: ReplicationName, at now: Moment) {
        guard self.plan != nil else { return }
        self.plan?.names[node] = name
        self.state.replicationNames[node] = name
        self.followersTold[node] = now
    }
}
