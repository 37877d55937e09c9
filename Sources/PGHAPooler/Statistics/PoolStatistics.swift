/// What a pool has done since its loop began. Plain sums: one addition each on the path.
struct PoolStatistics {
    var transactions: UInt64 = 0
    var queries: UInt64 = 0
    /// Bytes from and to clients.
    var received: UInt64 = 0
    var sent: UInt64 = 0
    /// Clients that had to wait.
    var waits: UInt64 = 0
    /// Clients that came to keep their server, by reason.
    var pins = [UInt64](repeating: 0, count: PinReason.allCases.count)
}
