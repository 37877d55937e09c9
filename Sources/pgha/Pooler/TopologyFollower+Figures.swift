import Logging
import PGHAClient
import PGHAPooler

/// What the pooler says of itself to the controllers, for the status page.
extension TopologyFollower {
    /// Each report costs a walk over all connections (some 10 ns each), a copy of what pools have counted (some 100 numbers
    /// each, and one per SQLSTATE) and a request.
    private static let interval = Duration.seconds(5)

    func reportFigures() async throws {
        guard let name = self.name else { return }
        var before = PoolerCounts(await self.pooler.statistics())
        var beganAt = ContinuousClock.now
        while true {
            try await Task.sleep(for: Self.interval)
            let statistics = await self.pooler.statistics()
            let (now, counts) = (ContinuousClock.now, PoolerCounts(statistics))
            let figures = PoolerFigures(statistics, since: before, over: now - beganAt)
            (before, beganAt) = (counts, now)
            for controller in self.controllers {
                // The one that is not followed does not know the name and need not be there.
                do {
                    try await controller.report(figures, pooler: name)
                } catch {
                    self.logger.debug(
                        "figures not told",
                        metadata: ["controller": "\(controller.baseURL)", "error": "\(error.message)"])
                }
            }
        }
    }
}

/// What a pooler has done since its start.
struct PoolerCounts: Equatable {
    let transactions: UInt64
    let statements: UInt64
    let errors: UInt64

    init(_ statistics: PoolerStatistics) {
        self.transactions = statistics.pools.reduce(0) { $0 + $1.transactions }
        self.statements = statistics.pools.reduce(0) { $0 + $1.queries }
        self.errors = statistics.pools.reduce(0) { $0 + $1.errors.values.reduce(0, +) }
    }
}

extension PoolerFigures {
    init(_ statistics: PoolerStatistics, since before: PoolerCounts, over duration: Duration) {
        let seconds = Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
        let counts = PoolerCounts(statistics)
        // A pool that was given up takes its counts along.
        func rate(_ count: UInt64, _ before: UInt64) -> Double { count > before ? Double(count - before) / seconds : 0 }
        self.init(
            term: statistics.term, hasLeader: statistics.hasLeader, clients: statistics.clients,
            waiting: statistics.pools.reduce(0) { $0 + $1.clientsWaiting },
            longestWaitMilliseconds: (statistics.pools.map(\.longestWait).max() ?? 0) / 1_000_000,
            servers: statistics.servers, serversActive: statistics.pools.reduce(0) { $0 + $1.serversActive },
            transactions: rate(counts.transactions, before.transactions),
            statements: rate(counts.statements, before.statements), errors: rate(counts.errors, before.errors))
    }
}
