/// What a pool did in the last whole minute, for averages.
struct PoolPeriod {
    /// Nanoseconds. PgBouncer's `stats_period` by default.
    static var length: UInt64 { 60_000_000_000 }
    /// How many numbers there are.
    static var count: Int { 10 }

    private var before = [UInt64](repeating: 0, count: Self.count)
    private(set) var last = [UInt64](repeating: 0, count: Self.count)

    /// A period has ended with these totals.
    mutating func end(_ totals: [UInt64]) {
        for index in totals.indices { self.last[index] = totals[index] - self.before[index] }
        self.before = totals
    }

    /// In the order of PgBouncer's SHOW STATS; times in nanoseconds.
    static func numbers(_ pool: PoolerStatistics.Pool) -> [UInt64] {
        [
            pool.transactions, pool.queries, pool.bytesReceived, pool.bytesSent, pool.transaction.sum, pool.query.sum,
            pool.wait.sum, pool.clientParses, pool.serverParses, pool.binds,
        ]
    }
}
