internal import PGHACore

/// The configuration's numbers in the loop's units: nanoseconds, 0 for never.
struct LoopLimits {
    let queryWait: UInt64
    let query: UInt64
    let transaction: UInt64
    let idleInTransaction: UInt64
    let clientIdle: UInt64
    let clientLogIn: UInt64
    let serverConnect: UInt64
    let serverIdle: UInt64
    let serverLifetime: UInt64
    let slowClient: UInt64
    let connectPause: UInt64
    let connectPauseLimit: UInt64
    let reserveAfter: UInt64
    /// Of those that end clients for what they do; `UInt64.max` when there is none.
    let shortestOfClient: UInt64

    init(_ configuration: PoolerConfiguration) {
        let timeouts = configuration.timeouts
        self.queryWait = Self.nanoseconds(timeouts.queryWait)
        self.query = Self.nanoseconds(timeouts.query)
        self.transaction = Self.nanoseconds(timeouts.transaction)
        self.idleInTransaction = Self.nanoseconds(timeouts.idleInTransaction)
        self.clientIdle = Self.nanoseconds(timeouts.clientIdle)
        self.clientLogIn = Self.nanoseconds(timeouts.clientLogIn)
        self.serverConnect = Self.nanoseconds(timeouts.serverConnect)
        self.serverIdle = Self.nanoseconds(timeouts.serverIdle)
        self.serverLifetime = Self.nanoseconds(timeouts.serverLifetime)
        self.slowClient = Self.nanoseconds(timeouts.slowClient)
        self.connectPause = Self.nanoseconds(timeouts.connectPause)
        self.connectPauseLimit = Self.nanoseconds(timeouts.connectPauseLimit)
        self.reserveAfter = Self.nanoseconds(configuration.limits.reserveAfter)
        self.shortestOfClient =
            [self.clientLogIn, self.clientIdle, self.slowClient, self.transaction, self.idleInTransaction]
            .filter { $0 > 0 }.min() ?? .max
    }

    static func nanoseconds(_ duration: Duration) -> UInt64 {
        UInt64(max(duration.milliseconds, 0)) * 1_000_000
    }
}

/// SplitMix64: spreads expiries; nothing secret comes from it.
struct SmallRandom {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Below `limit`; 0 when that is 0.
    mutating func next(below limit: UInt64) -> UInt64 { limit == 0 ? 0 : self.next() % limit }
}
