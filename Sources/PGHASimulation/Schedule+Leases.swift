import PGHACore

/// Draws what is to happen to a cluster in mode `async`, beside what happens to any.
struct LeaseFaultMaker {
    var random: SeededGenerator
    let nodes: Int
    let controllers: Int
    let changesMode: Bool

    mutating func mode() -> Schedule.Async {
        let lag = [64 * 10, 64 * 100, 1 << 20, 1 << 20].randomElement(using: &self.random) ?? 1 << 20
        return .init(lease: [5, 5, 8].randomElement(using: &self.random) ?? 5, maxLag: lag)
    }

    mutating func faults(until end: Int64) -> [Fault] {
        let changesMode = self.chance(300) && self.changesMode
        var result: [Fault] = []
        var now = self.between(.s(1), .s(10))
        while now < end {
            result += self.aimed(at: now)
            if changesMode, self.chance(500) { result.append(Fault(at: now + self.between(0, .s(8)), .mode)) }
            now += self.between(.s(8), .s(30))
        }
        return result
    }

    private mutating func between(_ low: Int64, _ high: Int64) -> Int64 {
        Int64.random(in: low...max(low, high), using: &self.random)
    }

    private mutating func chance(_ perThousand: Int) -> Bool {
        Int.random(in: 0..<1000, using: &self.random) < perThousand
    }

    private mutating func aimed(at time: Int64) -> [Fault] {
        switch self.between(0, 7) {
        case 0: [Fault(at: time, .isolate, [.leader], length: self.between(.s(2), .s(16)))]
        case 1: self.parted(at: time)
        case 2: [Fault(at: time, .freeze, [.leader], length: self.between(.s(2), .s(15)))]
        case 3: self.behind(at: time)
        case 4: self.deposed(at: time)
        case 5: self.growing(at: time)
        case 6: self.asked(at: time)
        default: self.again(at: time)
        }
    }

    /// The leader and some followers here, the controllers and the others there.
    private mutating func parted(at time: Int64, when trigger: Fault.Trigger? = nil) -> [Fault] {
        let length = self.between(.s(5), .s(18))
        var here: [Fault.Target] = [.leader]
        var there: [Fault.Target] = (0..<self.controllers).map { .controller($0) }
        for node in 0..<self.nodes {
            if self.chance(500) { here.append(.node(node)) } else { there.append(.node(node)) }
        }
        return here.flatMap { a in there.map { b in Fault(at: time, when: trigger, .cut, [a, b], length: length) } }
    }

    /// Followers fall behind, then the leader goes.
    private mutating func behind(at time: Int64) -> [Fault] {
        let length = self.between(.s(2), .s(9))
        let cuts = (0..<self.nodes).map { Fault(at: time, .cut, [.leader, .node($0)], length: length) }
        let gone = Fault(
            at: time + self.between(.ms(500), length), .isolate, [.leader], length: self.between(.s(6), .s(15)))
        return cuts + [gone]
    }

    /// The leading controller is stopped, or loses the store, and goes on after another has taken over.
    private mutating func deposed(at time: Int64) -> [Fault] {
        let length = self.between(.s(3), .s(10))
        var result = [
            self.chance(500)
                ? Fault(at: time, .stall, [.leading], length: length)
                : Fault(at: time, .cut, [.leading, .store], length: length)
        ]
        for controller in 0..<self.controllers where self.chance(600) {
            result.append(
                Fault(
                    at: time + .ms(200), .cut, [.leader, .controller(controller)], length: self.between(.s(8), .s(16))))
        }
        return result
    }

    /// A member is away until it has left, comes back, and the cluster is parted as it joins.
    private mutating func growing(at time: Int64) -> [Fault] {
        let away = self.between(.s(12), .s(16))
        let node = Fault.Target.node(Int(self.between(0, Int64(self.nodes - 1))))
        return [Fault(at: time, .isolate, [node], length: away)]
            + self.parted(at: time + away + self.between(.ms(100), .s(3)), when: self.chance(500) ? .steady : nil)
    }

    /// The controllers lose the leader, for which the others vouch, and somebody asks for another.
    private mutating func asked(at time: Int64) -> [Fault] {
        let length = self.between(.s(6), .s(15))
        let cuts = (0..<self.controllers).map { Fault(at: time, .cut, [.leader, .controller($0)], length: length) }
        let kind: Fault.Kind = self.chance(700) ? .failover : .force
        return cuts + [Fault(at: time + self.between(.ms(200), .s(5)), kind)]
    }

    /// The leader is lost, and its successor as soon as it leads.
    private mutating func again(at time: Int64) -> [Fault] {
        let kind: Fault.Kind = self.chance(500) ? .isolate : .power
        return [
            Fault(at: time, kind, [.leader], length: self.between(.s(4), .s(12))),
            Fault(
                at: time, when: self.chance(500) ? .promoting : .steady, .isolate, [.candidate],
                length: self.between(.s(4), .s(14))),
        ]
    }
}
