package import PGHACore

/// What kind of cluster a seed gets, and what happens to it.
package struct Schedule: Hashable, Sendable {
    package var nodes = 3
    package var copies = 2
    package var standbyLoss: Durability.StandbyLoss?
    package var controllers = 1
    /// Poolers through which some of the clients come.
    package var poolers = 0
    /// The last server is started by its host's init system, not by an agent.
    package var withoutAgent = false
    /// Mode `async` at first; nil: `quorum`.
    package var async: Async?
    /// The faults do not wait until the cluster was made.
    package var startsEarly = false
    /// After everything has healed, the leader's host goes for good, a moment after a member was replaced.
    package var lastRound = false
    /// Ascending by time.
    package var faults: [Fault] = []

    package init() {}

    package struct Async: Hashable, Sendable {
        /// Seconds.
        package var lease: Int
        /// Bytes of WAL; a record has 64.
        package var maxLag: Int

        package init(lease: Int, maxLag: Int) {
            self.lease = lease
            self.maxLag = maxLag
        }
    }
}

extension Schedule {
    /// Made from the seed alone. Few kinds of faults per seed find more than all at once ("swarm"); half of the seeds
    /// get an aimed mix, in which the kinds belong together.
    package init(seed: UInt64, seconds: Int) {
        var random = SeededGenerator(seed: seed &* 0x9E37_79B9 &+ 0x51A7_11E5)
        self.nodes = [2, 3, 3, 3, 4, 4, 5, 5, 6, 7].randomElement(using: &random) ?? 3
        self.copies = self.nodes > 3 && Int.random(in: 0..<3, using: &random) == 0 ? 3 : 2
        self.standbyLoss = [nil, nil, .degrade, .block].randomElement(using: &random) ?? nil
        self.controllers = [1, 1, 1, 2, 2, 3].randomElement(using: &random) ?? 1
        self.withoutAgent = Int.random(in: 0..<8, using: &random) == 0
        self.startsEarly = Int.random(in: 0..<6, using: &random) == 0
        self.lastRound = Int.random(in: 0..<4, using: &random) == 0
        self.poolers = [0, 1, 0, 2][Int(seed % 4)]
        var maker = FaultMaker(random: random, nodes: self.nodes, controllers: self.controllers)
        self.faults = maker.faults(until: Int64.s(Int64(seconds)))
        if Self.isAsync(seed) { self.becomeAsync(seed, seconds) }
    }

    /// One seed in five.
    package static func isAsync(_ seed: UInt64) -> Bool { seed % 5 == 3 }

    private mutating func becomeAsync(_ seed: UInt64, _ seconds: Int) {
        var maker = LeaseFaultMaker(
            random: SeededGenerator(seed: seed &* 0x9E37_79B9 &+ 0x1EA5_E000), nodes: self.nodes,
            controllers: self.controllers,
            // A store that is made again takes the mode of the specification, and not what was being changed to or from.
            changesMode: !self.faults.contains { $0.kind == .restore })
        self.async = maker.mode()
        self.withoutAgent = false
        self.faults = (self.faults + maker.faults(until: Int64.s(Int64(seconds)))).enumerated()
            .sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }.map(\.element)
    }
}

/// Draws faults.
private struct FaultMaker {
    var random: SeededGenerator
    let nodes: Int
    let controllers: Int

    mutating func faults(until end: Int64) -> [Fault] {
        let pace = self.between(.ms(400), .ms(6000))
        let aim = Aim.allCases.randomElement(using: &self.random) ?? .swarm
        let kinds = Array(Fault.Kind.drawn.shuffled(using: &self.random).prefix(Int(self.between(2, 8))))
        var result: [Fault] = []
        var now = self.between(pace / 4, pace * 2)
        while now < end {
            if aim != .swarm, self.chance(400) {
                result += self.aimed(aim, at: now)
                now += self.between(.s(2), .s(8))
            } else if aim == .swarm || self.chance(300) {
                let kind = kinds[Int(self.between(0, Int64(kinds.count - 1)))]
                result.append(self.fault(kind, at: now))
            }
            now += self.between(pace / 4, pace * 2)
        }
        return result.sorted { $0.time < $1.time }
    }

    private mutating func between(_ low: Int64, _ high: Int64) -> Int64 {
        Int64.random(in: low...max(low, high), using: &self.random)
    }

    private mutating func chance(_ perThousand: Int) -> Bool {
        Int.random(in: 0..<1000, using: &self.random) < perThousand
    }

    private mutating func node() -> Fault.Target { .node(Int(self.between(0, Int64(self.nodes - 1)))) }
    private mutating func controller() -> Fault.Target {
        .controller(Int(self.between(0, Int64(self.controllers - 1))))
    }

    private mutating func anyone() -> Fault.Target {
        let index = Int(self.between(0, Int64(self.nodes + self.controllers - 1)))
        return index < self.nodes ? .node(index) : .controller(index - self.nodes)
    }

