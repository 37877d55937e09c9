// How many server connections there may be, besides a pool's size.
extension PoolerLoop {
    /// The reserve counts while the first client in the queue has waited long enough.
    func serverLimit(of pool: PoolPointer) -> Int {
        guard pool.pointee.reserve > 0, let first = pool.pointee.firstWaiting,
            self.now &- first.pointee.since >= self.limits.reserveAfter
        else { return pool.pointee.limit }
        return pool.pointee.limit + pool.pointee.reserve
    }

    /// Whether the limits of the pool's user and of its database leave room for one more server connection, if need
    /// be because an idle one of another pool is closed. Replication connections are limited as clients alone.
    mutating func hasRoom(for pool: PoolPointer) -> Bool {
        let limits = self.configuration.limits
        guard limits.maximumServersPerUser > 0 || limits.maximumServersPerDatabase > 0 else { return true }
        let key = pool.pointee.key
        if key.isReplication { return true }
        return self.hasRoom(limits.maximumServersPerUser) { $0.user == key.user }
            && self.hasRoom(limits.maximumServersPerDatabase) { $0.database == key.database }
    }

    private mutating func hasRoom(_ limit: Int, _ isMeant: (PoolKey) -> Bool) -> Bool {
        guard limit > 0 else { return true }
        var count = 0
        var oldest: ServerPointer?
        for (key, pool) in self.pools where !key.isReplication && isMeant(key) {
            count += pool.pointee.serverCount
            guard let server = pool.pointee.leastRecentlyUsed else { continue }
            if let known = oldest, known.pointee.since <= server.pointee.since { continue }
            oldest = server
        }
        let share = max(1, self.share(of: limit))
        if count < share { return true }
        guard let oldest else { return false }
        oldest.pointee.pool.pointee.removeIdle(oldest)
        self.retire(oldest)
        // After a reload there may be too many by more than one.
        return count <= share
    }
}
