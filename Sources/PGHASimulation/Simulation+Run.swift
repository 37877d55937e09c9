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
        let faults: DecisionFaults =
            switch options.variant {
            case .discoverOneTooFew: .discoverCopiesOnly
            case .confirmByOneCommit: .confirmByOneCommit
            default: []
            }
        DecisionFaults.$current.withValue(faults) { simulation.runAll() }
        #else
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
        self.scheduleFaults(until: faultsEnd)
        self.run(until: faultsEnd)
        guard self.violation == nil else { return }
        self.heal()
        self.awaitRecovery()
    }

    private func prepare() {
        for controller in self.controllers { controller.start() }
        for agent in self.agents { agent.begin() }
        self.every(.ms(500)) { [unowned self] in for controller in self.controllers { controller.checkStatus() } }
    }

    /// The cluster is made under faults, too, in one seed of four.
    private func make() {
        var durability = Durability()
        durability.copies = self.options.copies ?? self.profile.copies
        durability.onStandbyLoss = self.profile.standbyLoss
        let spec = ClusterSpec(
            name: "sim", nodes: self.servers.indices.map { self.nodeSpec($0) }, durability: durability)
        self.every(.ms(500)) { [unowned self] in
            for controller in self.controllers where controller.coordinator.map({ $0.status(at: self.moment).phase == "none" }) ?? false { _ = controller.request(.initialize(spec)) }
        }
        if self.chance(250) { return }
        self.run(until: .s(120), orUntil: { self.isComplete })
        if self.violation == nil, !self.isComplete { self.violate("not made within 120 s: \(self.incompleteness)", isUnsafe: false) }
        guard self.profile.withoutAgent, self.violation == nil, let name = self.servers.last?.name else { return }
        var node = self.nodeSpec(self.servers.count - 1)
        node.agent = nil
        for controller in self.controllers where controller.isLeading { _ = controller.request(.setNode(node)) }
        self.run(until: self.now + .s(5), orUntil: { self.store.state?.spec[name]?.agent == nil })
        if self.store.state?.spec[name]?.agent == nil { self.agents[self.servers.count - 1].isInSpec = false }
    }

    private func awaitRecovery() {
        let healedAt = self.now
        // An operator resumes; whoever leads by then hears of it. A cluster that is not made yet takes longer.
        for second in 1...10 { self.after(.s(Int64(second))) { [unowned self] in self.resume() } }
        let limit = self.store.state?.rule == nil ? Int64.s(150) : Self.writableLimit
        self.run(until: healedAt + limit, orUntil: { (self.ledger.acks.last?.time ?? 0) > healedAt + .s(1) })
        guard self.violation == nil else { return }
        if (self.ledger.acks.last?.time ?? 0) <= healedAt + .s(1) {
            self.violate("not writable \(limit / 1_000_000) s after the faults: \(self.incompleteness)", isUnsafe: false)
        }
        self.run(until: healedAt + Self.completeLimit, orUntil: { self.isComplete })
        guard self.violation == nil else { return }
        if !self.isComplete { self.violate("not complete 600 s after the faults: \(self.incompleteness)", isUnsafe: false) }
        let failovers = self.ledger.failovers
        self.run(until: self.now + .s(20))
        if self.violation == nil, self.ledger.failovers > failovers { self.violate("a failover without a fault", isUnsafe: false) }
        let late = self.ledger.failoverTimes.filter { $0 > healedAt }
        for (index, time) in late.enumerated() where index >= 3 && time - late[index - 3] < .s(60) {
            self.violate("more than three failovers in a minute without a fault", isUnsafe: false)
        }
    }

    // MARK: - Complete

    var isComplete: Bool { self.incompletenessOrNil == nil }
    private var incompleteness: String { self.incompletenessOrNil ?? "nothing is missing" }

    /// What is missing: every node of the spec streams, is in the cohort, and nothing is under way.
    private var incompletenessOrNil: String? {
        guard let state = self.store.state, let rule = state.rule else { return "no rule; \(self.reasons)" }
        let isBusy = self.controllers.contains {
            $0.coordinator.map { $0.status(at: self.moment).phase != "steady" } ?? false
        }
        if isBusy { return "a controller is at work; \(self.reasons)" }
        if let procedure = state.procedure { return "\(procedure.phase) is under way; \(self.reasons)" }
        // A server without an agent that has to be rebuilt waits for people.
        let nodes = state.spec.nodes.filter { $0.agent != nil || rule.cohort.contains($0.name) }.map(\.name)
        if Set(rule.cohort) != Set(nodes) { return "the cohort is \(rule.cohort.map(\.text)); \(self.reasons)" }
        if rule.copies != min(nodes.count, state.spec.durability.copies) { return "\(rule.copies) copies; \(self.reasons)" }
        guard let leader = self.servers.first(where: { $0.name == rule.leader }), leader.isPrimary else {
            return "\(rule.leader) is no primary; \(self.reasons)"
        }
        for server in self.servers where server.name != rule.leader && nodes.contains(server.name) {
            guard server.process == .running, server.inRecovery, let receiver = server.receiver, receiver.isStreaming,
                receiver.upstream.leader == leader.index
            else { return "\(server.name) does not stream; \(self.reasons)" }
        }
        return nil
    }

    private var reasons: String {
        self.controllers.compactMap { controller in
            controller.coordinator.map { coordinator in
                let status = coordinator.status(at: self.moment)
                return "c\(controller.index): \(status.phase), \(status.verdict), \(status.waitingFor ?? "waits for nothing")"
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
        let upstream = self.receiver.map { "\($0.isStreaming ? "from" : "to") \($0.upstream.name)@n\($0.upstream.leader)" }
        let senders = self.senders.map { "\($0.name)\($0.isStreaming ? "" : "?") \(Self.lsn($0.flushed))" }
        return "\(self.name) \(role) \(self.file.pledge?.number.description ?? "-") \(self.describe) "
            + "'\(self.file.list.setting)' \(upstream ?? "") \(senders)"
    }
}
