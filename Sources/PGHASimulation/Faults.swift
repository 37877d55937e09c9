import PGHACore

/// What kind of cluster and trouble a seed gets. Few kinds of faults per seed find more than all at once ("swarm").
struct FaultProfile {
    enum Fault: CaseIterable {
        case crash, crashHost, freeze, freezeServer, killAgent, cutLink, cutOneWay, isolateNode, isolateController
        case slowNetwork, storeOutage, storeSlow, storeForgets, killController, killAtEffect, stallController
        case slowReload, full, powerLoss, switchover, failover, pause, nodes, crashThenRestart, crashLeader
    }

    var nodes = 3
    var copies = 2
    var standbyLoss: Durability.StandbyLoss?
    var controllers = 1
    var faults: [Fault] = Fault.allCases
    /// Mean time between two faults. Microseconds.
    var pace = Int64.s(3)
    var storeDelay: Int64 = 0
    /// Of a thousand answers of the store, so many are lost.
    var storeForgets = 0
    var withoutAgent = false
    private var fullUntil = [Int64](repeating: 0, count: Place.limit)

    init() {}

    init(_ random: inout SeededGenerator) {
        self.nodes = [2, 3, 3, 3, 4, 5].randomElement(using: &random) ?? 3
        self.copies = self.nodes > 3 && Bool.random(using: &random) ? 3 : 2
        self.standbyLoss = [nil, nil, .degrade, .block].randomElement(using: &random) ?? nil
        self.controllers = Int.random(in: 0..<3, using: &random) == 0 ? 2 : 1
        let kinds = Int.random(in: 2...8, using: &random)
        self.faults = Array(Fault.allCases.shuffled(using: &random).prefix(kinds))
        self.pace = Int64.random(in: 400...6000, using: &random) * 1000
        self.withoutAgent = Int.random(in: 0..<8, using: &random) == 0
    }

    func isFull(_ node: Int, at now: Int64) -> Bool { self.fullUntil[node] > now }
    mutating func fill(_ node: Int, until time: Int64) { self.fullUntil[node] = time }
    mutating func drain() { self.fullUntil = [Int64](repeating: 0, count: Place.limit) }
}

extension Simulation {
    func scheduleFaults(until end: Int64) {
        let gap = self.between(self.profile.pace / 4, self.profile.pace * 2)
        self.after(gap) { [unowned self] in
            guard self.now < end, !self.healed else { return }
            self.inject(self.pick(self.profile.faults))
            self.scheduleFaults(until: end)
        }
    }

    /// Mostly short, now and then longer than any time-out.
    private func faultLength() -> Int64 {
        self.chance(700) ? self.between(.ms(50), .s(4)) : self.between(.s(4), .s(20))
    }

    private func note(_ what: String) { self.trace("fault", what) }

    private func inject(_ fault: FaultProfile.Fault) {
        let node = Int(self.between(0, Int64(self.servers.count - 1)))
        let server = self.servers[node]
        switch fault {
        case .crash:
            self.note("crash \(server.name)")
            server.kill()
        case .crashLeader:
            guard let leader = self.servers.filter(\.isPrimary).last else { return }
            self.note("crash primary \(leader.name)")
            leader.kill()
        case .crashThenRestart:
            guard server.process == .running, self.agents[node].isInSpec else { return }
            self.note("crash \(server.name), started again by its container")
            server.kill()
            self.after(self.between(.ms(10), .ms(400))) { server.start() }
        case .crashHost: self.losePower(node, for: self.faultLength())
        case .powerLoss:
            guard self.chance(300) else { return }
            for index in self.servers.indices { self.losePower(index, for: self.between(.s(1), .s(12))) }
            for controller in self.controllers {
                controller.kill()
                self.after(self.between(.s(1), .s(8))) { controller.start() }
            }
        case .freeze, .freezeServer: self.freeze(server, for: self.faultLength())
        case .killAgent:
            guard self.agents[node].isAlive else { return }
            self.agents[node].kill()
            let agent = self.agents[node]
            self.after(self.faultLength()) { agent.start() }
        case .slowReload:
            self.note("slow reloads on \(server.name)")
            server.reloadBrake = self.between(.ms(100), .s(3))
            self.after(self.faultLength()) { server.reloadBrake = 0 }
        case .full:
            self.note("too many clients on \(server.name)")
            self.profile.fill(node, until: self.now + self.faultLength())
        case .cutLink, .cutOneWay, .isolateNode, .isolateController, .slowNetwork: self.harmNetwork(fault, node)
        case .storeOutage, .storeSlow, .storeForgets: self.harmStore(fault)
        case .killController, .killAtEffect, .stallController: self.harmController(fault)
        case .switchover, .failover, .pause, .nodes: self.operate(fault, node)
        }
    }

    private func losePower(_ node: Int, for length: Int64) {
        let server = self.servers[node]
        let agent = self.agents[node]
        guard server.hasPower else { return }
        self.note("power of \(server.name) lost for \(length / 1000) ms")
        server.isFrozen = false
        server.thawed = []
        agent.kill()
        server.hasPower = false
        server.kill(closingSockets: false)
        self.after(length) { [unowned self] in self.restorePower(node) }
    }

