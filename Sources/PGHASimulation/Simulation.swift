import PGHACore

/// A whole cluster in one thread, from one seed: virtual time, network, store, controllers, agents, servers, clients.
///
/// The decision values are those that ship (``Coordinator`` and what it holds); only the shells are replaced. The
/// PostgreSQL model is faithful where acknowledgement and history are concerned, and nowhere else. Invariants are
/// checked at the events that could break them; the first one broken ends the run. The same seed gives the same
/// trace, byte for byte: nothing here iterates over a `Set` or `Dictionary` where order could show.
package final class Simulation {
    /// What a run is made of. Every figure that is not here comes from the seed.
    package struct Options: Sendable {
        package var seed: UInt64
        /// Seconds of faults, after the cluster was made.
        package var faultSeconds: Int
        /// A deliberately wrong variant, which the invariants must catch.
        package var variant: Variant?
        /// Whether lines are kept for a transcript.
        package var tracing: Bool
        /// Nil: made from the seed.
        package var schedule: Schedule?

        package init(
            seed: UInt64, faultSeconds: Int = 120, variant: Variant? = nil, tracing: Bool = false,
            schedule: Schedule? = nil
        ) {
            self.seed = seed
            self.faultSeconds = faultSeconds
            self.variant = variant
            self.tracing = tracing
            self.schedule = schedule
        }
    }

    /// What came of a run.
    package struct Report: Sendable {
        package var seed: UInt64
        /// The first broken promise; nil when all held.
        package var violation: String?
        /// Whether what was broken is a promise to clients or operators, and not a matter of time.
        package var isUnsafe: Bool
        package var simulatedSeconds: Double
        package var events: Int
        package var acknowledged: Int
        package var failovers: Int
        /// Acknowledged commits that were lost as announced: mode `async` only.
        package var lost: Int
        /// Every rule that the store confirmed, in order.
        package var rules: [String]
        package var transcript: [String]
    }

    let options: Options
    let schedule: Schedule
    var random: SeededGenerator
    /// Microseconds since the start.
    private(set) var now: Int64 = 0
    private var queue = EventQueue()
    private var events = 0

    var network: SimNetwork
    var store = SimStore()
    var servers: [SimServer] = []
    var agents: [SimAgent] = []
    var controllers: [SimController] = []
    var poolers: [SimPooler] = []
    var ledger = Ledger()
    var trouble = Trouble()
    /// This host does not come back.
    var lostForGood: Int?
    /// After `heal()`: no more faults, clients and controllers go on.
    var healed = false
    private(set) var violation: String?
    private var isUnsafe = false
    private(set) var transcript: [String] = []
    private var nextID = 0

    /// Prepares the machines; nothing has been started.
    package init(_ options: Options) {
        self.options = options
        self.random = SeededGenerator(seed: options.seed &* 0x9E37_79B9 &+ 0xD1B5_4A32)
        self.schedule = options.schedule ?? Schedule(seed: options.seed, seconds: options.faultSeconds)
        self.network = SimNetwork()
        for index in 0..<self.schedule.nodes {
            self.servers.append(SimServer(index, self))
            self.agents.append(SimAgent(index, self))
        }
        for index in 0..<self.schedule.controllers { self.controllers.append(SimController(index, self)) }
        for index in 0..<self.schedule.poolers { self.poolers.append(SimPooler(index, self)) }
    }

    // MARK: - Time

    var moment: Moment { Moment(.microseconds(self.now)) }

    func after(_ delay: Int64, _ run: @escaping () -> Void) { self.queue.push(at: self.now + max(0, delay), run) }

    func every(_ period: Int64, _ run: @escaping () -> Void) {
        self.after(period) { [unowned self] in
            run()
            self.every(period, run)
        }
    }

    /// Runs until `time` or the first violation, or until `condition` holds, which is looked at every 10 ms.
    func run(until time: Int64, orUntil condition: () -> Bool = { false }) {
        var nextLook = self.now
        while self.violation == nil, let next = self.queue.nextTime, next <= time {
            if next >= nextLook {
                if condition() { return }
                nextLook = next + .ms(10)
            }
            guard let (at, event) = self.queue.pop() else { break }
            self.now = at
            self.events += 1
            event()
        }
        if self.violation == nil { self.now = max(self.now, time) }
    }

    func makeID() -> Int {
        self.nextID += 1
        return self.nextID
    }

    // MARK: - Chance

    func chance(_ perThousand: Int) -> Bool { Int.random(in: 0..<1000, using: &self.random) < perThousand }
    func between(_ low: Int64, _ high: Int64) -> Int64 { Int64.random(in: low...max(low, high), using: &self.random) }
    func pick<T>(_ values: [T]) -> T { values[Int.random(in: 0..<values.count, using: &self.random)] }

    // MARK: - Transcript

    func trace(_ who: @autoclosure () -> String, _ what: @autoclosure () -> String) {
        guard self.options.tracing else { return }
        let thousandth = self.now / 100
        let fraction = String(thousandth % 10_000)
        let padded = String(repeating: "0", count: 4 - fraction.count) + fraction
        self.transcript.append("\(thousandth / 10_000).\(padded) \(who()): \(what())")
    }

    func violate(_ what: String, isUnsafe: Bool = true) {
        guard self.violation == nil else { return }
        self.isUnsafe = isUnsafe
        self.violation = what
        self.trace("VIOLATION", what)
    }

    func report() -> Report {
        Report(
            seed: self.options.seed, violation: self.violation, isUnsafe: self.isUnsafe,
            simulatedSeconds: Double(self.now) / 1e6,
            events: self.events, acknowledged: self.ledger.acknowledged, failovers: self.ledger.failovers,
            lost: self.ledger.lost,
            rules: self.ledger.confirmed, transcript: self.transcript)
    }
}

extension Int64 {
    static func ms(_ value: Int64) -> Int64 { value * 1000 }
    static func s(_ value: Int64) -> Int64 { value * 1_000_000 }
}
