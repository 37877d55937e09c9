import PGHACore

extension Simulation {
    /// Writable again within this time after the faults have ended. Microseconds.
    static let writableLimit = Int64.s(30)
    /// Complete again within this time. Microseconds.
    static let completeLimit = Int64.s(600)

    /// Runs one seed from the making of the cluster to its recovery from the faults.
    package static func run(_ options: Options) -> Report {
        let simulation = Simulation(options)
        #if DEBUG || PGHA_SIMULATION_FAULTS
            DecisionFaults.$current.withValue(options.variant?.decisionFaults ?? []) { simulation.runAll() }
        #else
            precondition(options.variant == nil, "this build has no wrong variants")
            simulation.runAll()
        #endif
        return simulation.report()
    }

    /// Runs without a transcript; a failing seed runs again with one.
    package static func check(_ options: Options) -> Report {
        var quiet = options
        quiet.tracing = false
        let report = Self.run(quiet)
        guard report.violation != nil else { return report }
        var loud = options
        loud.tracing = true
        return Self.run(loud)
    }

    private func runAll() {
        self.prepare()
        self.make()
        guard self.violation == nil else { return }
        let faultsEnd = self.now + .s(Int64(self.options.faultSeconds))
        self.scheduleFaults()
        self.run(until: faultsEnd)
        guard self.violation == nil else { return }
        self.heal()
        self.awaitRecovery()
        if self.violation == nil, self.schedule.lastRound { self.playLastRound() }
    }

    private func prepare() {
        for controller in self.controllers { controller.start() }
        for agent in self.agents { agent.begin() }
        for pooler in self.poolers { pooler.begin() }
        self.every(.ms(500)) { [unowned self] in for controller in self.controllers { controller.checkStatus() } }
        self.tend()
    }

    /// The cluster is made before the faults, or while they begin.
    private func make() {
        var durability = Durability(copies: self.schedule.copies, onStandbyLoss: self.schedule.standbyLoss)
        var timings = Timings()
        if let async = self.schedule.async {
            durability.mode = .async
            timings.lease = .seconds(async.lease)
            timings.maxLagBytes = UInt64(async.maxLag)
        }
        let spec = ClusterSpec(
            name: "sim", nodes: self.servers.indices.map { self.nodeSpec($0) }, durability: durability,
            timings: timings)
        self.every(.ms(500)) { [unowned self] in
            for controller in self.controllers where controller.coordinator?.phase == "none" {
                _ = controller.request(.initialize(spec))
            }
        }
        if self.schedule.startsEarly { return }
        self.run(until: .s(120), orUntil: { self.isComplete })
        if self.violation == nil, !self.isComplete {
            self.violate("not made within 120 s: \(self.incompleteness)", isUnsafe: false)
        }
        guard self.schedule.withoutAgent, self.violation == nil, let name = self.servers.last?.name else { return }
        var node = self.nodeSpec(self.servers.count - 1)
        node.agent = nil
        for controller in self.controllers where controller.isLeading { _ = controller.request(.setNode(node)) }
        self.run(until: self.now + .s(5), orUntil: { self.store.state?.spec[name]?.agent == nil })
    }

    private func awaitRecovery() {
        let healedAt = self.now
        // An operator resumes; whoever leads by then hears of it. A cluster that is not made yet takes longer.
        // With leases a change of leader, during which nothing is edited, takes longer.
        let limit = self.schedule.async == nil ? 10 : 60
        for second in 1...limit { self.after(.s(Int64(second))) { [unowned self] in self.resume() } }
        self.awaitWrites(self.store.state?.rule == nil ? .s(150) : Self.writableLimit, after: "the faults")
        self.run(until: healedAt + Self.completeLimit, orUntil: { self.isComplete })
        guard self.violation == nil else { return }
        if !self.isComplete {
            self.violate("not complete 600 s after the faults: \(self.incompleteness)", isUnsafe: false)
        }
        let failovers = self.ledger.failovers
        self.run(until: self.now + .s(20))
        if self.violation == nil, self.ledger.failovers > failovers {
            self.violate("a failover without a fault", isUnsafe: false)
        }
        let late = self.ledger.failoverTimes.filter { $0 > healedAt }
        for (index, time) in late.enumerated() where index >= 3 && time - late[index - 3] < .s(60) {
            self.violate("more than three failovers in a minute without a fault", isUnsafe: false)
        }
    }