    func restorePower(_ node: Int) {
        let server = self.servers[node]
        guard !server.hasPower else { return }
        self.trace("fault", "power of \(server.name) is back")
        server.hasPower = true
        self.agents[node].start()
        if !self.agents[node].isInSpec { server.start() }
    }

    private func freeze(_ server: SimServer, for length: Int64) {
        guard !server.isFrozen, server.hasPower else { return }
        self.note("freeze \(server.name) for \(length / 1000) ms")
        server.freeze()
        self.after(length) { [unowned self] in
            guard server.isFrozen else { return }
            self.note("thaw \(server.name)")
            server.thaw()
        }
    }

    private func harmNetwork(_ fault: FaultProfile.Fault, _ node: Int) {
        let length = self.faultLength()
        var links: [(Place, Place)] = []
        let places: [Place] =
            self.servers.indices.map { .node($0) } + self.controllers.indices.map { .controller($0) }
        switch fault {
        case .cutLink, .cutOneWay:
            let a = Place.node(node), b = self.pick(places)
            guard a != b else { return }
            links = fault == .cutLink ? [(a, b), (b, a)] : [self.chance(500) ? (a, b) : (b, a)]
        case .isolateNode:
            let a = Place.node(node)
            links = places.filter { $0 != a }.flatMap { [(a, $0), ($0, a)] }
        case .isolateController:
            let a = Place.controller(Int(self.between(0, Int64(self.controllers.count - 1))))
            links = places.filter { $0 != a }.flatMap { [(a, $0), ($0, a)] }
        default:
            self.note("network slow for \(length / 1000) ms")
            self.network.slowness = self.between(2, 60)
            self.after(length) { [unowned self] in self.network.slowness = 1 }
            return
        }
        self.note("cut \(links.map { "\($0.0)>\($0.1)" }.joined(separator: " ")) for \(length / 1000) ms")
        for (a, b) in links { self.network.cut(a, b, 1) }
        self.after(length) { [unowned self] in
            guard !self.healed else { return }
            self.note("mended \(links.map { "\($0.0)>\($0.1)" }.joined(separator: " "))")
            for (a, b) in links { self.network.cut(a, b, -1) }
        }
    }

    private func harmStore(_ fault: FaultProfile.Fault) {
        let length = self.faultLength()
        self.note("\(fault) for \(length / 1000) ms")
        switch fault {
        case .storeSlow:
            self.profile.storeDelay = self.between(.ms(50), .s(3))
            self.after(length) { [unowned self] in self.profile.storeDelay = 0 }
        case .storeForgets:
            self.profile.storeForgets = 500
            self.after(length) { [unowned self] in self.profile.storeForgets = 0 }
        default:
            for index in self.controllers.indices {
                self.network.cut(.controller(index), .store, 1)
                self.after(length) { [unowned self] in
                    if !self.healed { self.network.cut(.controller(index), .store, -1) }
                }
            }
        }
    }

    private func harmController(_ fault: FaultProfile.Fault) {
        let controller = self.pick(self.controllers)
        guard controller.isAlive else { return }
        let length = self.faultLength()
        switch fault {
        case .killAtEffect:
            controller.fuse = Int(self.between(1, 12))
            self.after(length) { controller.start() }
        case .stallController:
            self.note("stall c\(controller.index) for \(length / 1000) ms")
            controller.stall()
            self.after(length) { controller.unstall() }
        default:
            controller.kill()
            self.after(length) { controller.start() }
        }
    }

    private func operate(_ fault: FaultProfile.Fault, _ node: Int) {
        guard let controller = self.controllers.first(where: { $0.isLeading && $0.isAlive && !$0.isStalled }) else { return }
        let name = self.servers[node].name
        switch fault {
        case .switchover: _ = controller.request(.switchover(target: self.chance(500) ? name : nil))
        case .failover: _ = controller.request(.failover(target: self.chance(500) ? name : nil, force: false))
        case .pause:
            guard controller.request(.pause(true)) else { return }
            self.after(self.faultLength()) { [unowned self] in self.resume() }
        default:
            guard let spec = self.store.state?.spec else { return }
            let staying = spec.nodes.count - (self.store.state?.removing.count ?? 0)
            if spec[name] != nil, staying > max(2, self.profile.copies) {
                _ = controller.request(.removeNode(name))
            } else if spec[name] == nil {
                _ = controller.request(.addNode(self.nodeSpec(node)))
            }
        }
    }

    func resume() {
        guard self.store.state?.paused == true else { return }
        for controller in self.controllers where controller.isLeading { _ = controller.request(.pause(false)) }
    }

    func nodeSpec(_ node: Int) -> NodeSpec {
        NodeSpec(
            name: self.servers[node].name, host: "h\(node)", port: 5432,
            agent: self.agents[node].isInSpec ? "http://h\(node)" : nil)
    }

    /// Every fault ends. What was begun goes on.
    func heal() {
        self.trace("heal", "all faults end")
        self.healed = true
        self.network.mend()
        self.profile.storeDelay = 0
        self.profile.storeForgets = 0
        self.profile.drain()
        for (index, server) in self.servers.enumerated() {
            server.reloadBrake = 0
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
