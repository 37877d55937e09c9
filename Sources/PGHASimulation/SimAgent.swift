import PGHACore

/// The agent beside a server: host work, one job at a time, under its own pledge.
final class SimAgent {
    unowned let sim: Simulation
    let index: Int
    private(set) var isAlive = true
    private(set) var life = 0
    /// Kept outside the data directory.
    private var pledge: Pledge?
    /// Kept on disk too.
    let lease: SimLease
    private var activity: String?
    /// The node's spec names an agent; without one its server is started by the host's init system.
    private(set) var isInSpec = true

    /// The specification that the store holds names an agent for this node, or does not.
    func follow(_ spec: ClusterSpec) {
        if let node = spec[self.server.name] { self.isInSpec = node.agent != nil }
    }

    init(_ index: Int, _ sim: Simulation) {
        self.index = index
        self.sim = sim
        self.lease = SimLease(index, sim)
    }

    /// The host's clock begins anew.
    func loseHost() { self.lease.restarted() }

    fileprivate var server: SimServer { self.sim.servers[self.index] }

    // MARK: - Process

    func kill() {
        guard self.isAlive else { return }
        self.sim.trace("a\(self.index)", "killed")
        self.isAlive = false
        self.life += 1
        self.activity = nil
    }

    func start() {
        guard !self.isAlive, self.server.hasPower else { return }
        self.sim.trace("a\(self.index)", "starts")
        self.isAlive = true
        self.life += 1
        self.lease.tick()
        self.report()
        self.beat()
    }

    func begin() { self.beat() }

    func later(_ delay: Int64, _ body: @escaping () -> Void) {
        let life = self.life
        self.sim.after(delay) { [unowned self] in self.ifAlive(life, body) }
    }

    /// A frozen host's agent goes on where it stopped.
    func ifAlive(_ life: Int, _ body: @escaping () -> Void) {
        guard self.isAlive, self.life == life else { return }
        if self.server.isFrozen {
            self.server.thawed.append { [unowned self] in if self.isAlive, self.life == life { body() } }
        } else {
            body()
        }
    }

    private func beat() {
        self.report()
        self.later(.s(1)) { [unowned self] in self.beat() }
    }

    // MARK: - Facts

    /// The pidfd became readable.
    func postmasterChanged() {
        guard self.isInSpec else {
            // No agent: the host's init system starts it again, whatever it was.
            self.sim.after(self.sim.between(.ms(500), .s(4))) { [unowned self] in
                if !self.isInSpec { self.server.start() }
            }
            return
        }
        self.later(self.sim.between(.ms(1), .ms(8))) { [unowned self] in self.report() }
    }

    func report() {
        guard self.isInSpec else { return }
        for controller in self.sim.controllers { self.push(to: controller) }
    }

    func push(to controller: SimController) {
        guard self.isAlive, self.isInSpec, !self.server.isFrozen, controller.isLeading else { return }
        let facts = self.facts
        let life = controller.life
        self.sim.transmit(.node(self.index), controller.place) {
            controller.ifAlive(life) { controller.feed(.agent(facts.node, facts)) }
        }
    }

    private var facts: AgentFacts {
        let server = self.server
        let postmaster: AgentFacts.Postmaster =
            if server.process != .stopped { .running(pid: 100) } else if server.exists {
                .stopped(exitStatus: nil)
            } else {
                .absent
            }
        var facts = AgentFacts(
            node: server.name, agentPID: 1, postmaster: postmaster, pledge: self.held,
            standbySignal: server.standbySignal, systemIdentifier: server.exists ? server.systemIdentifier : nil,
            walFreeBytes: server.isDiskFull ? 4096 : 1 << 33, activity: self.activity)
        facts.leaseStamp = self.lease.clock.sinceOrigin
        facts.leaseTerms = self.lease.value.terms
        facts.leaseOwed = self.lease.value.owed != nil
        return facts
    }

    /// The higher of the pledge kept outside and the one in the data directory.
    var held: Pledge? {
        guard let own = self.pledge else { return self.server.file.pledge }
        guard let inData = self.server.file.pledge else { return own }
        return own.mayBecome(inData) ? inData : own
    }

    // MARK: - Orders

