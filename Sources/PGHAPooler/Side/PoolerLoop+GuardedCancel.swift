internal import PGHACore
internal import PGHAWire

// Cancel requests for what may be a commit. PostgreSQL lets a commit whose wait for its standby is cancelled become
// visible, and successful (DESIGN, "Commits that lie"). So the leader itself looks before it cancels.
extension PoolerLoop {
    /// Whether what the server does may end in a commit: a statement outside of a block, or the end of one.
    func mayBeCommitting(_ server: ServerPointer) -> Bool {
        guard server.pointee.pool.pointee.key.target == .leader, !server.pointee.session.isStreaming else {
            return false
        }
        return server.pointee.session.status == .idle || server.pointee.flags.contains(.mayCommit)
            || server.pointee.own.map { $0.pointee.step != .none } ?? false
    }

    /// The look and the cancel are one statement, microseconds apart. A commit writes its WAL before it waits, and a
    /// cancel in that moment would end the wait before it began: so who writes WAL is asked again later, too.
    ///
    /// `wait_event` of one's own sessions is no secret, and everybody may cancel them.
    static func cancelQuestion(_ processID: UInt32) -> String {
        """
        SELECT CASE WHEN state <> 'active' THEN 'over' WHEN wait_event = 'SyncRep' THEN 'waits' \
        WHEN wait_event IN ('WALSync', 'WALWrite', 'WalSync', 'WalWrite') THEN 'writes' \
        ELSE pg_cancel_backend(pid)::text END FROM pg_stat_activity WHERE pid = \(processID)
        """
    }

    /// Until the request is through or has become pointless, nobody else gets the server.
    mutating func guardedCancel(of server: ServerPointer) {
        let token = Token(.server, index: server.pointee.index, generation: server.pointee.generation)
        for side in self.sides.values {
            if case .cancel(let known, _) = side.purpose, known == token { return }
        }
        let processID = server.pointee.processID
        guard
            self.askLeader(
                .cancel(server: token, processID: processID), Self.cancelQuestion(processID),
                as: server.pointee.pool.pointee.key) != nil
        else { return }
        server.pointee.cancels += 1
    }

    /// True while it has to be asked again.
    mutating func cancelAnswered(_ side: SideSession, _ token: Token, _ answer: SideSession.Answer) -> Bool {
        let server = self.servers[token.index]
        guard server.pointee.phase != .free, server.pointee.generation == token.generation else { return false }
        let isBusy = server.pointee.session.isBusy
        switch answer {
        case .value("waits"), .value("writes"):
            if isBusy, case .value("waits") = answer { self.explainCancel(side, server) }
            if isBusy { return true }
        case .broken, .failed:
            if isBusy { self.explainCancel(side, server) }
        case .value, .alone, .blocked: break
        }
        self.cancelIsThrough(server)
        return false
    }

    /// The client asked for something that is not done, so it hears why, between two messages of its server.
    private mutating func explainCancel(_ side: SideSession, _ server: ServerPointer) {
        guard !side.wasTold, let client = server.pointee.client, client.pointee.isServed,
            server.pointee.rest == 0, server.pointee.held.isEmpty
        else { return }
        side.wasTold = true
        var buffer = WireBuffer()
        buffer.noticeResponse(
            WireError(
                .notice, .successfulCompletion, "not cancelled: this may be a commit that waits for a standby",
                detail: "Cancelled, it would be visible, and could be lost in a failover."))
        self.out.removeAll()
        self.append(buffer)
        _ = self.flush(to: client)
    }
}
