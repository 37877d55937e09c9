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
        var room = Self.preparedAtOnce - self.preparingCount(claim)
        guard room > 0 else { return }
        for pool in self.pools.values where pool.pointee.key.target == .leader && !pool.pointee.key.isReplication {
            var missing = pool.pointee.clientCount - self.preparedCount(pool, claim)
            while missing > 0, room > 0, pool.pointee.serverCount < pool.pointee.limit {
                guard self.openServer(pool, to: node, term: claim.number) else { break }
                missing -= 1
                room -= 1
            }
            guard room > 0 else { return }
        }
    }

    private func preparingCount(_ claim: Term) -> Int {
        var count = 0
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            guard server.pointee.phase == .connecting || server.pointee.phase == .loggingIn else { continue }
            if server.pointee.pool.pointee.key.target == .leader, server.pointee.term == claim.number { count += 1 }
        }
        return count
    }

    private func preparedCount(_ pool: PoolPointer, _ claim: Term) -> Int {
        var count = 0
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            guard server.pointee.phase != .free, server.pointee.phase != .cancelling else { continue }
            if server.pointee.pool == pool, server.pointee.term == claim.number { count += 1 }
        }
        return count
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