    func run(_ order: SimOrder, answer: @escaping (NodeOutcome) -> Void) {
        if case .lease(let pledge, let terms) = order.command {
            answer(self.renew(pledge, terms, stamp: order.stamp))
            return
        }
        guard self.activity == nil else {
            answer(.failed(.other("busy: \(self.activity ?? "")")))
            return
        }
        let variant = self.sim.options.variant
        func take(_ pledge: Pledge) -> Bool {
            if let held = self.held, !held.mayBecome(pledge) {
                answer(.failed(.refused(holding: held)))
                return false
            }
            self.pledge = pledge
            self.server.file.pledge = pledge
            if self.server.process == .stopped { self.lease.stopped(for: pledge) }
            return true
        }
        let done: (NodeOutcome) -> Void = { [unowned self] outcome in
            self.activity = nil
            answer(outcome)
            self.report()
        }
        switch order.command {
        case .fence(let pledge, let clean):
            if variant == .fenceWithoutPledge || (variant == .switchoverWithoutSealing && clean) {
                if let held = self.held, !held.mayBecome(pledge) {
                    answer(.failed(.refused(holding: held)))
                    return
                }
            } else {
                guard self.server.exists, take(pledge) else { return }
                self.server.standbySignal = true
            }
            self.activity = "fence"
            self.fence(clean: clean) { [unowned self] outcome in
                self.lease.stopped(for: pledge)
                done(outcome)
            }
        case .startLeader(let pledge):
            guard take(pledge) else { return }
            guard self.server.process != .stopped || self.lease.mayLead(pledge) else {
                answer(.failed(.other("its lease is over")))
                return
            }
            self.activity = "start"
            self.startLeader(done)
        case .startStandby(let pledge):
            guard take(pledge) else { return }
            self.activity = "start"
            self.startStandby(upstream: nil, done)
        case .rejoin(let pledge, let leader, let name, let mode):
            guard take(pledge), let upstream = self.sim.servers.first(where: { $0.name == leader }) else { return }
            self.activity = "rejoin"
            self.rejoin(pledge, upstream, name, mode) { [unowned self] outcome in
                if self.server.process == .stopped || self.server.inRecovery { self.lease.stopped(for: pledge) }
                done(outcome)
            }
        case .initialize(let pledge):
            self.activity = "initdb"
            self.initialize(pledge, done)
        case .seal, .reclaim, .readPosition, .promote, .follow, .writeTermRow, .readSenders, .setSyncList, .checkpoint,
            .lease:
            answer(.failed(.other("not for an agent")))
        }
    }

    private func fence(clean: Bool, _ done: @escaping (NodeOutcome) -> Void) {
        let server = self.server
        func answer() {
            done(.fenced(server.stoppedCleanly ? server.position : nil))
            if self.sim.options.variant == .fenceWithoutPledge { self.startAgain() }
        }
        guard server.process != .stopped else {
            self.later(.ms(2), answer)
            return
        }
        if clean, server.process == .running {
            let life = self.life
            server.stopCleanly { [unowned self] in self.ifAlive(life, answer) }
        } else {
            self.later(self.sim.between(.ms(2), .ms(30))) {
                server.kill()
                answer()
            }
        }
    }

    /// The wrong agent: the current rule names its server.
    private func startAgain() {
        self.later(self.sim.between(.ms(10), .s(1))) { [unowned self] in
            guard self.sim.store.state?.rule?.leader == self.server.name else { return }
            self.server.start()
        }
    }

    /// Waits until the server runs.
    private func whenRunning(_ done: @escaping (NodeOutcome) -> Void, _ then: @escaping () -> Void) {
        self.later(.ms(10)) { [unowned self] in
            switch self.server.process {
            case .running: then()
            case .starting: self.whenRunning(done, then)
            case .stopped, .stopping: done(.failed(.other("the server did not start")))
            }
        }
    }

