/// What `pgha status` shows: derived from evidence, never from hope. Unknown is shown as unknown.
package struct ClusterStatus: Hashable, Sendable {
    package struct Node: Hashable, Sendable {
        package enum Role: String, Hashable, Sendable { case primary, standby, down, unknown }
        package enum Sync: String, Hashable, Sendable { case leader, quorum, observer }

        package var spec: NodeSpec
        package var role: Role
        /// `leading`, `streaming`, `unconfirmed` (streamed when the leader was last heard), `catching up`, `detached`,
        /// `forked`, `starting`, `stopped`, `unreachable`, …
        package var state: String
        package var timeline: TimelineID?
        package var position: LSN?
        /// Bytes of WAL that the leader has flushed and this node has not; nil when either is unknown.
        package var lagBytes: UInt64?
        package var lagSeconds: Double?
        /// Bytes of WAL that the leader has flushed and this node has not replayed; nil when either is unknown.
        package var replayLagBytes: UInt64?
        package var sync: Sync
        package var postmasterPID: Int32?
        package var agentPID: Int32?
        /// Age of the newest evidence; nil when there is none.
        package var evidenceAge: Duration?
        package var problems: [String]
        /// Where its Unix socket is on its host, as its agent said last; nil when it never did.
        package var socketDirectory: String?

        package init(
            spec: NodeSpec, role: Role, state: String, timeline: TimelineID?, position: LSN?, lagBytes: UInt64?,
            lagSeconds: Double?, sync: Sync, postmasterPID: Int32?, agentPID: Int32?, evidenceAge: Duration?,
            problems: [String]
        ) {
            self.spec = spec
            self.role = role
            self.state = state
            self.timeline = timeline
            self.position = position
            self.lagBytes = lagBytes
            self.lagSeconds = lagSeconds
            self.sync = sync
            self.postmasterPID = postmasterPID
            self.agentPID = agentPID
            self.evidenceAge = evidenceAge
            self.problems = problems
        }

        /// A standby that streams, or did when the leader was last heard.
        package var followed: Bool {
            self.role == .standby && (self.state == "streaming" || self.state == "unconfirmed")
        }
    }

    package var cluster: String?
    package var term: Term
    package var leader: NodeName?
    package var rule: Rule?
    /// `steady`, `bootstrap`, `sealing`, `promoting`, `changing_rule`, `preparing`, `halted`, `none`.
    package var phase: String
    package var durability: Durability?
    /// Copies under the current rule.
    package var effectiveCopies: Int?
    /// One more loss would strand the cluster; nil when not.
    package var atRiskReason: String?
    /// The judgement of the leader: `healthy`, `suspect: …`, `inconclusive: …`, `replace: …`.
    package var verdict: String
    /// What a procedure, or a failover that seems due, waits for.
    package var waitingFor: String?
    package var paused: Bool
    package var nodes: [Node]

    package init(
        cluster: String?, term: Term, leader: NodeName?, rule: Rule?, phase: String, durability: Durability?,
        effectiveCopies: Int?, atRiskReason: String?, verdict: String, waitingFor: String?, paused: Bool, nodes: [Node]
    ) {
        self.cluster = cluster
        self.term = term
        self.leader = leader
        self.rule = rule
        self.phase = phase
        self.durability = durability
        self.effectiveCopies = effectiveCopies
        self.atRiskReason = atRiskReason
        self.verdict = verdict
        self.waitingFor = waitingFor
        self.paused = paused
        self.nodes = nodes
    }
}

extension Coordinator {
    package func status(at now: Moment) -> ClusterStatus {
        let state = self.state
        let rule = state?.rule
        return ClusterStatus(
            cluster: state?.spec.name, term: rule?.number.term ?? .zero, leader: rule?.leader, rule: rule,
            phase: self.phase, durability: state?.spec.durability, effectiveCopies: rule?.copies,
            atRiskReason: self.atRiskReason(at: now), verdict: self.verdictInWords(at: now),
            waitingFor: self.halted ?? self.blockedReason ?? self.waitingReason, paused: state?.paused ?? false,
            nodes: (self.specInForce?.nodes ?? []).map { self.nodeStatus($0, rule: rule, at: now) })
    }

    private var specInForce: ClusterSpec? {
        if let spec = self.state?.spec { return spec }
        if case .bootstrap(let machine) = self.activity { return machine.state.spec }
        return nil
    }

