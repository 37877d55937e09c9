/// Who leads next, with whom, and what is written down of it.
extension Failover {
    /// The server to lead, when every open rule allows it. Sets ``blockedReason`` otherwise.
    mutating func choose(at now: Moment, _ effects: inout Effects) -> NodeName? {
        let known = self.members.compactMapValues { self.reach($0) }
        guard !known.isEmpty else {
            self.blockedReason = "no server could be sealed: \(self.failuresInWords())"
            return nil
        }
        let ancestry = Ancestry(self.state.timelines)
        var ranks: [NodeName: Ancestry.Rank] = [:]
        for (node, position) in known { ranks[node] = ancestry.rank(position, of: node) }
        if self.isForced { return self.chooseForced(ranks, at: now, &effects) }
        if self.awaitsLeasedLeader(at: now, &effects) { return nil }
        var alone: NodeName?
        let candidates = [
            self.successor(ranks, at: now, &effects), self.greatest(ranks, self.evidence, at: now, &effects),
        ]
        for chosen in candidates {
            guard let chosen else { continue }
            if self.waitsForOthers(than: chosen),
                self.isUnheard(besides: [chosen], at: now)
                    || self.isHandoverCandidateBusy(chosen, at: now)
            {
                self.blockedReason = "waiting for the other servers to answer"
                effects.wake(at: self.started + Self.answerTime)
                return nil
            }
            let cohort = self.cohort(of: chosen)
            if self.isKeptFromLease(chosen, cohort, at: now, &effects) { return nil }
            guard let copies = self.copies(for: cohort, at: now) else {
                self.needsMoreCopies = self.isCopyDue(besides: cohort, at: now, &effects)
                self.blockedReason =
                    "servers that can hold a copy: \(cohort.count), copies asked for: \(self.copiesWanted)"
                alone = alone ?? chosen
                continue
            }
            self.blockedReason = nil
            self.needsMoreCopies = false
            self.plan = self.makePlan(chosen, cohort: cohort, copies: copies, position: known[chosen])
            return chosen
        }
        guard let alone else { return nil }
        var chosen = alone
        if let followed = self.greatestThatIsFollowed(ranks, without: alone, at: now, &effects) {
            chosen = followed
        } else if !self.othersCanBeRebuilt(for: alone, at: now, &effects) {
            return nil
        }
        self.blockedReason = nil
        self.needsMoreCopies = false
        self.plan = self.makePlan(
            chosen, cohort: self.cohort(of: chosen), copies: self.copiesWanted,
            position: known[chosen])
        return chosen
    }

    /// The best of the others that enough can follow, when `alone` and its like have too few who can follow
    /// them: on a branch that a later claim did not go on with, for it had no need of them. What is allowed while they do
    /// not answer, which is to satisfy every open rule without them, is no less so when they do.
    private mutating func greatestThatIsFollowed(
        _ ranks: [NodeName: Ancestry.Rank], without alone: NodeName, at now: Moment, _ effects: inout Effects
    ) -> NodeName? {
        guard var passed = ranks[alone], !self.isUnheard(besides: ranks.keys.sorted(), at: now) else { return nil }
        let words = self.blockedReason
        defer { self.blockedReason = words }
        // There may be more than one such branch.
        while true {
            let others = ranks.filter { $0.value < passed }
            let without = Set(ranks.keys).subtracting(others.keys)
            guard
                let chosen = self.greatest(
                    others, self.evidence.withoutPositions(of: without), at: now, &effects),
                let rank = ranks[chosen]
            else { return nil }
            if self.cohort(of: chosen).count >= self.copiesWanted { return chosen }
            passed = rank
        }
    }

    /// How far a member's WAL reaches. A running primary's goes on: whatever a follower of it holds, it holds too.
    private func reach(_ member: Member) -> WALPosition? {
        guard let position = member.position else { return nil }
        return member.way == .already ? WALPosition(history: position.history, end: LSN(.max)) : position
    }

    /// The best of the others, if they alone satisfy every open rule: when somebody asked for a change of leader, and
    /// in place of one that is down. Its agent can fence and read it before the standbys have answered, and then it
    /// holds the latest WAL; but its crash recovery takes an unknown time, and what only it holds was not acknowledged.
    ///
    /// Under a lease such WAL was acknowledged: then only who has all of it.
    private mutating func successor(
        _ ranks: [NodeName: Ancestry.Rank], at now: Moment, _ effects: inout Effects
    ) -> NodeName? {
        let staying: Set<NodeName>
        switch self.kind {
        case .adopt: return nil
        case .automatic: staying = self.oldLeaders.filter { self.members[$0]?.way == .start }
        case .requested, .planned: staying = self.oldLeaders.filter { self.members[$0]?.way == .already }
        }
        guard !staying.isEmpty else { return nil }
        let evidence = self.evidence.withoutPositions(of: staying)
        let others = ranks.filter { !staying.contains($0.key) }
        if self.hasLeases, others.values.max() != ranks.values.max() { return nil }
        return self.greatest(others, evidence, at: now, &effects)
    }

