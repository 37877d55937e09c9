/// What loops hold, counted one by one: after all clients have gone nothing may be left but idle server connections.
package struct Leftovers: Hashable, Sendable {
    /// By what it is; nothing that is 0.
    package private(set) var counts: [String: Int] = [:]

    mutating func add(_ name: String, _ count: Int) {
        if count != 0 { self.counts[name, default: 0] += count }
    }

    mutating func add(_ other: Leftovers) { self.counts.merge(other.counts, uniquingKeysWith: +) }
}

extension Pooler {
    package func leftovers() async -> Leftovers {
        await self.ask { $0.leftovers() }.reduce(into: Leftovers()) { $0.add($1) }
    }
}

extension PoolerLoop {
    func leftovers() -> Leftovers {
        var left = Leftovers()
        left.add("clients", self.clients.count)
        left.add("side sessions", self.sides.count)
        left.add("open commits", self.openCommits.count)
        var inPools = 0
        for pool in self.pools.values {
            left.add("counted clients", pool.pointee.clientCount)
            left.add("waiting clients", pool.pointee.waitingCount)
            left.add("connecting servers", pool.pointee.connectingCount)
            inPools += pool.pointee.serverCount
        }
        var taken = 0
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            guard server.pointee.phase != .free else { continue }
            taken += 1
            if server.pointee.phase != .idle { left.add("servers \(server.pointee.phase)", 1) }
            left.add("servers with clients", server.pointee.client == nil ? 0 : 1)
            left.add("servers with input", server.pointee.held.isEmpty ? 0 : 1)
            left.add("servers with output", server.pointee.output == nil ? 0 : 1)
            left.add("servers with cancels", Int(server.pointee.cancels))
        }
        left.add("miscounted servers", inPools - taken)
        left.add("parameter users", self.parameterTable.users - self.expectedParameterUsers)
        return left
    }

    /// Each server connection has a set, and so has each pool that knows what its sessions look like, with the values
    /// that servers spelled for clients' wishes.
    private var expectedParameterUsers: Int {
        var count = 0
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            if server.pointee.phase != .free, server.pointee.parameters != nil { count += 1 }
        }
        return count + self.pools.values.count { $0.pointee.welcome != nil }
    }
}
