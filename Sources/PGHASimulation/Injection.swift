import PGHACore

/// Faults that last, and are not a server's own.
struct Trouble {
    /// The store answers up to this much later. Microseconds.
    var storeDelay: Int64 = 0
    /// Of a thousand answers of the store, so many are lost.
    var storeForgets = 0
    private var fullUntil = [Int64](repeating: 0, count: Place.nodeLimit)
    /// Until then nothing else happens.
    var quietUntil: Int64 = 0
    /// Armed faults, in the order in which they came.
    var armed: [Fault] = []
    /// When something last happened that may have kept a node from being heard; the last of all, in `everywhere`.
    var hurt = [Int64](repeating: 0, count: Place.nodeLimit)
    var everywhere: Int64 = 0

    func isFull(_ node: Int, at now: Int64) -> Bool { self.fullUntil[node] > now }
    mutating func fill(_ node: Int, until time: Int64) { self.fullUntil[node] = time }

    mutating func end() {
        self.storeDelay = 0
        self.storeForgets = 0
        self.armed = []
        self.fullUntil = [Int64](repeating: 0, count: Place.nodeLimit)
    }
}

extension Simulation {
    func scheduleFaults() {
        let start = self.now
        for fault in self.schedule.faults {
            self.after(start + fault.time - self.now) { [unowned self] in
                guard !self.healed else { return }
                if fault.trigger == nil { self.inject(fault) } else { self.trouble.armed.append(fault) }
            }
        }
    }

    /// Fires what was armed for the phase that the store has just reached.
    func fireArmed(from old: ClusterState?, to new: ClusterState) {
        guard !self.trouble.armed.isEmpty, old?.procedure != new.procedure else { return }
        let trigger: Fault.Trigger
        switch new.procedure {
        case nil: trigger = .steady
        case .sealing: trigger = .sealing
        case .promoting: trigger = .promoting
        case .changingRule: trigger = .changing
        case .bootstrap: return
        }
        let due = self.trouble.armed.filter { $0.trigger == trigger }
        self.trouble.armed.removeAll { $0.trigger == trigger }
        for fault in due {
            self.after(self.between(0, .ms(30))) { [unowned self] in if !self.healed { self.inject(fault) } }
        }
    }

    // MARK: - Who

    private func node(_ name: NodeName?) -> Int? { self.servers.firstIndex { $0.name == name } }

    private func place(_ target: Fault.Target) -> Place? {
        let newest = self.store.state?.openRules.last
        switch target {
        case .node(let index): return index < self.servers.count ? .node(index) : nil
        case .controller(let index): return index < self.controllers.count ? .controller(index) : nil
        case .store: return .store
        case .leader: return self.node(self.store.state?.rule?.leader).map { .node($0) }
        case .candidate: return self.node(newest?.leader).map { .node($0) }
        case .follower: return self.node(newest?.followers.first).map { .node($0) }
        case .outsider:
            return self.servers.firstIndex { newest?.cohort.contains($0.name) == false }.map { .node($0) }
        case .leading:
            return self.controllers.firstIndex { $0.isAlive && $0.isLeading }.map { .controller($0) }
        }
    }

    // MARK: - What

    private func inject(_ fault: Fault) {
        let places = fault.targets.map { self.place($0) }
        guard !places.contains(nil), self.now >= self.trouble.quietUntil else { return }
        self.trace("fault", "\(fault)")
        switch fault.kind {
        case .crash, .restart, .power, .freeze, .agent, .receiver, .reload, .clients, .disk, .handmade:
            for case .node(let node)? in places { self.harm(self.servers[node], fault) }
        case .cut, .oneway, .isolate, .slow: self.harmNetwork(fault, places.compactMap { $0 })
        case .outage, .lag, .forget, .restore: self.harmStore(fault)
        case .controller, .fuse, .stall:
            for case .controller(let index)? in places { self.harm(self.controllers[index], fault) }
        case .switchover, .failover, .force, .pause, .membership, .mode:
            let name: NodeName? = if case .node(let node)?? = places.first { self.servers[node].name } else { nil }
            self.operate(fault, name)
        }
    }