    private func startLeader(_ done: @escaping (NodeOutcome) -> Void) {
        let server = self.server
        guard server.exists else {
            done(.failed(.other("no data")))
            return
        }
        if server.process == .stopped {
            server.standbySignal = false
            server.file.list = .fence
            self.sim.agentStartsPrimary(server)
            server.start()
        }
        self.whenRunning(done) {
            if server.inRecovery {
                done(.failed(.isStandby))
            } else if server.file.list != .fence || !server.commitsWait
                || server.senders.contains(where: { $0.priority > 0 })
            {
                done(.failed(.other("it runs, and not fenced")))
            } else {
                done(.reclaimed(server.position))
            }
        }
    }

    private func startStandby(upstream: Upstream?, _ done: @escaping (NodeOutcome) -> Void) {
        let server = self.server
        guard server.exists else {
            done(.failed(.other("no data")))
            return
        }
        guard server.process == .stopped else {
            self.whenRunning(done) { done(server.inRecovery ? .done : .failed(.isPrimary)) }
            return
        }
        if self.sim.options.variant == .startOldLeader, !server.standbySignal {
            self.sim.agentStartsPrimary(server)
        } else {
            server.standbySignal = true
        }
        server.file.upstream = upstream
        server.file.list = self.sim.options.variant == .emptyListOnStandbys ? .none : .fence
        server.start()
        self.whenRunning(done) { done(server.inRecovery ? .done : .failed(.isPrimary)) }
    }

    private func rejoin(
        _ pledge: Pledge, _ leader: SimServer, _ name: ReplicationName, _ mode: RejoinMode,
        _ done: @escaping (NodeOutcome) -> Void
    ) {
        let server = self.server
        let upstream = Upstream(leader: leader.index, name: name)
        if mode == .startOnly {
            guard server.exists else {
                done(.failed(.other("no data")))
                return
            }
            if server.process == .stopped {
                self.startStandby(upstream: upstream, done)
            } else if server.inRecovery {
                server.file.upstream = upstream
                server.reload()
                self.whenRunning(done) { done(.done) }
            } else {
                done(.failed(.isPrimary))
            }
            return
        }
        guard !self.sim.network.isCut(.node(self.index), .node(leader.index)),
            !self.sim.network.isCut(.node(leader.index), .node(self.index)), leader.isPrimary, !leader.isFrozen,
            leader.hasPower, leader.file.pledge?.claim == pledge.claim
        else {
            self.later(.ms(200)) { done(.failed(.other("\(leader.name) does not answer as the leader"))) }
            return
        }
        if self.sim.options.variant != .startOldLeader { server.standbySignal = true }
        if server.process != .stopped { server.kill() }
        let common = server.commonWAL(with: leader)
        if server.exists, common == server.wal.count {
            self.startStandby(upstream: upstream, done)
            return
        }
        if server.exists, self.sim.options.variant != .divergedNotSaved {
            self.later(self.sim.between(.ms(5), .ms(200))) { [unowned self] in
                self.sim.ledger.saved[server.index] = server.wal.count
                self.replaceData(pledge, upstream, leader, canRewind: true, done)
            }
        } else {
            self.replaceData(pledge, upstream, leader, canRewind: server.exists, done)
        }
    }

    /// `pg_rewind`, or a base backup when that fails. Either copies the source's settings. A base backup may come from
    /// a standby that streams from the leader.
    private func replaceData(
        _ pledge: Pledge, _ upstream: Upstream, _ leader: SimServer, canRewind: Bool,
        _ done: @escaping (NodeOutcome) -> Void
    ) {
        let server = self.server
        let rewinds = canRewind && !self.sim.chance(200)
        let source = rewinds ? leader : self.cloneSource(leader)
        self.sim.willReplaceWAL(of: server, how: rewinds ? "rewound" : "cloned")
        server.exists = false
        let takes = rewinds ? self.sim.between(.ms(200), .s(2)) : self.sim.between(.s(1), .s(6))
        self.later(takes) { [unowned self] in
            guard leader.isPrimary, !leader.isFrozen, !self.sim.network.isCut(.node(self.index), .node(leader.index)),
                source.process == .running, !source.isFrozen, !server.isDiskFull, !self.sim.chance(50)
            else {
                done(.failed(.other("the copy broke off")))
                return
            }
            self.take(from: source)
            self.sim.trace("a\(self.index)", "\(rewinds ? "rewound" : "cloned") from \(source.name)")
            let held = self.held ?? pledge
            let copied = source.file
            if self.sim.options.variant == .pledgeNotReasserted {
                self.pledge = nil
                server.file = copied
                server.file.upstream = upstream
                server.standbySignal = true
                server.start()
                self.whenRunning(done) { done(.done) }
                return
            }
            server.file.pledge = held.mayBecome(pledge) ? pledge : held
            let isCopied = self.sim.options.variant == .copiedNames && copied.upstream?.leader == leader.index
            self.startStandby(upstream: isCopied ? copied.upstream : upstream, done)
        }
    }

