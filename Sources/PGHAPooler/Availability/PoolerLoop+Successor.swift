internal import PGHACore
internal import PGHAWire

// Connections to the next leader before it leads: when it does, transactions begin at once.
extension PoolerLoop {
    /// How many log in at a time. On a small host twenty that start at once keep the processors for 60 ms from what clients
    /// wait for: the report that transactions are over, and the old leader's stop. There is time for them one after the
    /// other until the next one leads, 150 ms at least.
    private static var preparedAtOnce: Int { 4 }

    /// Opens them, as many as clients could use. They get no transaction before a topology names the claim's leader.
    /// Called again when one has logged in, or could not.
    mutating func prepareSuccessor() {
        guard let claim = self.topology.claim, self.drainedClaim == claim, let name = self.topology.successor,
            let node = self.topology.node(name), node.name != self.topology.leader?.name || self.topology.term == claim
        else { return }
        let (prepared, underWay) = self.prepared(claim)
        var room = Self.preparedAtOnce - underWay
        guard room > 0 else { return }
        for pool in self.pools.values where pool.pointee.key.target == .leader && !pool.pointee.key.isReplication {
            var missing = pool.pointee.clientCount - prepared[pool, default: 0]
            while missing > 0, room > 0, pool.pointee.serverCount < pool.pointee.limit {
                guard self.openServer(pool, to: node, term: claim.number) else { break }
                missing -= 1
                room -= 1
            }
            guard room > 0 else { return }
        }
    }

    /// What each pool has by now, and how many of these log in. One walk over all servers, since every log-in asks.
    private func prepared(_ claim: Term) -> (byPool: [PoolPointer: Int], underWay: Int) {
        var byPool: [PoolPointer: Int] = [:]
        var underWay = 0
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            guard server.pointee.phase != .free, server.pointee.phase != .cancelling,
                server.pointee.pool.pointee.key.target == .leader, server.pointee.term == claim.number
            else { continue }
            byPool[server.pointee.pool, default: 0] += 1
            if server.pointee.phase == .connecting || server.pointee.phase == .loggingIn { underWay += 1 }
        }
        return (byPool, underWay)
    }

    /// No transaction is left on the old leader: its connections make room. That also shortens its clean stop.
    mutating func leaveOldLeader() {
        guard let claim = self.topology.claim, self.topology.successor != nil else { return }
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            guard server.pointee.phase == .idle, server.pointee.pool.pointee.key.target == .leader,
                server.pointee.term < claim.number
            else { continue }
            server.pointee.pool.pointee.removeIdle(server)
            self.retire(server)
        }
    }
}
