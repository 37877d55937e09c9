internal import CPGHALoop
internal import PGHAWire

/// How clients leave a pooler that takes no more of them.
package enum DrainMode: Sendable {
    /// When they want to.
    case waitForClients
    /// As soon as they are between transactions.
    case waitForTransactions
}

extension PoolerLoop {
    /// Stops listening. A client that connects now reaches another pooler on the port, or nobody.
    mutating func drain(_ mode: DrainMode) {
        if self.draining == nil {
            for listener in self.listeners { listener.close() }
        }
        self.draining = mode
        self.disconnect(mode)
    }

    /// Ends the clients whose turn it is to go. Part of every tick while the loop drains.
    mutating func disconnect(_ mode: DrainMode) {
        guard case .waitForTransactions = mode else { return }
        for index in 0..<self.clients.highWater {
            let client = self.clients[index]
            guard self.isBetweenTransactions(client) else { continue }
            self.sayGoodbye(client)
        }
    }

    /// Its transaction is over. Told at once: one that always has the next request ready would never be found idle,
    /// and would lose a transaction when the time is over.
    mutating func leave(_ client: ClientPointer) {
        if case .waitForTransactions? = self.draining { return self.sayGoodbye(client) }
        if client.pointee.flags.contains(.unread) { self.schedule(client) }
    }

    private mutating func sayGoodbye(_ client: ClientPointer) {
        self.refuse(client, .adminShutdown, "terminating connection due to administrator command")
    }

    private func isBetweenTransactions(_ client: ClientPointer) -> Bool {
        switch client.pointee.phase {
        case .loggingIn, .parked: return true
        // What it sent is read first: it has begun a transaction then.
        case .idle: return client.pointee.held.isEmpty && !client.pointee.flags.contains(.unread)
        case .active:
            // It keeps its server for its session.
            guard client.pointee.flags.contains(.pinned), let server = client.pointee.server else { return false }
            return server.pointee.session.isReleasable && client.pointee.rest == 0 && client.pointee.held.isEmpty
        default: return false
        }
    }
}
