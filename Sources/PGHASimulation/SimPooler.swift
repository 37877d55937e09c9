import PGHACore

/// A pooler and its clients: goes by one controller's view of the cluster, and sends transactions to the leader.
///
/// ``PoolTopology`` decides which view counts and which connection may be used, ``HoldLimits`` how long a client waits.
/// Checked at each write: no connection of an older term than the newest that this pooler was told of, whoever told it.
final class SimPooler {
    /// To a server as the leader of a term.
    private struct Connection {
        var node: NodeName
        var server: SimServer
        var life: Int
        var term: Term
    }

    unowned let sim: Simulation
    let index: Int
    let name: String
    private var random: SeededGenerator
    private var topology = PoolTopology.unknown
    /// For the check: the greatest term that it was ever told of.
    private var told = PoolTopology.unknown
    private var connection: Connection?
    private var isConnecting = false
    private var running = 0
    /// Since when each client waits, and whether it was told.
    private var waiting: [(since: Int64, wasTold: Bool)] = []
    private let limits = HoldLimits(most: 6)
    private var drainedClaim: Term?

    // The stream that it follows.
    private var controller = 0
    private var stream = 0
    private var newest = 0
    private var heardAt: Int64 = 0

    init(_ index: Int, _ sim: Simulation) {
        self.index = index
        self.sim = sim
        self.name = "p\(index)"
        self.random = SeededGenerator(seed: sim.options.seed &+ UInt64(index + 1) &* 0xA076_1D64_78BD_642F)
    }

    var place: Place { .pooler(self.index) }
    /// Clients have transactions on the leader.
    var isRunning: Bool { self.running > 0 }
    func follows(_ number: Int) -> Bool { self.stream == number }

    private func between(_ low: Int64, _ high: Int64) -> Int64 { Int64.random(in: low...high, using: &self.random) }

    func begin() {
        self.follow()
        self.sim.every(.ms(500)) { [unowned self] in self.lookAround() }
        self.arrive()
    }

    // MARK: - The topology

    /// Asks the next controller.
    private func follow() {
        let sim = self.sim
        let number = sim.makeID()
        self.stream = number
        self.newest = 0
        self.heardAt = sim.now
        self.controller = (self.controller + 1) % sim.controllers.count
        let controller = sim.controllers[self.controller]
        sim.transmit(self.place, controller.place) { [unowned self] in
            guard controller.isAlive, !controller.isStalled, controller.isLeading else {
                sim.transmit(controller.place, self.place) { [unowned self] in self.ended(number) }
                return
            }
            controller.streams.open(number, self, controller)
        }
    }

    /// Without a word for 3 s it asks another controller; its own sign of life goes to the one that it follows.
    private func lookAround() {
        let controller = self.sim.controllers[self.controller]
        let (number, sim) = (self.stream, self.sim)
        if sim.now - self.heardAt > .s(3) {
            sim.transmit(self.place, controller.place) { controller.streams.close(number, controller) }
            self.follow()
        } else {
            sim.transmit(self.place, controller.place) { controller.streams.heard(number, at: sim.now) }
        }
        self.checkWaiting()
    }

    func ended(_ number: Int) {
        guard self.stream == number else { return }
        self.sim.after(.ms(100)) { [unowned self] in if self.stream == number { self.follow() } }
    }

    /// `order` grows with each line of a stream: a line that was overtaken is worth nothing.
    func heard(_ topology: PoolTopology, on number: Int, _ order: Int) {
        guard self.stream == number, order > self.newest else { return }
        self.newest = order
        self.heardAt = self.sim.now
        if topology.term >= self.told.term { self.told = topology }
        self.apply(topology)
    }

    private func apply(_ topology: PoolTopology) {
        let variant = self.sim.options.variant
        guard topology.replaces(self.topology) || (variant == .poolerGoesBack && topology != self.topology) else {
            return
        }
        if topology.term != self.topology.term || topology.claim != self.topology.claim {
            self.sim.trace(
                self.name,
                "follows term \(topology.term), \(topology.leader?.name.text ?? "nobody") leads"
                    + (topology.claim.map { ", held for term \($0)" } ?? ""))
        }
        self.topology = topology
        if topology.claim == nil { self.drainedClaim = nil }
        if let connection = self.connection, variant != .poolerKeepsConnections,
            topology.outdates(connection.term, to: connection.node)
        {
            self.leave()
        }
        self.reportIfDrained()
        self.work()
    }

