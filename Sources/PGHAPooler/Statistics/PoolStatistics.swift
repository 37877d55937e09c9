/// What a pool has done since its loop began. Plain sums: one addition each on the path.
struct PoolStatistics {
    var transactions: UInt64 = 0
    var queries: UInt64 = 0
    /// Bytes from and to clients.
    var received: UInt64 = 0
    var sent: UInt64 = 0
    /// Statements that clients prepared, and that were prepared on servers; and how often they were run.
    var clientParses: UInt64 = 0
    var serverParses: UInt64 = 0
    var binds: UInt64 = 0
    /// Clients that had to wait.
    var waits: UInt64 = 0
    /// Transactions that went to another server because the first did not run them.
    var retries: UInt64 = 0
    /// Transactions that ended with 40001 or 08007 because their server was lost; and how many of them with 08007.
    var lostTransactions: UInt64 = 0
    var unknownOutcomes: UInt64 = 0
    /// Reads that came here because the pooler chose so; to a leader, for want of a standby that was fit.
    var reads: UInt64 = 0
    /// Reads that a standby refused, and of a leader's pool those that waited until a standby had caught up.
    var refusedReads: UInt64 = 0
    var waitingReads: UInt64 = 0
    /// Clients that came to keep their server, by reason.
    var pins = [UInt64](repeating: 0, count: PinReason.allCases.count)

    /// The same by the reasons' names; session mode is none of them.
    var pinsByReason: [String: UInt64] {
        PinReason.allCases.reduce(into: [:]) { result, reason in
            guard self.pins[Int(reason.rawValue)] > 0 else { return }
            result[reason.name] = self.pins[Int(reason.rawValue)]
        }
    }
}