    /// The leader, or a standby that streams from it.
    private func cloneSource(_ leader: SimServer) -> SimServer {
        let standbys = self.sim.servers.filter {
            $0.isStandby && $0 !== self.server && $0.receiver?.isStreaming == true
                && $0.receiver?.upstream.leader == leader.index
        }
        guard !standbys.isEmpty, self.sim.chance(400) else { return leader }
        return self.sim.pick(standbys)
    }

    /// The server's data is a copy of `source` now, its pledge is not yet ours.
    private func take(from source: SimServer) {
        let server = self.server
        server.exists = true
        server.standbySignal = true
        server.isHandmade = false
        server.systemIdentifier = source.systemIdentifier
        server.wal = source.wal
        server.timeline = source.timeline
        server.forks = source.forks
        server.highestTimeline = source.highestTimeline
        self.sim.ledger.verified[server.index] = 0
        server.file = SimSettings(pledge: self.held, upstream: nil, list: source.file.list)
    }

    private func initialize(_ pledge: Pledge, _ done: @escaping (NodeOutcome) -> Void) {
        let server = self.server
        let identifier: UInt64 = 7_000_000_000
        func answer() { done(.initialized(systemIdentifier: identifier, server.position)) }
        if server.exists {
            guard server.file.pledge == pledge else {
                done(.failed(.other("the data directory is not empty")))
                return
            }
            server.start()
            self.whenRunning(done, answer)
            return
        }
        self.later(self.sim.between(.ms(500), .s(2))) { [unowned self] in
            self.pledge = pledge
            server.exists = true
            server.systemIdentifier = identifier
            server.file = SimSettings(pledge: pledge, upstream: nil, list: .fence)
            server.standbySignal = false
            for _ in 0..<4 { server.append(.filler) }
            server.start()
            self.whenRunning(done, answer)
        }
    }
}

extension SimServer {
    /// How many records both have, from the beginning. What two servers share is always a prefix.
    func commonWAL(with other: SimServer) -> Int {
        var low = 0
        var high = min(self.wal.count, other.wal.count)
        while low < high {
            let middle = (low + high + 1) / 2
            if self.wal[middle - 1].id == other.wal[middle - 1].id { low = middle } else { high = middle - 1 }
        }
        return low
    }
}

extension Simulation {
    /// Over HTTP to the agent and back; the agent works on when nobody waits any more.
    func runByAgent(_ order: SimOrder) {
        let agent = self.agents[order.node]
        let place = order.controller.place
        func reply(_ outcome: NodeOutcome) {
            self.transmit(.node(order.node), place) { [unowned self] in
                order.controller.ifAlive(order.controllerLife) { [unowned self] in self.finish(order, outcome) }
            }
        }
        self.transmit(place, .node(order.node)) { [unowned self] in
            guard agent.isAlive, agent.isInSpec else {
                if !self.servers[order.node].isFrozen { reply(.failed(.unreachable("the agent does not answer"))) }
                return
            }
            self.listen(order, to: agent, life: agent.life)
            agent.receive { agent.run(order, answer: reply) }
        }
    }

    /// TCP's keepalives end the wait for an agent that is gone, with its host or alone: PGHAClient/VanishedPeers.
    private func listen(_ order: SimOrder, to agent: SimAgent, life: Int) {
        order.controller.later(.s(11)) { [unowned self] in
            guard !order.isDone else { return }
            if agent.isAlive, agent.life == life {
                self.listen(order, to: agent, life: life)
            } else {
                self.finish(order, .failed(.unreachable("the agent is gone")))
            }
        }
    }
}

extension SimAgent {
    func receive(_ body: @escaping () -> Void) {
        self.ifAlive(self.life, body)
    }
}
