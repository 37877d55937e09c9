internal import PGHAWire

// What happens because time passes. Ten times a second is fine enough for every limit there is; lists are ordered by
// age, short, or only walked when something in them is due, so that a tick costs next to nothing.
extension PoolerLoop {
    static var tickInterval: UInt64 { 100_000_000 }

    mutating func tick() {
        self.nextTick = self.now + Self.tickInterval
        for pool in self.pools.values {
            self.checkHeld(pool)
            self.expireWaiting(pool)
            self.openServersIfNeeded(pool)
            // A client waits for another one that could not be opened.
            if pool.pointee.idle != nil, pool.pointee.waitingCount > pool.pointee.connectingCount { self.release(pool) }
        }
        self.checkServers()
        self.checkLookups()
        self.checkReads()
        self.checkSides()
        if !self.openCommits.isEmpty { self.resolveCommits() }
        if self.isChangingLeader { self.checkParked() }
        self.checkForwards()
        self.checkClients()
        self.askAgain()
        if self.now >= self.nextPeriod { self.endPeriod() }
        if let mode = self.draining { self.disconnect(mode) }
        self.handOutReturned()
    }

    /// The first in the queue has waited longest.
    private mutating func expireWaiting(_ pool: PoolPointer) {
        guard self.limits.queryWait > 0 else { return }
        while let client = pool.pointee.firstWaiting, self.now - client.pointee.since > self.limits.queryWait {
            self.refuse(client, .tooManyConnections, "no server connection came free in time (query_wait_timeout)")
        }
    }

    private mutating func checkServers() {
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            let age = self.now &- server.pointee.since
            switch server.pointee.phase {
            case .connecting, .loggingIn:
                if Self.isOver(age, self.limits.serverConnect) { self.serverBroke(server) }
            case .cancelling:
                if Self.isOver(age, self.limits.serverConnect) { self.endCancel(server) }
            // A commit may wait for a standby as long as that is gone.
            case .cleaning where server.pointee.flags.contains(.proves): break
            case .cleaning:
                if Self.isOver(age, self.limits.serverConnect) { self.serverBroke(server) }
            case .idle: self.checkIdle(server, age)
            case .busy: self.checkBusy(server, age)
            case .free: break
            }
        }
    }

    private mutating func checkIdle(_ server: ServerPointer, _ age: UInt64) {
        let pool = server.pointee.pool
        let isSpare = pool.pointee.serverCount > self.configuration.limits.minimumPoolSize
        guard self.mustRetire(server) || (isSpare && Self.isOver(age, self.limits.serverIdle)) else { return }
        pool.pointee.removeIdle(server)
        self.retire(server)
    }

    private mutating func checkBusy(_ server: ServerPointer, _ age: UInt64) {
        guard let client = server.pointee.client else { return }
        if client.pointee.output != nil, Self.isOver(self.now &- client.pointee.since, self.limits.slowClient) {
            return self.closeClient(client)
        }
        let session = server.pointee.session
        if session.isBusy {
            if Self.isOver(age, self.limits.query) {
                self.refuse(client, .queryCanceled, "query_timeout")
            }
        } else if session.status != .idle, Self.isOver(age, self.limits.idleInTransaction) {
            self.refuse(client, .idleInTransactionTimeout, "idle_in_transaction timeout")
        }
    }

    /// Walks over all clients only when one of them may be due, so that thousands of idle ones cost nothing: whoever
    /// begins something else from now on has at least the shortest limit before it.
    private mutating func checkClients() {
        guard self.now >= self.nextClientCheck else { return }
        let (soonest, isNever) = self.now.addingReportingOverflow(self.limits.shortestOfClient)
        var next = isNever ? UInt64.max : soonest
        for index in 0..<self.clients.highWater {
            let client = self.clients[index]
            let limit = self.timeLimit(of: client)
            guard limit > 0 else { continue }
            if Self.isOver(self.now &- client.pointee.since, limit) {
                self.expire(client)
                next = self.now
            } else {
                next = min(next, client.pointee.since + limit)
            }
        }
        self.nextClientCheck = next
    }

    /// How long the client may go on with what it does; 0 for ever.
    private func timeLimit(of client: ClientPointer) -> UInt64 {
        switch client.pointee.phase {
        case .loggingIn: self.limits.clientLogIn
        case .idle: self.limits.clientIdle
        case .closing: self.limits.slowClient
        case .active, .attaching, .settling, .learning, .committing: self.limits.transaction
        case .failed: self.limits.idleInTransaction
        case .waiting, .catchingUp, .parked, .resolving, .console, .free: 0
        }
    }

    private mutating func expire(_ client: ClientPointer) {
        switch client.pointee.phase {
        case .loggingIn: self.closeClient(client)
        case .idle: self.refuse(client, .idleSessionTimeout, "client_idle timeout")
        case .closing: self.dropClient(client)
        case .active: self.refuse(client, .transactionTimeout, "transaction timeout")
        case .failed: self.refuse(client, .idleInTransactionTimeout, "idle_in_transaction timeout")
        // Its server is the pooler's for a moment.
        case .attaching, .settling, .learning, .committing, .parked, .resolving, .waiting, .catchingUp, .console, .free:
            break
        }
    }

    private static func isOver(_ age: UInt64, _ limit: UInt64) -> Bool { limit > 0 && age > limit }
}