    /// `steady`, `bootstrap`, `sealing`, `promoting`, `changing_rule`, `preparing`, `halted`, `none`.
    package var phase: String {
        if self.halted != nil { return "halted" }
        switch self.activity {
        case .idle where self.isResumingClaim: return "sealing"
        case .idle: return self.state?.rule == nil ? "none" : "steady"
        case .bootstrap: return "bootstrap"
        case .preparing: return "preparing"
        case .failover(let machine): return machine.state.procedure?.phase ?? "promoting"
        case .ruleChange: return "changing_rule"
        }
    }

    var blockedReason: String? {
        switch self.activity {
        case .failover(let machine): return machine.blockedReason
        case .bootstrap(let machine):
            let failures = machine.failures.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
            return failures.isEmpty ? nil : failures.joined(separator: "; ")
        case .idle, .preparing, .ruleChange: return nil
        }
    }

    /// Judged now: the last decision may be old.
    private func verdictInWords(at now: Moment) -> String {
        switch self.verdict(at: now) {
        case .healthy: "healthy"
        case .suspect(let why): "suspect: \(why)"
        case .inconclusive(let why): "inconclusive: \(why)"
        case .replace(let cause): "replace: \(cause.words)"
        }
    }

    package func atRiskReason(at now: Moment) -> String? { self.risk(at: now)?.words }

    /// Why losing the leader now would leave the cluster without a leader; nil when it would not.
    package func risk(at now: Moment) -> ClusterRisk? {
        guard let state = self.state, let rule = state.rule else { return nil }
        let isAlone = rule.lease == nil ? rule.copies == 1 : rule.followers.isEmpty
        if isAlone, state.spec.nodes.count > 1 { return .oneCopy(rule.leader) }
        if state.openRules.count > 1 { return .unconfirmedRule }
        let attached = rule.followers.filter { self.streams($0, at: now) }
        if attached.count < rule.followersToDiscover {
            return .tooFewStandbys(
                attached.count, of: rule.followers.count, needed: rule.followersToDiscover, leader: rule.leader)
        }
        if let copied = rule.followers.first(where: { self.namesakes(of: $0, at: now) > 1 }) {
            return .namesakes(copied)
        }
        let candidates = attached.filter { state.spec[$0]?.nofailover != true }
        return candidates.isEmpty ? .noCandidate : nil
    }

    private func nodeStatus(_ spec: NodeSpec, rule: Rule?, at now: Moment) -> ClusterStatus.Node {
        let limit = self.freshness
        let view = self.nodes[spec.name] ?? NodeView(at: now)
        let seen = view.fresh(limit, at: now)
        let facts = view.freshFacts(limit, at: now)
        var node = ClusterStatus.Node(
            spec: spec, role: .unknown, state: "unknown", timeline: seen?.timeline, position: seen?.position,
            lagBytes: nil, lagSeconds: nil, sync: .observer, postmasterPID: nil, agentPID: facts?.agentPID,
            evidenceAge: [view.observedAt, view.factsAt].compactMap { $0 }.max().map { now - $0 }, problems: [])
        if case .running(let pid)? = facts?.postmaster { node.postmasterPID = pid }
        node.socketDirectory = view.facts?.socketDirectory
        if let rule, rule.cohort.contains(spec.name) { node.sync = rule.leader == spec.name ? .leader : .quorum }
        self.describe(&node, view, seen: seen, facts: facts, rule: rule, at: now)
        if let rule, spec.name != rule.leader, let seen, node.role == .standby,
            let leader = self.nodes[rule.leader]?.fresh(limit, at: now), !leader.inRecovery
        {
            node.lagBytes = leader.position.bytesAhead(of: seen.position)
            node.replayLagBytes = seen.replayed.map { leader.position.bytesAhead(of: $0) }
            node.lagSeconds = (node.replayLagBytes ?? node.lagBytes) == 0 ? 0 : seen.replayDelay
        }
        return node
    }

    /// A primary that does not lead: about to, or no more, or by hand.
    private func describeOtherPrimary(_ node: inout ClusterStatus.Node, _ seen: ServerObservation, _ rule: Rule?) {
        guard let rule, self.halted == nil else {
            node.state = "primary"
            return
        }
        if case .failover(let machine) = self.activity, machine.plan?.rule.leader == node.spec.name {
            node.state = "promoting"
        } else if self.isFormerLeader(node.spec.name, seen, rule) {
            node.state = "former leader"
        } else {
            node.state = "forked"
            node.problems.append("was promoted by hand: run 'pgha rejoin \(node.spec.name)' to rebuild it")
        }
    }