    /// The preferred one among those with the greatest rank, if every open rule allows it.
    private mutating func greatest(
        _ ranks: [NodeName: Ancestry.Rank], _ evidence: SealEvidence, at now: Moment, _ effects: inout Effects
    ) -> NodeName? {
        guard let best = ranks.values.max() else { return nil }
        let holders = ranks.filter { $0.value == best }.keys
        guard let chosen = holders.filter({ self.isEligible($0, at: now) }).min(by: { self.isPreferred($0, over: $1) })
        else {
            let names = holders.sorted().map(\.text).joined(separator: ", ")
            self.blockedReason = "only \(names) holds the latest WAL and may not be promoted"
            return nil
        }
        let missing = self.state.openRules.flatMap { $0.missing(evidence, chosen: chosen, at: now) }
        guard missing.isEmpty else {
            self.blockedReason = self.inWords(missing, at: now)
            self.wakeAtLeaseEnd(missing, &effects)
            return nil
        }
        return chosen
    }

    /// With data loss accepted: the best of those that answered, once each was asked and had its time.
    private mutating func chooseForced(
        _ ranks: [NodeName: Ancestry.Rank], at now: Moment, _ effects: inout Effects
    ) -> NodeName? {
        let waiting = self.state.spec.nodes.map(\.name).filter {
            ranks[$0] == nil && self.orders.failureCount($0) == 0 && !self.evidence.fenced.contains($0)
        }
        let eligible = ranks.keys.filter { self.isEligible($0, at: now) }
        guard waiting.isEmpty || now - self.started >= Self.answerTime,
            let best = eligible.compactMap({ ranks[$0] }).max()
        else {
            self.blockedReason = "waiting for \(waiting.map(\.text).joined(separator: ", "))"
            return nil
        }
        let target: NodeName? = if case .requested(let target, _) = self.kind { target } else { nil }
        let greatest = eligible.filter { ranks[$0] == best }
        guard
            let chosen = target.flatMap({ eligible.contains($0) ? $0 : nil })
                ?? greatest.min(by: { self.isPreferred($0, over: $1) })
        else { return nil }
        if self.waitsForLeaseEnd(chosen, at: now, &effects) { return nil }
        self.loss = self.possibleLoss(chosen, at: now).parts
        let cohort = self.cohort(of: chosen)
        self.plan = self.makePlan(
            chosen, cohort: cohort, copies: min(self.copiesWanted, cohort.count),
            position: self.members[chosen].flatMap { self.reach($0) })
        return chosen
    }

    private var isForced: Bool {
        if case .requested(_, let force) = self.kind { return force }
        return false
    }

    private func isEligible(_ node: NodeName, at now: Moment) -> Bool {
        guard !self.excluded.contains(node) || now - self.started >= Self.exclusion, let member = self.members[node],
            member.way != nil
        else { return false }
        if case .adopt(let leader) = self.kind { return node == leader }
        guard self.mayCount(node) else { return false }
        if self.oldLeaders.contains(node) { return true }
        return self.state.spec[node]?.nofailover != true && !self.state.removing.contains(node)
    }

    /// Among equal positions: the one asked for, one that needs no promotion, priority, name.
    private func isPreferred(_ a: NodeName, over b: NodeName) -> Bool {
        self.preference(a) != self.preference(b) ? self.preference(a) > self.preference(b) : a < b
    }

    private func preference(_ node: NodeName) -> Int {
        let priority = min(max(self.state.spec[node]?.priority ?? 0, 0), 1_000_000)
        let leadsNow = self.oldLeaders.contains(node)
        switch self.kind {
        case .planned(let candidate): return (node == candidate ? 4_000_000 : 0) + (leadsNow ? 0 : priority + 1)
        case .requested(let target, _): return (node == target ? 4_000_000 : 0) + (leadsNow ? 0 : priority + 1)
        case .automatic, .adopt:
            return (self.members[node]?.way == .already ? 4_000_000 : 0) + (leadsNow ? 0 : priority + 1)
        }
    }

    /// Every server may, member or not: only in a wrong variant are others left out.
    private func mayCount(_ node: NodeName) -> Bool {
        !DecisionFaults.isOn(.membersOnlyCohort) || self.state.rule?.cohort.contains(node) ?? true
    }