    /// Mostly short, now and then longer than any time-out.
    private mutating func length() -> Int64 {
        self.chance(700) ? self.between(.ms(50), .s(4)) : self.between(.s(4), .s(20))
    }

    private mutating func nodeOrLeader() -> Fault.Target { self.chance(350) ? .leader : self.node() }

    private mutating func fault(_ kind: Fault.Kind, at time: Int64) -> Fault {
        switch kind {
        case .crash: Fault(at: time, kind, [self.nodeOrLeader()])
        case .restart: Fault(at: time, kind, [self.nodeOrLeader()], length: self.between(.ms(10), .ms(400)))
        case .power:
            self.chance(60)
                ? Fault(at: time, kind, (0..<self.nodes).map { .node($0) }, length: self.between(.s(1), .s(12)))
                : Fault(at: time, kind, [self.nodeOrLeader()], length: self.length())
        case .freeze, .clients: Fault(at: time, kind, [self.nodeOrLeader()], length: self.length())
        case .agent: Fault(at: time, kind, [self.node()], length: self.length())
        case .disk: Fault(at: time, kind, [self.nodeOrLeader()], length: self.between(.s(1), .s(25)))
        case .receiver, .handmade: Fault(at: time, kind, [self.node()])
        case .reload: Fault(at: time, kind, [self.node()], length: self.length(), amount: self.between(.ms(100), .s(3)))
        case .cut, .oneway: Fault(at: time, kind, [self.node(), self.anyone()], length: self.length())
        case .isolate:
            Fault(at: time, kind, [self.chance(700) ? self.nodeOrLeader() : self.controller()], length: self.length())
        case .slow: Fault(at: time, kind, length: self.length(), amount: self.between(2, 60))
        case .outage, .forget: Fault(at: time, kind, length: self.length())
        case .lag: Fault(at: time, kind, length: self.length(), amount: self.between(.ms(50), .s(3)))
        case .restore: Fault(at: time, kind, length: self.length(), amount: self.between(1, 12))
        case .controller, .stall: Fault(at: time, kind, [self.controller()], length: self.length())
        case .fuse: Fault(at: time, kind, [self.controller()], length: self.length(), amount: self.between(1, 12))
        case .switchover, .failover, .force: Fault(at: time, kind, self.chance(500) ? [self.node()] : [])
        case .pause: Fault(at: time, kind, length: self.length())
        case .membership, .mode: Fault(at: time, kind, [self.node()])
        }
    }

    // MARK: - Aimed mixes

    private enum Aim: CaseIterable {
        case swarm, unheard, recorded, handover, changing, deposed, shrinking, apart, returning
    }

    private mutating func aimed(_ aim: Aim, at time: Int64) -> [Fault] {
        switch aim {
        case .swarm: []
        case .unheard: self.unheard(at: time)
        case .recorded: self.recorded(at: time)
        case .handover: self.handover(at: time)
        case .changing: self.changing(at: time)
        case .deposed: self.deposed(at: time)
        case .shrinking: self.shrinking(at: time)
        case .apart: self.apart(at: time)
        case .returning: self.returning(at: time)
        }
    }

    private func controllers(
        cutFrom target: Fault.Target, at time: Int64, for length: Int64, when trigger: Fault.Trigger? = nil
    ) -> [Fault] {
        (0..<self.controllers).map {
            Fault(at: time, when: trigger, .cut, [target, .controller($0)], length: length)
        }
    }

    /// The controllers lose the leader, which lives and goes on committing; receivers come and go while their servers
    /// are sealed, and settings are taken over late.
    private mutating func unheard(at time: Int64) -> [Fault] {
        var result = self.controllers(cutFrom: .leader, at: time, for: self.between(.s(11), .s(18)))
        for node in 0..<self.nodes where self.chance(600) {
            result.append(Fault(at: time, when: .sealing, .receiver, [.node(node)]))
            result.append(
                Fault(at: time + .s(9), .reload, [.node(node)], length: .s(8), amount: self.between(.ms(50), .ms(800))))
        }
        return result
    }

    /// A leader dies, and its successor once it is recorded; the first comes back, or neither does for a while.
    private mutating func recorded(at time: Int64) -> [Fault] {
        let first: Fault.Kind = self.chance(500) ? .power : .crash
        var result = [Fault(at: time, first, [.leader], length: first == .power ? self.between(.s(3), .s(15)) : 0)]
        if self.chance(600) {
            // One that was sealed goes before it attaches.
            result.append(Fault(at: time, when: .promoting, .power, [.follower], length: self.between(.s(2), .s(9))))
        }
        let second: Fault.Kind = [.power, .crash, .isolate].randomElement(using: &self.random) ?? .power
        result.append(Fault(at: time, when: .promoting, second, [.candidate], length: self.between(.s(3), .s(15))))
        if self.chance(300) {
            result.append(
                Fault(at: time, when: .promoting, .controller, [.leading], length: self.between(.ms(500), .s(3))))
        }
        return result
    }