    /// The connection is closed; what ran on it is lost.
    private func leave() {
        self.connection = nil
        self.running = 0
    }

    private func reportIfDrained() {
        guard let claim = self.topology.claim, self.drainedClaim != claim,
            self.running == 0 || self.sim.options.variant == .poolerDrainsEarly
        else { return }
        self.drainedClaim = claim
        self.sim.trace(self.name, "has let go for term \(claim)")
        for controller in self.sim.controllers {
            self.sim.transmit(self.place, controller.place) { [unowned self] in
                guard controller.isAlive, !controller.isStalled, controller.isLeading else { return }
                controller.streams.reported(self, drained: claim, controller)
            }
        }
    }

    // MARK: - Clients

    private func arrive() {
        self.sim.after(self.between(.ms(20), .ms(120))) { [unowned self] in
            if self.waiting.count < 4 { self.waiting.append((self.sim.now, false)) }
            self.work()
            self.arrive()
        }
    }

    private func checkWaiting() {
        let now = self.sim.now
        for (index, client) in self.waiting.enumerated().reversed() {
            let waited = Duration.microseconds(now - client.since)
            switch self.limits.verdict(waited: waited, ahead: index, wasTold: client.wasTold) {
            case .wait: break
            case .explain: self.waiting[index].wasTold = true
            case .refuse: self.waiting.remove(at: index)
            }
        }
        if let first = self.waiting.first, now - first.since > .s(31) {
            self.sim.violate("a client of \(self.name) hangs", isUnsafe: false)
        }
    }

    /// Begins what may begin.
    private func work() {
        let holds = self.sim.options.variant != .poolerNeverHolds
        guard let leader = self.topology.leader, self.topology.takesWrites || !holds else { return }
        guard let connection = self.connection else {
            self.connect(leader.name)
            return
        }
        while !self.waiting.isEmpty, self.running < 3 {
            self.write(connection)
            guard self.connection != nil else { return }
            self.waiting.removeFirst()
            self.running += 1
            // Some transactions take long.
            let takes = self.between(0, 399) == 0 ? self.between(.ms(200), .s(7)) : self.between(.ms(1), .ms(40))
            self.sim.after(takes) { [unowned self] in
                guard let now = self.connection, now.life == connection.life, now.term == connection.term,
                    now.node == connection.node
                else { return }
                self.write(connection)
                if self.connection != nil { self.running -= 1 }
                self.reportIfDrained()
                self.work()
            }
        }
    }

    private func connect(_ node: NodeName) {
        guard !self.isConnecting, let server = self.sim.servers.first(where: { $0.name == node }) else { return }
        self.isConnecting = true
        let (sim, term) = (self.sim, self.topology.term)
        sim.transmit(self.place, .node(server.index)) { [unowned self] in
            guard server.process == .running, !server.isFrozen else { return }
            let (life, isStandby) = (server.life, server.inRecovery)
            sim.transmit(.node(server.index), self.place) { [unowned self] in
                guard self.isConnecting, !isStandby, self.connection == nil, !self.topology.outdates(term, to: node)
                else { return }
                self.isConnecting = false
                self.connection = Connection(node: node, server: server, life: life, term: term)
                self.work()
            }
        }
        sim.after(.ms(300)) { [unowned self] in
            guard self.isConnecting else { return }
            self.isConnecting = false
            self.work()
        }
    }

    /// A statement that writes; the last one commits. A dead server's socket says so when something is sent.
    private func write(_ connection: Connection) {
        if self.told.outdates(connection.term, to: connection.node) {
            self.sim.violate(
                "\(self.name) sends a write to \(connection.node) as the leader of term \(connection.term), and was told of "
                    + "term \(self.told.term) of \(self.told.leader?.name.text ?? "nobody")")
        }
        let server = connection.server
        guard server.life == connection.life else {
            self.leave()
            return
        }
        self.sim.transmit(self.place, .node(server.index)) {
            server.ifAlive(connection.life) { if server.isPrimary { server.commit() } }
        }
    }
}