    private func harm(_ server: SimServer, _ fault: Fault) {
        let agent = self.agents[server.index]
        switch fault.kind {
        case .crash: server.kill()
        case .restart:
            guard server.process == .running, agent.isInSpec else { return }
            server.kill()
            self.after(fault.length) { server.start() }
        case .power: self.losePower(server.index, for: fault.length)
        case .freeze: self.freeze(server, for: fault.length)
        case .agent:
            guard agent.isAlive else { return }
            agent.kill()
            // Its init system starts it again. Longer than that, nobody would end a lease: a limit that the docs state.
            let away = self.schedule.async == nil ? fault.length : min(fault.length, .ms(500))
            self.after(away) { agent.start() }
        case .receiver: if let receiver = server.receiver { server.endReceiver(receiver.id) }
        case .reload:
            server.reloadBrake = fault.amount
            self.after(fault.length) { server.reloadBrake = 0 }
        case .clients: self.trouble.fill(server.index, until: self.now + fault.length)
        case .disk: self.fillDisk(server, for: fault.length)
        case .handmade: self.promoteByHand(server)
        case .cut, .oneway, .isolate, .slow, .outage, .lag, .forget, .restore, .controller, .fuse, .stall, .switchover,
            .failover, .force, .pause, .membership, .mode:
            break
        }
    }

    func losePower(_ node: Int, for length: Int64) {
        let server = self.servers[node]
        let agent = self.agents[node]
        guard server.hasPower else { return }
        server.isFrozen = false
        server.thawed = []
        agent.kill()
        agent.loseHost()
        server.hasPower = false
        server.kill(closingSockets: false)
        self.hurt(node)
        self.after(length) { [unowned self] in self.restorePower(node) }
    }

    func restorePower(_ node: Int) {
        let server = self.servers[node]
        guard !server.hasPower, node != self.lostForGood else { return }
        self.trace("fault", "power of \(server.name) is back")
        server.hasPower = true
        self.hurt(node)
        self.agents[node].start()
        if !self.agents[node].isInSpec { server.start() }
    }

    private func freeze(_ server: SimServer, for length: Int64) {
        guard !server.isFrozen, server.hasPower else { return }
        server.freeze()
        self.hurt(server.index)
        self.after(length) { [unowned self] in
            guard server.isFrozen else { return }
            self.trace("fault", "thaw \(server.name)")
            self.hurt(server.index)
            server.thaw()
        }
    }

    /// A primary that cannot write WAL ends with a PANIC, a standby's receiver with an error.
    private func fillDisk(_ server: SimServer, for length: Int64) {
        guard !server.isDiskFull else { return }
        server.isDiskFull = true
        self.hurt(server.index)
        server.later(self.between(0, .s(4))) {
            guard server.isDiskFull else { return }
            if !server.inRecovery {
                server.kill()
            } else if let receiver = server.receiver {
                server.endReceiver(receiver.id)
            }
        }
        self.after(length) { [unowned self] in
            self.trace("fault", "space on \(server.name)")
            server.isDiskFull = false
            self.hurt(server.index)
        }
    }

    /// Somebody runs `pg_ctl promote`, where the cluster can do without the server.
    private func promoteByHand(_ server: SimServer) {
        guard let state = self.store.state, let rule = state.rule, self.schedule.nodes > self.schedule.copies,
            !self.servers.contains(where: { $0.isHandmade }), server.isStandby, state.procedure == nil,
            state.removing.isEmpty,
            rule.cohort.filter({ $0 != server.name }).count >= rule.copies
        else { return }
        // Before it has anything of the leader's timeline it would pick the same id again: where leaders do not wait for
        // a flush that is no rare thing, and a limit of the docs.
        if self.schedule.async != nil,
            server.timeline != self.servers.first(where: { $0.name == rule.leader })?.timeline
        {
            return
        }
        server.isHandmade = true
        server.becomePrimary()
    }