    /// A switchover while a follower hears the leader and not the controllers.
    private mutating func handover(at time: Int64) -> [Fault] {
        var result = [Fault(at: time + .ms(50), .switchover)]
        for node in 0..<self.nodes where self.chance(350) {
            result += self.controllers(cutFrom: .node(node), at: time, for: self.between(.s(1), .s(6)))
        }
        if self.chance(300) { result.append(Fault(at: time, when: .sealing, .crash, [.leader])) }
        if self.chance(400) {
            result.append(Fault(at: time, when: .sealing, .restart, [.leader], length: self.between(.ms(10), .ms(400))))
        }
        return result
    }

    /// Members come and go; whoever leads is lost while the list is being changed.
    private mutating func changing(at time: Int64) -> [Fault] {
        var result = [
            Fault(at: time, self.chance(500) ? .power : .isolate, [self.node()], length: self.between(.s(11), .s(16)))
        ]
        if self.chance(500) { result.append(Fault(at: time, .membership, [self.node()])) }
        if self.chance(600) {
            result.append(
                Fault(at: time, .reload, [.leader], length: .s(20), amount: self.between(.ms(100), .s(2))))
        }
        switch self.between(0, 3) {
        case 0:
            result += self.controllers(cutFrom: .leader, at: time, for: self.between(.s(2), .s(15)), when: .changing)
        case 1: result.append(Fault(at: time, when: .changing, .power, [.leader], length: self.between(.s(1), .s(12))))
        case 2:
            result.append(Fault(at: time, when: .changing, .isolate, [.follower], length: self.between(.s(1), .s(6))))
        default:
            result.append(
                Fault(at: time, when: .changing, .controller, [.leading], length: self.between(.ms(300), .s(4))))
        }
        return result
    }

    /// The leading controller loses the store, or is stopped, in the middle of its work; another takes over.
    private mutating func deposed(at time: Int64) -> [Fault] {
        let trigger: Fault.Trigger = self.chance(500) ? .sealing : .promoting
        let length = self.between(.s(3), .s(9))
        var result = [
            Fault(
                at: time, [.crash, .power, .isolate].randomElement(using: &self.random) ?? .crash, [.leader],
                length: self.between(.s(2), .s(12)))
        ]
        if self.chance(600) {
            result.append(Fault(at: time, when: trigger, .cut, [.leading, .store], length: length))
        } else {
            result.append(Fault(at: time, when: trigger, .stall, [.leading], length: length))
        }
        if self.chance(400) {
            result.append(
                Fault(at: time, when: .promoting, .cut, [.candidate, .leading], length: self.between(.s(1), .s(6))))
        }
        return result
    }

    /// So many servers go that only one copy is left, and the leader is lost while that changes.
    private mutating func shrinking(at time: Int64) -> [Fault] {
        let length = self.between(.s(11), .s(20))
        var result: [Fault] = []
        let kept = self.between(0, Int64(self.nodes - 1))
        for node in 0..<self.nodes where Int64(node) != kept && self.chance(900) {
            result.append(Fault(at: time, self.chance(500) ? .power : .isolate, [.node(node)], length: length))
        }
        if self.chance(600) {
            result.append(Fault(at: time + .s(9), .outage, length: self.between(.s(1), .s(6))))
        }
        if self.chance(400) {
            result.append(Fault(at: time, when: .changing, .power, [.leader], length: self.between(.s(1), .s(12))))
        }
        return result
    }

    /// Servers are promoted apart, by hand or by a claim that is given up: the same timeline id twice.
    private mutating func apart(at time: Int64) -> [Fault] {
        var result = [Fault(at: time, .power, [.leader], length: self.between(.s(3), .s(12)))]
        result.append(Fault(at: time, when: .promoting, .isolate, [.candidate], length: self.between(.s(4), .s(14))))
        if self.chance(500) { result.append(Fault(at: time + self.between(.ms(100), .s(8)), .handmade, [self.node()])) }
        if self.chance(400) {
            result.append(Fault(at: time, when: .promoting, .freeze, [.follower], length: self.between(.s(1), .s(10))))
        }
        return result
    }

    /// A server is away for a while, comes back and is made a standby again while its successor is lost.
    private mutating func returning(at time: Int64) -> [Fault] {
        let away = self.between(.s(2), .s(8))
        var result = [
            Fault(at: time, self.chance(500) ? .power : .isolate, [.leader], length: away),
            Fault(
                at: time + away + self.between(.ms(200), .s(6)), self.chance(500) ? .power : .crash, [.leader],
                length: self.between(.s(2), .s(8))),
        ]
        if self.chance(300) {
            result.append(
                Fault(
                    at: time + away + self.between(0, .s(4)), .agent, [self.node()],
                    length: self.between(.ms(100), .s(2))))
        }
        return result
    }
}