    /// A commit that was begun by now or later is acknowledged within `limit`.
    private func awaitWrites(_ limit: Int64, after what: String) {
        let since = self.now + .s(1)
        self.run(until: self.now + limit, orUntil: { (self.ledger.lastAck ?? 0) > since })
        if self.violation == nil, (self.ledger.lastAck ?? 0) <= since {
            self.violate("not writable \(limit / 1_000_000) s after \(what): \(self.incompleteness)", isUnsafe: false)
        }
    }

    /// A follower is away until it has left the cohort and streams again; before or after it counts again, the leader's
    /// host goes for good. Those that are left must do.
    private func playLastRound() {
        guard self.servers.count > max(2, self.schedule.copies), let rule = self.store.state?.rule,
            rule.cohort.count == self.servers.count,
            let away = rule.followers.first.flatMap({ name in self.servers.first { $0.name == name } }),
            let leader = self.servers.first(where: { $0.name == rule.leader })
        else { return }
        self.trace("last round", "\(away.name) goes, comes back, then \(leader.name) goes for good")
        self.lostForGood = away.index
        self.losePower(away.index, for: 0)
        self.run(until: self.now + .s(30), orUntil: { self.store.state?.rule?.cohort.contains(away.name) == false })
        self.lostForGood = nil
        self.restorePower(away.index)
        self.run(
            until: self.now + .s(30),
            orUntil: { away.receiver?.isStreaming == true && self.store.state?.procedure == nil })
        self.run(until: self.now + self.between(.ms(50), .ms(1500)))
        guard self.violation == nil, leader.isPrimary, away.receiver?.isStreaming == true else { return }
        self.lostForGood = leader.index
        self.losePower(leader.index, for: 0)
        self.awaitWrites(Self.writableLimit, after: "the loss of \(leader.name)")
    }

    // MARK: - Complete

    var isComplete: Bool { self.incompletenessOrNil == nil }
    private var incompleteness: String { "\(self.incompletenessOrNil ?? "nothing is missing"); \(self.reasons)" }

    /// What is missing: every node of the spec streams, is in the cohort, and nothing is under way.
    private var incompletenessOrNil: String? {
        guard let state = self.store.state, let rule = state.rule else { return "no rule" }
        let isBusy = self.controllers.contains { $0.coordinator.map { $0.phase != "steady" } ?? false }
        if isBusy { return "a controller is at work" }
        if let procedure = state.procedure { return "\(procedure.phase) is under way" }
        // A server without an agent that has to be rebuilt waits for people.
        let nodes = state.spec.nodes.filter { $0.agent != nil || rule.cohort.contains($0.name) }.map(\.name)
        if Set(rule.cohort) != Set(nodes) { return "the cohort is \(rule.cohort.map(\.text))" }
        if rule.copies != min(nodes.count, state.spec.durability.copiesInForce) { return "\(rule.copies) copies" }
        if rule.lease != state.spec.lease { return "the lease is \(rule.lease.map { "\($0)" } ?? "none")" }
        guard let leader = self.servers.first(where: { $0.name == rule.leader }), leader.isPrimary else {
            return "\(rule.leader) is no primary"
        }
        for server in self.servers where server.name != rule.leader && nodes.contains(server.name) {
            guard server.process == .running, server.inRecovery, let receiver = server.receiver, receiver.isStreaming,
                receiver.upstream.leader == leader.index
            else { return "\(server.name) does not stream" }
        }
        return nil
    }

    private var reasons: String {
        self.controllers.compactMap { controller in
            controller.coordinator.map { coordinator in
                let status = coordinator.status(at: self.moment)
                return
                    "c\(controller.index): \(status.phase), \(status.verdict), \(status.waitingFor ?? "waits for nothing")"
                    + (status.atRiskReason.map { ", at risk: \($0)" } ?? "")
                    + status.nodes.map { " \($0.spec.name) \($0.state) \($0.problems)" }.joined(separator: ",")
            }
        }.joined(separator: "; ") + "; " + self.servers.map(\.summary).joined(separator: "; ")
    }
}

extension SimServer {
    /// For messages: what it is, whom it follows, who follows it.
    fileprivate var summary: String {
        let role = self.process == .running ? (self.inRecovery ? "standby" : "primary") : "\(self.process)"
        let upstream = self.receiver.map {
            "\($0.isStreaming ? "from" : "to") \($0.upstream.name)@n\($0.upstream.leader)"
        }
        let senders = self.senders.map { "\($0.name)\($0.isStreaming ? "" : "?") \(Self.lsn($0.flushed))" }
        return "\(self.name) \(role) \(self.file.pledge?.number.description ?? "-") \(self.describe) "
            + "'\(self.file.list.setting)' \(upstream ?? "") \(senders)"
    }
}
