internal import PGHACore
internal import PGHAWire

// What changes in the cluster.
extension PoolerLoop {
    /// A new view of the cluster. Connections of an older term are closed before anything else is looked at.
    mutating func apply(_ topology: PoolTopology) {
        guard topology.term >= self.topology.term, topology != self.topology else { return }
        self.topology = topology
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            guard server.pointee.phase != .free, server.pointee.term != topology.term.number else { continue }
            self.closeOutdated(server)
        }
        for pool in self.pools.values {
            pool.pointee.nextAttempt = 0
            pool.pointee.failures = 0
            self.openServersIfNeeded(pool)
        }
    }

    private mutating func closeOutdated(_ server: ServerPointer) {
        self.serverBroke(server)
    }

    /// A client whose server is gone. `wasTold`: the server's own FATAL was passed on.
    mutating func lostServer(_ client: ClientPointer, wasTold: Bool) {
        self.out.removeAll()
        if client.pointee.logIn != nil || client.pointee.phase == .attaching, client.pointee.held.count > 0 {
            // Nothing of the client's was sent: it waits for another.
            client.pointee.flags.insert(.heldWhole)
            return self.enqueue(client)
        }
        if wasTold { return self.closeAfterOutput(client) }
        self.refuse(client, .connectionFailure, "the connection to the server was lost")
    }
}