    /// The chosen server and every reachable one pledged to this claim that can stream from it.
    private func cohort(of chosen: NodeName) -> [NodeName] {
        guard let leader = self.members[chosen].flatMap({ self.reach($0) }) else { return [chosen] }
        let ancestry = Ancestry(self.state.timelines)
        let able = self.state.spec.nodes.filter { spec in
            guard spec.name != chosen else { return true }
            guard self.mayCount(spec.name), !spec.nosync, let member = self.members[spec.name], member.way == .promote,
                let position = member.position
            else { return false }
            return ancestry.canFollow(spec.name, at: position, leader: chosen, at: leader)
        }.map(\.name)
        return self.staying(able, besides: chosen)
    }

    /// Without the nodes that leave the cluster, unless too few others are there: such a one leaves later.
    func staying(_ nodes: [NodeName], besides leader: NodeName) -> [NodeName] {
        let staying = nodes.filter { $0 == leader || !self.state.removing.contains($0) }
        return staying.count < self.copiesWanted ? nodes : staying
    }

    /// Fewer than asked for only if the spec allows it, and only once every other server had its chance to answer.
    private func copies(for cohort: [NodeName], at now: Moment) -> Int? {
        let wanted = self.copiesWanted
        if cohort.count >= wanted { return wanted }
        guard !self.isUnheard(besides: cohort, at: now) else { return nil }
        return self.state.spec.durability.mayDegrade(nodes: self.state.spec.nodes.count) ? cohort.count : nil
    }

    /// Whether an old leader is started for its copy. That costs the others time, so whoever is expected to answer has the
    /// chance to; a server that was silent before the claim is not expected to.
    private mutating func isCopyDue(besides cohort: [NodeName], at now: Moment, _ effects: inout Effects) -> Bool {
        guard self.isUnheard(besides: cohort + self.silent, at: now) else { return true }
        let since = self.shortSince ?? now
        self.shortSince = since
        let due = since + Self.copyPatience
        guard now < due else { return true }
        effects.wake(at: due)
        return false
    }

    /// Whether servers that answer can hold the missing copies once their WAL was replaced, which takes a leader to
    /// copy from. Only those whose WAL counts for nothing that is still open, and only when those that hold such WAL
    /// had the time to come back: with the leader made, they can no longer be chosen in its place.
    private mutating func othersCanBeRebuilt(
        for leader: NodeName, at now: Moment, _ effects: inout Effects
    ) -> Bool {
        if case .adopt = self.kind { return false }
        guard !self.state.spec.durability.mayDegrade(nodes: self.state.spec.nodes.count) else { return false }
        let cohort = self.cohort(of: leader), standing = self.standingRules
        let able = self.state.spec.nodes.filter { spec in
            guard spec.agent != nil, !spec.nosync, !cohort.contains(spec.name), let member = self.members[spec.name]
            else { return false }
            return member.way == .promote && member.position != nil && !self.promotedByHand.contains(spec.name)
                && !self.state.removing.contains(spec.name) && !standing.contains { $0.cohort.contains(spec.name) }
        }
        guard cohort.count + able.count >= self.copiesWanted else {
            self.rebuildableSince = nil
            return false
        }
        let since = self.rebuildableSince ?? now
        self.rebuildableSince = since
        let due = since + Self.rebuildPatience
        guard now < due else { return true }
        effects.wake(at: due)
        return false
    }

    /// The open rules without those that a later term has outlived: its leader was chosen with everything that they had
    /// acknowledged, and enough of its followers hold WAL of its term to make the copies. It only died before that was
    /// written down.
    private var standingRules: [Rule] {
        let ancestry = Ancestry(self.state.timelines)
        let rules = self.state.openRules
        let outliving = rules.last { rule in
            rule.copies > 1
                && rule.followers.count { node in
                    self.members[node]?.position.map { ancestry.rank($0, of: node).term >= rule.number.term } ?? false
                } >= rule.copies - 1
        }
        guard let outliving else { return rules }
        return rules.filter { $0.number.term >= outliving.number.term }
    }

    /// Whether a server was asked and has neither answered nor failed, and its time is not over.
    func isUnheard(besides known: [NodeName], at now: Moment) -> Bool {
        guard now - self.started < Self.answerTime else { return false }
        return self.state.spec.nodes.contains {
            !known.contains($0.name) && self.members[$0.name] == nil && self.orders.failureCount($0.name) == 0
        }
    }

    /// A switchover's candidate that answers, but could not be sealed yet (a query holds its replay up), gets its time.
    private func isHandoverCandidateBusy(_ chosen: NodeName, at now: Moment) -> Bool {
        guard case .planned(let candidate) = self.kind, candidate != chosen, now - self.started < Self.answerTime,
            let member = self.members[candidate], member.position == nil
        else { return false }
        switch member.lastFailure {
        case .receiverRemains, .locked, .other: return true
        case .unreachable, .refused, .isPrimary, .isStandby, .foreignCluster, nil: return false
        }
    }

