internal import PGHAWire

// What the console changes, in each loop.
extension PoolerLoop {
    mutating func apply(_ change: ConsoleCommand.Change) {
        switch change {
        case .pause(nil): self.console.isPaused = true
        case .pause(let database?): self.console.paused.insert(database)
        case .resume(nil):
            self.console.isPaused = false
            self.console.isKilled = false
            self.console.paused = []
            self.console.killed = []
        case .resume(let database?):
            self.console.paused.remove(database)
            self.console.killed.remove(database)
        case .disable(let database): self.console.disabled.insert(database)
        case .enable(let database): self.console.disabled.remove(database)
        case .kill(nil): self.console.isKilled = true
        case .kill(let database?): self.console.killed.insert(database)
        case .reconnect: break
        }
        for pool in Array(self.pools.values) { self.apply(change, to: pool) }
        self.handOutReturned()
    }

    private mutating func apply(_ change: ConsoleCommand.Change, to pool: PoolPointer) {
        let name = pool.pointee.key.database.description
        self.updateHold(pool)
        switch change {
        case .pause(let database) where database == nil || database == name: self.retireServers(of: pool)
        case .reconnect(let database) where database == nil || database == name: self.retireServers(of: pool)
        case .kill(let database) where database == nil || database == name:
            self.endClients(of: pool)
            self.retireServers(of: pool)
        case .resume: self.release(pool)
        default: break
        }
    }

    /// Idle connections are closed now, the others as soon as their clients are done with them.
    private mutating func retireServers(of pool: PoolPointer) {
        while let server = pool.pointee.popIdle() { self.retire(server) }
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            guard server.pointee.phase != .free, server.pointee.pool == pool else { continue }
            server.pointee.flags.insert(.retiring)
        }
    }

    private mutating func endClients(of pool: PoolPointer) {
        for index in 0..<self.clients.highWater {
            let client = self.clients[index]
            guard client.pointee.phase != .free, client.pointee.phase != .closing, client.pointee.pool == pool else {
                continue
            }
            self.refuse(client, .adminShutdown, "database \"\(pool.pointee.key.database)\" was closed by KILL")
        }
    }
}
