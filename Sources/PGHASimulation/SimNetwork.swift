/// Where a message starts or ends.
enum Place: Hashable, CustomStringConvertible {
    case controller(Int)
    case store
    case node(Int)
    case pooler(Int)

    static let limit = 16
    static let controllerLimit = 4
    static let nodeLimit = 7
    static let poolerLimit = 2

    var index: Int {
        switch self {
        case .controller(let index): index
        case .store: 4
        case .pooler(let index): 5 + index
        case .node(let index): 7 + index
        }
    }

    var description: String {
        switch self {
        case .controller(let index): "c\(index)"
        case .store: "store"
        case .pooler(let index): "p\(index)"
        case .node(let index): "n\(index)"
        }
    }
}

/// Which directions are cut, and how slow it is.
struct SimNetwork {
    private var cuts = [Int](repeating: 0, count: Place.limit * Place.limit)
    /// Latencies are multiplied by this.
    var slowness: Int64 = 1

    func isCut(_ from: Place, _ to: Place) -> Bool { self.cuts[from.index * Place.limit + to.index] > 0 }

    mutating func cut(_ from: Place, _ to: Place, _ change: Int) {
        self.cuts[from.index * Place.limit + to.index] += change
    }

    mutating func mend() {
        self.cuts = [Int](repeating: 0, count: Place.limit * Place.limit)
        self.slowness = 1
    }
}

extension Simulation {
    /// 0.1 to 0.4 ms; now and then a lost packet's retransmission.
    private func latency() -> Int64 {
        let roll = self.between(0, 9999)
        let base: Int64 =
            switch roll {
            case 0..<4 where !self.healed: self.between(.ms(200), .ms(1500))
            case 4..<100: self.between(.ms(1), .ms(20))
            default: self.between(100, 400)
            }
        guard base <= .ms(100) else {
            self.hurtEverywhere()
            return base
        }
        return base * self.network.slowness
    }

    /// Carries a message; over a cut it is sent again for some seconds (TCP), then lost. A host without power neither
    /// sends nor hears.
    func transmit(_ from: Place, _ to: Place, _ arrive: @escaping () -> Void) {
        self.transmit(from, to, sentAt: self.now, arrive)
    }

    private func transmit(_ from: Place, _ to: Place, sentAt: Int64, _ arrive: @escaping () -> Void) {
        if self.network.isCut(from, to) {
            guard self.now - sentAt < .s(5) else { return }
            self.after(self.between(.ms(150), .ms(300))) { [unowned self] in
                self.transmit(from, to, sentAt: sentAt, arrive)
            }
            return
        }
        guard self.hasPower(from) else { return }
        self.after(self.latency()) { [unowned self] in
            guard self.hasPower(to) else { return }
            arrive()
        }
    }

    private func hasPower(_ place: Place) -> Bool {
        if case .node(let index) = place { return self.servers[index].hasPower }
        // A pooler and its clients are never the fault.
        return true
    }
}
