internal import PGHACore
internal import PGHAWire

// Clients that keep their server, in session mode or for state that cannot move, while the leader is replaced: they
// finish their transaction and begin no other. A session without such state goes on with another server; one with it
// is ended at the change of leader, between two transactions.
extension PoolerLoop {
    /// No transaction begins on the leader, and those that run come to their end.
    var isChangingLeader: Bool { self.topology.claim != nil }

    /// In session mode, and nothing of its session would be missed on another server. Settings move.
    func isMovable(_ client: ClientPointer) -> Bool {
        client.pointee.pinReason == .sessionMode && !client.pointee.flags.contains(.holdsState)
            && client.pointee.pool?.pointee.key.isReplication == false
    }

    /// Whether the end of the server is the end of the client's session.
    func isBound(_ client: ClientPointer, _ server: ServerPointer) -> Bool {
        client.pointee.flags.contains(.pinned) && !(self.isMovable(client) && server.pointee.touch == nil)
    }

    /// Who ends the process of a session in session mode, which is told it as its own, means the session. While the leader is
    /// replaced it is the server that stops.
    func noteCommand(_ server: ServerPointer, _ error: ErrorView) {
        guard let client = server.pointee.client, client.pointee.pinReason == .sessionMode, !self.isChangingLeader,
            error.isAdministratorsCommand
        else { return }
        client.pointee.flags.insert(.holdsState)
    }

    /// The transaction is over. What a session in session mode has set is read at once, so that it can move.
    mutating func finishPinnedTurn(_ client: ClientPointer, _ server: ServerPointer) {
        server.pointee.pool.pointee.statistics.transactions &+= 1
        if server.pointee.touch != nil, self.isMovable(client) { return self.readSettings(client, server) }
        if self.isChangingLeader { self.park(client, server) }
    }

    /// A change of leader begins, ends, or is called off.
    mutating func arrangePinned() {
        let isChanging = self.isChangingLeader
        for index in 0..<self.clients.highWater {
            let client = self.clients[index]
            if isChanging, client.pointee.phase == .active, client.pointee.flags.contains(.pinned),
                let server = client.pointee.server, server.pointee.session.isReleasable, client.pointee.rest == 0,
                client.pointee.held.isEmpty, server.pointee.output == nil
            {
                self.park(client, server)
            } else if !isChanging, client.pointee.phase == .parked {
                client.pointee.phase = .active
                self.schedule(client)
            }
        }
    }

    /// The client is between two transactions and the next must not begin on this server.
    mutating func park(_ client: ClientPointer, _ server: ServerPointer) {
        guard server.pointee.pool.pointee.key.target == .leader, !server.pointee.pool.pointee.key.isReplication else {
            return
        }
        guard self.isMovable(client) else {
            client.pointee.phase = .parked
            client.pointee.since = self.now
            client.pointee.wasTold = false
            return
        }
        client.pointee.server = nil
        server.pointee.client = nil
        self.retire(server)
        self.becameIdle(client)
    }

    /// Part of every tick while the leader is replaced: those that have sent something wait for it.
    mutating func checkParked() {
        for index in 0..<self.clients.highWater {
            let client = self.clients[index]
            guard client.pointee.phase == .parked, client.pointee.flags.contains(.unread) else { continue }
            let waited = Duration.nanoseconds(Int64(self.now &- client.pointee.since))
            switch self.configuration.hold.verdict(waited: waited, ahead: 0, wasTold: client.pointee.wasTold) {
            case .wait: break
            case .explain: self.explainWait(client)
            case .refuse: self.endParked(client)
            }
        }
    }

    /// 57P01, as a server says that stops: nothing of what the client has sent was run.
    mutating func endParked(_ client: ClientPointer) {
        self.refuse(
            client,
            WireError(
                .fatal, .adminShutdown, "terminating connection because the primary was replaced",
                detail: "The session holds state that cannot move to another server.", hint: "Connect again."))
    }
}