    private func harmNetwork(_ fault: Fault, _ places: [Place]) {
        var links: [(Place, Place)] = []
        let everyone: [Place] =
            self.servers.indices.map { .node($0) } + self.controllers.indices.map { .controller($0) }
            + self.poolers.indices.map { .pooler($0) }
        switch fault.kind {
        case .cut, .oneway:
            guard places.count == 2, places[0] != places[1] else { return }
            links = [(places[0], places[1])] + (fault.kind == .cut ? [(places[1], places[0])] : [])
        case .isolate:
            guard let place = places.first else { return }
            links = everyone.filter { $0 != place }.flatMap { [(place, $0), ($0, place)] }
        default:
            self.network.slowness = max(1, fault.amount)
            self.hurtEverywhere()
            self.after(fault.length) { [unowned self] in
                self.network.slowness = 1
                self.hurtEverywhere()
            }
            return
        }
        self.cut(links, 1)
        self.after(fault.length) { [unowned self] in
            guard !self.healed else { return }
            self.trace("fault", "mended \(links.map { "\($0.0)>\($0.1)" }.joined(separator: " "))")
            self.cut(links, -1)
        }
    }

    private func cut(_ links: [(Place, Place)], _ change: Int) {
        for (a, b) in links {
            self.network.cut(a, b, change)
            for case .node(let node) in [a, b] { self.hurt(node) }
            if a == .store || b == .store { self.hurtEverywhere() }
        }
    }

    private func harmStore(_ fault: Fault) {
        switch fault.kind {
        case .lag:
            self.trouble.storeDelay = fault.amount
            self.after(fault.length) { [unowned self] in self.trouble.storeDelay = 0 }
        case .forget:
            self.trouble.storeForgets = 500
            self.after(fault.length) { [unowned self] in self.trouble.storeForgets = 0 }
        case .restore: self.restoreStore(fault)
        default:
            let links = self.controllers.indices.map { (Place.controller($0), Place.store) }
            self.cut(links, 1)
            self.after(fault.length) { [unowned self] in if !self.healed { self.cut(links, -1) } }
        }
    }

    /// Every server answers. An old copy is noticed by what the servers know: with those away that know, it is not.
    private var isQuiet: Bool {
        let controllers = self.controllers.indices.map { Place.controller($0) }
        return self.servers.allSatisfy { server in
            server.process == .running && !server.isFrozen && self.agents[server.index].isAlive
                && controllers.allSatisfy {
                    !self.network.isCut($0, .node(server.index)) && !self.network.isCut(.node(server.index), $0)
                }
        }
    }

    /// All controllers are stopped, an old copy of the store is put back, they are started again.
    private func restoreStore(_ fault: Fault) {
        guard self.store.hasPast(Int(fault.amount)), !self.ledger.storeIsOld, self.isQuiet else { return }
        for controller in self.controllers { controller.kill() }
        self.ledger.newestSpec = self.store.state?.spec
        self.ledger.storeIsOld = self.store.restore(Int(fault.amount))
        if let spec = self.store.state?.spec { for agent in self.agents { agent.follow(spec) } }
        self.hurtEverywhere()
        let pause = min(fault.length, .s(4))
        self.trouble.quietUntil = self.now + pause + .s(8)
        for controller in self.controllers { self.after(pause) { controller.start() } }
    }

    private func harm(_ controller: SimController, _ fault: Fault) {
        guard controller.isAlive else { return }
        self.hurtEverywhere()
        switch fault.kind {
        case .fuse:
            controller.fuse = Int(fault.amount)
            self.after(fault.length) { [unowned self] in
                self.hurtEverywhere()
                controller.start()
            }
        case .stall:
            controller.stall()
            self.after(fault.length) { [unowned self] in
                self.hurtEverywhere()
                controller.unstall()
            }
        default:
            controller.kill()
            self.after(fault.length) { [unowned self] in
                self.hurtEverywhere()
                controller.start()
            }
        }
    }

    func hurt(_ node: Int) { self.trouble.hurt[node] = self.now }
    func hurtEverywhere() { self.trouble.everywhere = self.now }

    // MARK: - The end

    /// Every fault ends. What was begun goes on.
    func heal() {
        self.trace("heal", "all faults end")
        self.healed = true
        self.network.mend()
        self.trouble.end()
        self.hurtEverywhere()
        for (index, server) in self.servers.enumerated() {
            server.reloadBrake = 0
            server.isDiskFull = false
            self.restorePower(index)
            if server.isFrozen { server.thaw() }
            self.agents[index].start()
        }
        for controller in self.controllers {
            controller.fuse = nil
            controller.unstall()
            controller.start()
        }
    }
}
