internal import PGHAWire

// What happens because time passes. Ten times a second is fine enough for every limit there is, and the lists are
// ordered by age or short, so that a tick costs next to nothing.
extension PoolerLoop {
    static var tickInterval: UInt64 { 100_000_000 }

    mutating func tick() {
        self.nextTick = self.now + Self.tickInterval
        for pool in self.pools.values {
            self.checkHeld(pool)
            self.expireWaiting(pool)
            self.openServersIfNeeded(pool)
        }
        self.checkServers()
        self.checkLookups()
        self.checkClients()
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

    private mutating func checkClients() {
        for index in 0..<self.clients.highWater {
            let client = self.clients[index]
            let age = self.now &- client.pointee.since
            switch client.pointee.phase {
            case .loggingIn:
                if Self.isOver(age, self.limits.clientLogIn) { self.closeClient(client) }
            case .idle:
                if Self.isOver(age, self.limits.clientIdle) {
                    self.refuse(client, .idleSessionTimeout, "client_idle timeout")
                }
            case .closing:
                if Self.isOver(age, self.limits.slowClient) { self.dropClient(client) }
            case .active:
                if Self.isOver(age, self.limits.transaction) {
                    self.refuse(client, .transactionTimeout, "transaction timeout")
                }
            case .failed:
                if Self.isOver(age, self.limits.idleInTransaction) {
                    self.refuse(client, .idleInTransactionTimeout, "idle_in_transaction timeout")
                }
            case .waiting, .attaching, .settling, .free: break
            }
        }
    }

    private static func isOver(_ age: UInt64, _ limit: UInt64) -> Bool { limit > 0 && age > limit }
}
