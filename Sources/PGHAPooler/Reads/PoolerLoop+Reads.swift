internal import PGHACore
internal import PGHAWire

// Clients of a port for reading: each transaction goes to the standby that answers it best.
extension PoolerLoop {
    /// Before a transaction begins: chooses where.
    @inline(__always) mutating func route(_ client: ClientPointer) {
        if client.pointee.role == .read { self.routeRead(client) }
    }

    private var moment: Moment { Moment(.nanoseconds(Int64(truncatingIfNeeded: self.now))) }

    @inline(never) private mutating func routeRead(_ client: ClientPointer) {
        guard let old = client.pointee.pool, !client.pointee.flags.contains(.pinned), !old.pointee.key.isReplication
        else { return }
        let target = self.readTarget(user: old.pointee.key.user, database: old.pointee.key.database)
        guard target != old.pointee.key.target else { return }
        let new = self.pool(PoolKey(user: old.pointee.key.user, database: old.pointee.key.database, target: target))
        old.pointee.clientCount -= 1
        new.pointee.clientCount += 1
        client.pointee.pool = new
    }

    /// The leader while nobody may be read from: reads wait there, as transactions do.
    mutating func readTarget(user: WireText, database: WireText) -> PoolKey.Target {
        let random = self.random.next()
        let choice = self.balancer.choose(self.topology, at: self.moment, random: random) { name in
            guard let pool = self.pools[PoolKey(user: user, database: database, target: .standby(name))] else {
                return 0
            }
            return pool.pointee.serverCount - pool.pointee.idleCount + pool.pointee.waitingCount
        }
        switch choice {
        case .standby(let name): return .standby(name)
        case .leader, .none: return .leader
        }
    }

    /// A standby's connections broke or cannot be made: it is passed over for a while, and who waits for it goes on.
    mutating func standbyFailed(_ pool: PoolPointer) {
        guard case .standby(let name) = pool.pointee.key.target else { return }
        self.balancer.failed(name, at: self.moment)
        self.rerouteWaiting(pool)
    }

    mutating func standbyAnswered(_ pool: PoolPointer) {
        if case .standby(let name) = pool.pointee.key.target { self.balancer.answered(name) }
    }

    /// Those that wait for this pool's server choose anew; with no other choice they stay.
    mutating func rerouteWaiting(_ pool: PoolPointer) {
        for _ in 0..<pool.pointee.waitingCount {
            guard let client = pool.pointee.firstWaiting else { return }
            pool.pointee.removeWaiting(client)
            self.routeRead(client)
            let since = client.pointee.since
            if client.pointee.pool == pool {
                pool.pointee.appendWaiting(client)
            } else if let logIn = client.pointee.logIn?.takeUnretainedValue() {
                client.pointee.phase = .loggingIn
                self.welcome(client, logIn)
            } else {
                self.enqueue(client)
                client.pointee.since = since
            }
        }
    }
}
