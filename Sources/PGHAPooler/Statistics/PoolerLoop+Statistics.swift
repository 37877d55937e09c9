internal import PGHACore
internal import PGHAWire

// What a loop knows of itself, for the few who ask.
extension PoolerLoop {
    /// Walks over all connections, some 10 ns each, and copies what pools have counted.
    func statistics() -> LoopStatistics {
        var busy: [PoolPointer: Int] = [:]
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            if server.pointee.phase == .busy || server.pointee.phase == .cleaning {
                busy[server.pointee.pool, default: 0] += 1
            }
        }
        var active: [PoolPointer: Int] = [:]
        for index in 0..<self.clients.highWater {
            let client = self.clients[index]
            guard client.pointee.phase != .free, client.pointee.server != nil, let pool = client.pointee.pool else {
                continue
            }
            active[pool, default: 0] += 1
        }
        var result = LoopStatistics()
        result.pools = self.pools.values.map { self.statistics(of: $0, busy: busy[$0] ?? 0, active: active[$0] ?? 0) }
        result.clients = self.clients.count
        result.servers = self.servers.count
        result.term = self.topology.term.number
        result.hasLeader = self.topology.leader != nil
        result.certificates = self.security.expiries
        return result
    }

    private func statistics(of pool: PoolPointer, busy: Int, active: Int) -> PoolerStatistics.Pool {
        var result = PoolerStatistics.Pool(key: Self.name(pool.pointee.key), mode: pool.pointee.mode)
        result.clients = pool.pointee.clientCount
        result.clientsActive = active
        result.clientsWaiting = pool.pointee.waitingCount
        result.servers = pool.pointee.serverCount
        result.serversActive = busy
        result.serversIdle = pool.pointee.idleCount
        result.serversConnecting = pool.pointee.connectingCount
        result.limit = pool.pointee.limit
        result.isHeld = pool.pointee.isHeld
        if let first = pool.pointee.firstWaiting { result.longestWait = self.now &- first.pointee.since }
        let statistics = pool.pointee.statistics
        result.transactions = statistics.transactions
        result.queries = statistics.queries
        result.bytesReceived = statistics.received
        result.bytesSent = statistics.sent
        result.reads = statistics.reads
        result.refusedReads = statistics.refusedReads
        result.waitingReads = statistics.waitingReads
        result.clientParses = statistics.clientParses
        result.serverParses = statistics.serverParses
        result.binds = statistics.binds
        result.wait = pool.pointee.durations.wait.counts
        result.transaction = pool.pointee.durations.transaction.counts
        result.query = pool.pointee.durations.query.counts
        result.lastPeriod = pool.pointee.period.last
        result.retries = statistics.retries
        result.pins = statistics.pinsByReason
        result.errors = pool.pointee.errors.reduce(into: [:]) { $0[$1.key.description] = $1.value }
        if pool.pointee.otherErrors > 0 { result.errors["other"] = pool.pointee.otherErrors }
        return result
    }

    /// A minute is over: what was done in it is what averages are made of.
    mutating func endPeriod() {
        self.nextPeriod = self.now + PoolPeriod.length
        for pool in self.pools.values {
            pool.pointee.period.end(PoolPeriod.numbers(self.statistics(of: pool, busy: 0, active: 0)))
        }
    }

    static func name(_ key: PoolKey) -> PoolerStatistics.Pool.Key {
        switch key.target {
        case .leader: .init(user: key.user.description, database: key.database.description, standby: nil)
        case .standby(let node):
            .init(user: key.user.description, database: key.database.description, standby: node.text)
        case .nobody: .init(user: key.user.description, database: key.database.description, standby: "none")
        }
    }
}

/// How long things took in one pool, since its loop began.
struct PoolDurations {
    var wait = DurationCounts.Storage()
    var transaction = DurationCounts.Storage()
    var query = DurationCounts.Storage()

    func deallocate() {
        self.wait.deallocate()
        self.transaction.deallocate()
        self.query.deallocate()
    }
}
