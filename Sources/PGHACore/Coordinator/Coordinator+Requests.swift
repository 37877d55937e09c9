extension Coordinator {
    /// Accepts or refuses what an operator asks for. Accepted requests are carried out by the effects returned and
    /// the events that follow; `pgha` watches the status to see them done.
    package mutating func request(
        _ request: OperatorRequest, at now: Moment
    ) -> Result<Effects, RequestRefusal> {
        if let halted = self.halted {
            return .failure(
                RequestRefusal("halted", halted, hint: "If this store is the right one, run 'pgha store adopt'."))
        }
        var effects = Effects()
        do {
            try self.carryOut(request, at: now, &effects)
            self.decide(at: now, &effects)
            return .success(effects)
        } catch let refusal {
            return .failure(refusal)
        }
    }

    private mutating func carryOut(
        _ request: OperatorRequest, at now: Moment, _ effects: inout Effects
    ) throws(RequestRefusal) {
        switch request {
        case .initialize(let spec): try self.initialize(spec, at: now, &effects)
        case .adopt(let spec, let leader, let identifier, let position):
            try self.adoptServers(spec, leader, identifier, position, at: now, &effects)
        case .failover(let target, let force): try self.requestFailover(target, force: force, at: now, &effects)
        case .switchover(let target): try self.requestSwitchover(target, at: now, &effects)
        case .pause(let paused):
            _ = try self.cluster()
            self.edits.append(.paused(paused))
        case .rejoin(let node, let discard): try self.requestRejoin(node, discard: discard, at: now)
        case .addNode(let node): try self.addNode(node, at: now)
        case .removeNode(let node): try self.removeNode(node, at: now, &effects)
        case .setNode(let node): try self.setNode(node)
        case .setSpec(let spec): try self.setSpec(spec)
        }
    }

    // MARK: - Making a cluster

    private mutating func initialize(
        _ spec: ClusterSpec, at now: Moment, _ effects: inout Effects
    ) throws(RequestRefusal) {
        try self.requireNoCluster(spec)
        try self.requireAgents(spec)
        guard spec.nodes.allSatisfy({ $0.agent != nil }) else {
            throw RequestRefusal(
                "invalid", "every node needs an agent to be initialised",
                hint: "Add 'agent' to each node, or take over running servers with --adopt.")
        }
        guard spec.nodes.contains(where: { !$0.nofailover }) else {
            throw RequestRefusal("invalid", "every node is nofailover", hint: "Let at least one node lead.")
        }
        let state = ClusterState(spec: spec)
        self.know(spec, at: now)
        self.start(.bootstrap(Bootstrap(state, nonce: self.generator.next())), at: now, &effects)
    }

    private mutating func adoptServers(
        _ spec: ClusterSpec, _ leader: NodeName, _ identifier: UInt64, _ position: WALPosition, at now: Moment,
        _ effects: inout Effects
    ) throws(RequestRefusal) {
        try self.requireNoCluster(spec)
        try self.requireAgents(spec)
        var state = ClusterState(spec: spec)
        state.systemIdentifier = identifier
        state.timelines = position.history.segments.map {
            RecordedTimeline(term: Term(1), timeline: $0.timeline, fork: $0.begin)
        }
        self.know(spec, at: now)
        self.state = state
        self.startFailover(.adopt(leader: leader), reason: "taken over while running", at: now, &effects)
    }

    private func requireNoCluster(_ spec: ClusterSpec) throws(RequestRefusal) {
        guard self.writing == nil else { throw self.busy }
        guard let state = self.state else { return }
        throw RequestRefusal(
            "cluster_exists", "this controller already leads cluster '\(state.spec.name)'",
            hint: "Run 'pgha status', or give the new cluster a controller of its own.")
    }

    private mutating func know(_ spec: ClusterSpec, at now: Moment) {
        for node in spec.nodes.map(\.name) where self.nodes[node] == nil { self.nodes[node] = NodeView(at: now) }
    }

    // MARK: - Changing the leader

    private mutating func requestFailover(
        _ target: NodeName?, force: Bool, at now: Moment, _ effects: inout Effects
    ) throws(RequestRefusal) {
        let (state, rule) = try self.cluster()
        if let target { try self.requireNode(target, in: state.spec) }
        if target == rule.leader, !force {
            throw RequestRefusal("invalid", "\(rule.leader) leads already", hint: "Name another node, or none.")
        }
        // A failover that waits for servers may be replaced by a forced one: nothing was recorded yet.
        if case .failover(let machine) = self.activity, force, machine.phase == .sealing, self.writing == nil {
            self.activity = .idle
        } else {
            try self.requireIdle()
        }
        self.startFailover(
            .requested(target: target, force: force),
            reason: force ? "an operator accepted data loss" : "an operator asked for it", at: now, &effects)
    }

    private mutating func requestSwitchover(
        _ target: NodeName?, at now: Moment, _ effects: inout Effects
    ) throws(RequestRefusal) {
        let (state, rule) = try self.cluster()
        try self.requireIdle()
        guard state.spec[rule.leader]?.agent != nil else {
            throw RequestRefusal(
                "not_ready", "\(rule.leader) has no agent, so it cannot be stopped cleanly",
                hint: "Use 'pgha failover', or run an agent beside it.")
        }
        guard self.verdict(at: now) == .healthy else {
            throw RequestRefusal(
                "not_ready", "\(rule.leader) is not healthy", hint: "Use 'pgha failover' if it should be replaced.")
        }
        if let target {
            try self.requireNode(target, in: state.spec)
            if let obstacle = self.switchoverObstacle(target, rule, at: now) {
                throw RequestRefusal("not_ready", "\(target) cannot take over: \(obstacle)", hint: "See 'pgha status'.")
            }
        }
        let ready = rule.followers.filter { self.switchoverObstacle($0, rule, at: now) == nil }
        guard let candidate = target ?? ready.min(by: { self.isBetterCandidate($0, $1) }) else {
            throw RequestRefusal("not_ready", "no standby can take over", hint: "See 'pgha failover --dry-run'.")
        }
        self.activity = .preparing(
            candidate: candidate, reason: "switchover from \(rule.leader) to \(candidate)")
        self.preparingSince = now
    }

    /// Why `node` could not lead next; nil when it could.
    package func switchoverObstacle(_ node: NodeName, _ rule: Rule, at now: Moment) -> String? {
        guard node != rule.leader else { return "it leads already" }
        if self.state?.spec[node]?.nofailover == true { return "it is nofailover" }
        guard rule.cohort.contains(node) else { return "it is not in the cohort" }
        guard let view = self.nodes[node], self.streams(node, at: now) else { return "it is not streaming" }
        // That it streams is the leader's word of its last look; that it went away may be known sooner.
        guard view.fresh(self.freshness, at: now) != nil else {
            return view.isSilent || view.failure == nil ? "it does not answer" : "it answers with an error"
        }
        switch view.freshFacts(self.freshness, at: now)?.postmaster {
        case .stopped, .absent: return "its server does not run"
        case .running, nil: break
        }
        if view.observation?.replayPaused == true { return "its replay is paused" }
        return nil
    }

    private func isBetterCandidate(_ a: NodeName, _ b: NodeName) -> Bool {
        let first = self.state?.spec[a]?.priority ?? 0, second = self.state?.spec[b]?.priority ?? 0
        return first != second ? first > second : a < b
    }

    // MARK: - Nodes and settings

    private mutating func requestRejoin(_ node: NodeName, discard: Bool, at now: Moment) throws(RequestRefusal) {
        let (state, rule) = try self.cluster()
        try self.requireNode(node, in: state.spec)
        guard node != rule.leader else {
            throw RequestRefusal("invalid", "\(node) is the leader", hint: "Switch over first.")
        }
        guard !self.streams(node, at: now) else {
            throw RequestRefusal(
                "invalid", "\(node) streams from \(rule.leader) already", hint: "There is nothing to rebuild.")
        }
        self.nodes[node]?.requestedRejoin = discard ? .discard : .rebuild
    }

    private mutating func addNode(_ node: NodeSpec, at now: Moment) throws(RequestRefusal) {
        var spec = try self.specToCome()
        guard spec[node.name] == nil else {
            throw RequestRefusal("invalid", "there is a node \(node.name) already", hint: "Choose another name.")
        }
        if let twin = spec.nodes.first(where: { ($0.host, $0.port) == (node.host, node.port) }) {
            throw RequestRefusal(
                "invalid", "\(node.host):\(node.port) is node \(twin.name) already", hint: "Give its own address.")
        }
        let edit = StateEdit.added(node)
        edit.apply(to: &spec)
        try self.requireAgents(spec)
        self.nodes[node.name] = NodeView(at: now)
        self.edits.append(edit)
    }

    private mutating func removeNode(
        _ node: NodeName, at now: Moment, _ effects: inout Effects
    ) throws(RequestRefusal) {
        let (state, rule) = try self.cluster()
        try self.requireNode(node, in: state.spec)
        try self.requireIdle()
        guard node != rule.leader else {
            throw RequestRefusal("invalid", "\(node) is the leader", hint: "Switch over first.")
        }
        // It stays in the spec, and is sealed with the others, until no open rule counts on it.
        var next = state
        next.removing = Set(next.removing).union([node]).sorted()
        let cohort = rule.cohort.filter { $0 != node }
        let copies = min(rule.copies, cohort.count)
        guard copies == rule.copies || next.spec.durability.mayDegrade(nodes: next.spec.nodes.count - 1) else {
            throw RequestRefusal(
                "not_ready", "without \(node) there are too few servers for \(rule.copies) copies",
                hint: "Add another node first, or lower durability.copies.")
        }
        self.start(
            .ruleChange(
                RuleChange(
                    next, cohort: cohort, copies: copies, lease: rule.lease, reason: "\(node) removed", at: now)),
            at: now, &effects)
    }

    private mutating func setNode(_ node: NodeSpec) throws(RequestRefusal) {
        var spec = try self.specToCome()
        try self.requireNode(node.name, in: spec)
        guard spec[node.name].map({ ($0.host, $0.port) == (node.host, node.port) }) == true else {
            throw RequestRefusal(
                "invalid", "a node's address cannot change", hint: "Remove the node and add it under a new name.")
        }
        let edit = StateEdit.node(node)
        edit.apply(to: &spec)
        try self.requireAgents(spec)
        self.edits.append(edit)
    }

    private mutating func setSpec(_ spec: ClusterSpec) throws(RequestRefusal) {
        guard try self.specToCome().nodes == spec.nodes else {
            throw RequestRefusal("invalid", "nodes are not changed here", hint: "Use 'pgha node'.")
        }
        guard (1...spec.nodes.count).contains(spec.durability.copies) else {
            throw RequestRefusal(
                "invalid", "\(spec.durability.copies) copies of \(spec.nodes.count) nodes",
                hint: "Use 1 to \(spec.nodes.count).")
        }
        try self.requireAgents(spec)
        self.edits.append(.settings(spec))
    }

    private func specToCome() throws(RequestRefusal) -> ClusterSpec {
        let (state, _) = try self.cluster()
        return self.latestSpec ?? state.spec
    }

    /// Writes waiting edits; called when no procedure is under way.
    mutating func applyEdits(at now: Moment, _ effects: inout Effects) {
        guard !self.edits.isEmpty, var state = self.state else { return }
        for edit in self.edits {
            switch edit {
            case .paused(let paused): state.paused = paused
            case .added, .node, .settings: edit.apply(to: &state.spec)
            case .forked(let node, let timeline):
                state.timelines.disown(timeline, of: node, among: state.spec.nodes.map(\.name))
            case .follows(let node, let term):
                guard let rule = state.rule, rule.number.term == term else { continue }
                state.timelines.follow(rule.leader, [node])
                state.displaced.removeAll { $0 == node }
            }
        }
        self.edits = []
        let persist = Effects.Persist(state: state)
        self.writing = persist
        self.writingForActivity = false
        effects.persist = persist
    }

    // MARK: - Conditions

    private var busy: RequestRefusal {
        RequestRefusal("busy", "another procedure is under way", hint: "Wait for it: 'pgha status --watch'.")
    }

    private func requireIdle() throws(RequestRefusal) {
        guard case .idle = self.activity, self.writing == nil, !self.isResumingClaim else { throw self.busy }
    }

    private func cluster() throws(RequestRefusal) -> (ClusterState, Rule) {
        if let refusal = self.withoutLeader { throw refusal }
        guard let state = self.state, let rule = state.rule else { throw Self.noCluster }
        return (state, rule)
    }

    private static let noCluster = RequestRefusal(
        "no_cluster", "there is no cluster yet", hint: "Run 'pgha init -f FILE'.")

    /// Why nothing can be asked of a leader: there is no cluster, or its first leader is not installed yet. Nil once
    /// there is one.
    package var withoutLeader: RequestRefusal? {
        guard let state = self.state else { return Self.noCluster }
        guard state.rule == nil else { return nil }
        let why = self.blockedReason.map { ": \($0)" } ?? ""
        if case .failover(let machine) = self.activity, case .adopt(let leader) = machine.kind {
            return RequestRefusal(
                "not_ready", "only \(leader) may lead first, and it does not yet\(why)",
                hint:
                    "Start \(leader)'s server. If it is gone for good, run 'pgha store adopt': every other server is read"
                    + " then.")
        }
        return RequestRefusal(
            "not_ready", "the cluster has no leader yet\(why)", hint: "Wait: see 'pgha status --watch'.")
    }

    private func requireNode(_ node: NodeName, in spec: ClusterSpec) throws(RequestRefusal) {
        guard spec[node] == nil else { return }
        let names = spec.nodes.map(\.name.text).joined(separator: ", ")
        throw RequestRefusal("unknown_node", "there is no node '\(node)'", hint: "The nodes are \(names).")
    }
}