    /// How many servers stream from the leader under the node's name. PostgreSQL's list counts each of them
    /// (DESIGN section 4).
    private func namesakes(of node: NodeName, at now: Moment) -> Int {
        guard let state = self.state, let leader = state.rule.flatMap({ self.nodes[$0.leader] }),
            let name = state.replicationNames[node]?.description
        else { return 0 }
        return leader.fresh(self.freshness, at: now)?.senders
            .count { $0.applicationName == name && $0.state == "streaming" } ?? 0
    }

    /// That a standby streams is the leader's word, and as old as that.
    private func streamingState(_ node: NodeName, _ rule: Rule?, at now: Moment) -> String {
        guard self.streams(node, at: now) else { return "detached" }
        let heard = rule.flatMap { self.nodes[$0.leader]?.observedAt }
        return heard.map { now - $0 < self.freshness } == true ? "streaming" : "unconfirmed"
    }

    /// A server that gave us no observation, though it may have said why.
    private func describeSilence(
        _ node: inout ClusterStatus.Node, _ failure: ProbeFailure?, otherwise state: String
    ) {
        node.state = state
        switch failure {
        case .startingUp: node.state = "starting"
        // Class 28: a server that its agent makes refuses our role until the agent has made the role too.
        case .aliveBut(let code, _) where code.hasPrefix("28") && self.phase == "bootstrap": break
        case .aliveBut(let code, let message):
            node.state = "alive"
            node.problems.append("\(message) (\(code))")
        case .undecodable(let what):
            node.state = "alive"
            node.problems.append(what)
        case .refused, .reset, .timedOut, nil: break
        }
    }

    private func describe(
        _ node: inout ClusterStatus.Node, _ view: NodeView, seen: ServerObservation?, facts: AgentFacts?, rule: Rule?,
        at now: Moment
    ) {
        if let seen {
            node.role = seen.inRecovery ? .standby : .primary
            let leads = rule?.leader == node.spec.name
            switch (leads, seen.inRecovery) {
            case (true, false): node.state = "leading"
            case (true, true):
                // Seen before its promotion: the next probe will show it.
                node.state = view.observedFrom ?? .origin < self.settledAt ? "taking over" : "demoted"
            case (false, true): node.state = self.streamingState(node.spec.name, rule, at: now)
            case (false, false): self.describeOtherPrimary(&node, seen, rule)
            }
            if let rule, view.attachedSince == nil, self.mayHaveForked(node.spec.name, seen, rule) {
                node.problems.append("may have left \(rule.leader)'s history, and has no agent to tell: make it anew")
            }
            let namesakes = self.namesakes(of: node.spec.name, at: now)
            if namesakes > 1 {
                node.problems.append(
                    "\(namesakes) servers stream under its name: stop the copy of its data that does")
            }
            if seen.replayPaused { node.problems.append("replay is paused") }
            if !seen.pendingRestart.isEmpty {
                node.problems.append("waits for a restart: \(seen.pendingRestart.joined(separator: ", "))")
            }
            for slot in seen.slots where slot.walStatus == "lost" { node.problems.append("slot \(slot.name) is lost") }
            if let expected = self.state?.systemIdentifier, expected != seen.systemIdentifier {
                node.problems.append("belongs to another cluster (system identifier \(seen.systemIdentifier))")
            }
        } else if let facts {
            switch facts.postmaster {
            case .running: self.describeSilence(&node, view.failure, otherwise: "no answer")
            case .stopped: (node.role, node.state) = (.down, "stopped")
            case .absent: (node.role, node.state) = (.down, "no data")
            }
        } else if view.failure == .refused {
            (node.role, node.state) = (.down, "refused")
        } else {
            self.describeSilence(&node, view.failure, otherwise: "unreachable")
        }
        if let activity = facts?.activity { node.state = activity }
        if let free = self.shortage(of: node.spec.name, at: now) {
            node.problems.append("its disk is full: \(free) bytes left for data and WAL")
        }
        if let problem = facts?.problem { node.problems.append(problem) }
        if let failure = view.lastFailure { node.problems.append("last attempt: \(failure)") }
        if node.spec.agent != nil, facts == nil { node.problems.append("its agent does not answer") }
    }
}
