/// Changes cohort or copies under a healthy leader (DESIGN section 5, "Changing a rule").
///
/// Walsenders release commits by their own copy of the list, and a change of N shows nowhere. So the list passes
/// through `FIRST k (pgha_marker, …)`, which shows as a priority of 2 or more once a walsender has reloaded, then
/// back to `ANY`, and only a row flushed after that by the new list confirms the new rule. Until then both rules
/// are open. A change that is interrupted is finished, or superseded by a higher version; never undone.
package struct RuleChange: Sendable {
    package enum Phase: Hashable, Sendable {
        /// The new rule is being added to the open rules. Next: `fencing` when leaving one copy, `opening` when
        /// going to one, else `marking`; `leasing` when the leader needs a lease for that.
        case recording
        /// The leader's agent is being told the terms of its lease. Next: `listing`.
        case leasing
        /// From one copy: nothing may be acknowledged until the list stands. Next: `marking`.
        case fencing
        /// Next: `markerSeen` once set.
        case marking
        /// Every walsender must show that it has loaded the marked list. Next: `listing`.
        case markerSeen
        /// Next: `listSeen`, or `closing` with one copy; under a lease `writing`.
        case listing
        /// Every walsender must show that it has loaded the final list. Next: `writing`.
        case listSeen
        /// The row is being inserted. Next: `confirming`; under a lease `closing`.
        case writing
        /// N − 1 members of the new list must flush the row. Next: `closing`.
        case confirming(LSN)
        /// Older rules are being dropped. Next: `finished`.
        case closing
        case finished
    }

    /// How long walsenders may take to show a list before it is set again: the leader may have been started in place
    /// meanwhile, and then it has the fence.
    static let showPatience = Duration.seconds(1)
    /// Attempts to reach the leader before its owner looks at its health again.
    static let attempts = 8

    package private(set) var state: ClusterState
    package let target: Rule
    package let reason: String
    package private(set) var phase: Phase = .recording
    package private(set) var progress: ProcedureProgress = .running

    private let started: Moment
    private let leavesOneCopy: Bool
    private let names: [NodeName: ReplicationName]
    private var orders = MemberOrders()
    /// When the list or the row that is waited for was set.
    private var setAt: Moment

    /// `state` has a current rule and no procedure. Some changes take two steps, and then this is the first of them: its
    /// `target` has another cohort or number of copies than was asked for; see `onTheWay(to:copies:)`.
    package init(
        _ state: ClusterState, cohort: some Sequence<NodeName>, copies: Int, lease: Duration? = nil, reason: String,
        at now: Moment
    ) {
        guard let rule = state.rule else { preconditionFailure("a rule change needs a rule") }
        let version = (state.openRules.last?.number.version ?? rule.number.version) + 1
        let step = state.openRules.onTheWay(to: Set(cohort).union([rule.leader]), copies: copies)
        let target = Rule(
            number: RuleNumber(term: rule.number.term, version: version), nonce: rule.nonce, leader: rule.leader,
            cohort: step.cohort, copies: step.copies, lease: step.copies == 1 ? lease : nil)
        var next = state
        next.openRules.append(target)
        next.procedure = .changingRule(rule: target, reason: reason)
        self.init(next, target: target, reason: reason, phase: .recording, at: now)
    }

    /// Finishes a change that another controller recorded.
    package init(finishing target: Rule, reason: String, state: ClusterState, at now: Moment) {
        self.init(state, target: target, reason: reason, phase: .recording, at: now)
        self.phase = self.firstPhase
    }

    private init(_ state: ClusterState, target: Rule, reason: String, phase: Phase, at now: Moment) {
        self.state = state
        self.target = target
        self.reason = reason
        self.phase = phase
        self.started = now
        self.setAt = now
        self.names = state.replicationNames
        self.leavesOneCopy = target.copies > 1 && state.openRules.contains { $0.copies == 1 }
    }

    private var leader: NodeName { self.target.leader }

    private var firstPhase: Phase {
        if DecisionFaults.isOn(.confirmByOneCommit) { return .listing }
        if self.target.copies == 1 { return self.leaseTerms == nil ? .listing : .leasing }
        return self.leavesOneCopy ? .fencing : .marking
    }

    /// What the leader must hold before its list is opened, and before a rule is dropped that asks for less.
    private var leaseTerms: LeaseTerms? {
        guard self.target.lease != nil, !DecisionFaults.isOn(.growWithoutTerms) || self.state.rule?.lease == nil else {
            return nil
        }
        return LeaseTerms(self.state.openRules, leader: self.leader, pledge: self.target.pledge)
    }

    package mutating func begin(at now: Moment) -> Effects {
        var effects = Effects()
        if DecisionFaults.isOn(.oneCopyWithoutStore), self.target.copies == 1 {
            self.phase = .listing
            self.sendOrder(at: now, &effects)
        } else if self.phase == .recording {
            effects.persist = .init(state: self.state)
        } else {
            self.sendOrder(at: now, &effects)
        }
        return effects
    }

    package mutating func handle(_ event: ProcedureEvent, at now: Moment) -> Effects {
        var effects = Effects()
        switch event {
        case .stored:
            switch self.phase {
            case .recording: self.phase = self.firstPhase
            case .closing:
                self.phase = .finished
                self.progress = .finished
            case .leasing, .fencing, .marking, .markerSeen, .listing, .listSeen, .writing, .confirming, .finished: break
            }
        case .answered(let node, let command, let outcome):
            guard self.orders.accept(node, command) else { break }
            self.answered(outcome, at: now, &effects)
        case .drained, .tick: break
        }
        if self.progress == .running { self.sendOrder(at: now, &effects) }
        return effects
    }

    private mutating func answered(_ outcome: NodeOutcome, at now: Moment, _ effects: inout Effects) {
        switch outcome {
        case .failed(.refused(let holding)):
            self.progress = .storeIsOlder(holding: holding)
            return
        case .failed(let failure):
            self.orders.failed(self.leader, at: now)
            if self.orders.failureCount(self.leader) >= Self.attempts {
                if DecisionFaults.isOn(.undoRuleChange) {
                    self.undo(&effects)
                    return
                }
                self.progress = .failed(reason: "\(self.leader) does not take the rule: \(failure)", exclude: nil)
            }
            return
        case .done: self.isSet(at: now, &effects)
        case .wrote(let end):
            if self.phase == .writing, self.target.lease != nil {
                self.close(at: now, &effects)
            } else if self.phase == .writing {
                (self.phase, self.setAt) = (.confirming(end), now)
            }
        case .senders(let senders): self.looked(senders, at: now, &effects)
        case .sealed, .reclaimed, .promoted, .fenced, .initialized: break
        }
        self.orders.succeeded(self.leader)
        if case .senders = outcome { self.orders.wait(self.leader, until: now + Failover.senderPoll) }
    }

    private mutating func isSet(at now: Moment, _ effects: inout Effects) {
        self.setAt = now
        switch self.phase {
        case .leasing: self.phase = .listing
        case .fencing: self.phase = .marking
        case .marking: self.phase = .markerSeen
        // The row is for whoever makes the store again: nobody need flush it.
        case .listing where self.target.lease != nil: self.phase = .writing
        case .listing where self.target.copies == 1: self.close(at: now, &effects)
        case .listing: self.phase = DecisionFaults.isOn(.confirmByOneCommit) ? .writing : .listSeen
        case .recording, .markerSeen, .listSeen, .writing, .confirming, .closing, .finished: break
        }
    }

    private mutating func looked(_ senders: [SenderObservation], at now: Moment, _ effects: inout Effects) {
        let listed = Set(self.target.followers.compactMap { self.names[$0]?.description })
        let isOverdue = now - self.setAt >= Self.showPatience
        switch self.phase {
        case .markerSeen:
            if senders.allSatisfy({ listed.contains($0.applicationName) ? $0.syncPriority >= 2 : $0.syncPriority == 0 })
            {
                self.phase = .listing
            } else if isOverdue {
                self.phase = .marking
            }
        case .listSeen:
            if senders.allSatisfy({ $0.syncPriority == (listed.contains($0.applicationName) ? 1 : 0) }) {
                self.phase = .writing
            } else if isOverdue {
                self.phase = .listing
            }
        case .confirming(let end):
            var flushed = Set(
                senders.filter { listed.contains($0.applicationName) && $0.flushed ?? .zero >= end }
                    .map(\.applicationName))
            if DecisionFaults.isOn(.confirmByOneCommit), senders.contains(where: { $0.flushed ?? .zero >= end }) {
                flushed = listed
            }
            if DecisionFaults.isOn(.confirmWithoutFlush) { flushed = listed }
            if flushed.count >= self.target.copies - 1 {
                self.close(at: now, &effects)
            } else if now - self.setAt >= self.state.spec.timings.standbyTimeout {
                // A member went meanwhile: a higher version with those that are there supersedes this one.
                self.progress = .failed(
                    reason: "too few members of rule \(self.target.number) have flushed its row", exclude: nil)
            }
        case .recording, .leasing, .fencing, .marking, .listing, .writing, .closing, .finished: break
        }
    }

    private mutating func close(at now: Moment, _ effects: inout Effects) {
        self.phase = .closing
        self.state.close(self.target)
        let members = self.target.cohort.map(\.text).joined(separator: ", ")
        effects.persist = .init(
            state: self.state,
            entry: .init(
                kind: "rule", detail: "\(self.target.copies) copies among \(members): \(self.reason)",
                took: now - self.started))
    }

    /// The wrong way back: the list may still be applied.
    private mutating func undo(_ effects: inout Effects) {
        self.phase = .closing
        self.state.openRules.removeAll { $0 == self.target }
        self.state.procedure = nil
        effects.persist = .init(state: self.state)
    }

    private mutating func sendOrder(at now: Moment, _ effects: inout Effects) {
        let pledge = self.target.pledge
        let listed = self.target.followers.compactMap { self.names[$0] }
        let command: NodeCommand
        switch self.phase {
        case .leasing: command = .lease(pledge, self.leaseTerms)
        case .fencing: command = .setSyncList(pledge, .fence)
        case .marking: command = .setSyncList(pledge, .marked(self.target.copies - 1, listed))
        case .listing: command = .setSyncList(pledge, SyncList(self.target, names: self.names))
        case .markerSeen, .listSeen, .confirming: command = .readSenders(pledge)
        case .writing:
            guard let timeline = self.state.timelines.last else { return }
            command = .writeTermRow(self.target, timeline: timeline, reason: self.reason)
        case .recording, .closing, .finished: return
        }
        self.orders.send(command, to: self.leader, at: now, &effects)
    }
}