    /// Whether it is better to hear the others first: a new cluster is better complete than quick, a leader that is
    /// down recovers more slowly than a standby is promoted, and who was asked for should have the chance to answer.
    private func waitsForOthers(than chosen: NodeName) -> Bool {
        let isDown = self.members[chosen]?.way == .start
        switch self.kind {
        case .adopt: return true
        case .automatic: return isDown
        case .requested(let target, _): return isDown || (target != nil && target != chosen)
        case .planned(let candidate): return isDown || candidate != chosen
        }
    }

    private mutating func makePlan(_ chosen: NodeName, cohort: [NodeName], copies: Int, position: WALPosition?) -> Plan
    {
        let rule = Rule(
            number: RuleNumber(term: self.claim.term, version: 1), nonce: self.claim.nonce, leader: chosen,
            cohort: cohort, copies: copies, lease: self.leaseInForce)
        let ancestry = Ancestry(self.state.timelines)
        var names: [NodeName: ReplicationName] = [:]
        for node in self.state.spec.nodes.map(\.name) where node != chosen {
            guard let member = self.members[node], member.way == .promote, let own = member.position, let position,
                ancestry.canFollow(node, at: own, leader: chosen, at: position)
            else { continue }
            names[node] = ReplicationName(node: node, suffix: self.generator.next())
        }
        return Plan(
            rule: rule, way: self.members[chosen]?.way ?? .promote, names: names,
            position: position ?? WALPosition(history: TimelineHistory(timeline: TimelineID(0)), end: .zero))
    }

    /// The wrong switchover: the stop alone is trusted, and all the others are taken for followers.
    mutating func handedOver() -> NodeName? {
        guard case .planned(let candidate) = self.kind, let current = self.state.rule,
            let position = self.members[current.leader]?.position, self.evidence.fenced.contains(current.leader)
        else { return nil }
        let cohort = current.cohort.filter { $0 != current.leader }
        guard cohort.contains(candidate), cohort.count >= self.copiesWanted else { return nil }
        var names: [NodeName: ReplicationName] = [:]
        for node in cohort where node != candidate {
            names[node] = ReplicationName(node: node, suffix: self.generator.next())
        }
        self.plan = Plan(
            rule: Rule(
                number: RuleNumber(term: self.claim.term, version: 1), nonce: self.claim.nonce, leader: candidate,
                cohort: cohort, copies: self.copiesWanted),
            way: .promote, names: names, position: position)
        return candidate
    }

    mutating func record(_ chosen: NodeName, at now: Moment, _ effects: inout Effects) {
        guard let plan = self.plan, plan.rule.leader == chosen else { return }
        if DecisionFaults.isOn(.dropRulesAtRecord) { self.state.openRules = [] }
        // Whoever is to be rebuilt must not count any more.
        if plan.rule.lacksMembers { self.state.openRules = self.standingRules }
        self.state.openRules.append(plan.rule)
        self.state.replicationNames = plan.names
        self.state.loss = self.loss.isEmpty ? nil : PossibleLoss(term: self.claim.term, parts: self.loss)
        self.state.timelines.lead(chosen, from: plan.position)
        self.state.timelines.follow(chosen, plan.names.keys)
        if plan.way == .promote {
            self.state.timelines.append(
                RecordedTimeline(
                    term: plan.rule.number.term, timeline: TimelineID(0), fork: plan.position.end,
                    holders: [chosen] + plan.names.keys))
        }
        self.state.procedure = .promoting(rule: plan.rule, reason: self.reason)
        self.phase = .recording
        effects.persist = .init(
            state: self.state,
            entry: self.isForced
                ? .init(kind: "forced", detail: "data loss accepted: \(self.reason)", took: now - self.started) : nil)
    }

    private func inWords(_ missing: [Rule.Missing], at now: Moment) -> String {
        missing.map {
            switch $0 {
            case .notFenced(let unsealed):
                "the old leader could still acknowledge with \(unsealed.map(\.text).joined(separator: ", "))"
            case .notDiscovered(let unread, let needed):
                "\(needed) more of \(unread.map(\.text).joined(separator: ", ")) must be read"
            case .leaseLasts(let leader): self.whyLeaseLasts(leader)
            case .leaseRuns(let leader, let until):
                "the lease of \(leader) is surely over in \((until - now).milliseconds) ms"
            }
        }.joined(separator: "; ") + ": " + self.failuresInWords()
    }

    private func failuresInWords() -> String {
        self.members.sorted { $0.key < $1.key }
            .compactMap { node, member in member.lastFailure.map { "\(node): \($0)" } }.joined(separator: ", ")
    }
}
