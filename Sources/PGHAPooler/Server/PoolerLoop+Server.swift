internal import CPGHALoop
internal import PGHAWire

// What happens to a server connection: reported ready, abandoned, broken, closed.
extension PoolerLoop {
    @inline(__always) mutating func serverReady(_ server: ServerPointer, _ flags: UInt32) {
        if flags & UInt32(pgha_hung_up) != 0 { server.pointee.flags.insert(.hungUp) }
        switch server.pointee.phase {
        case .busy, .cleaning:
            if server.pointee.output != nil, flags & UInt32(pgha_writable) != 0 {
                guard self.drainOutput(of: server) else { return }
            }
            if flags & (UInt32(pgha_readable) | UInt32(pgha_hung_up)) != 0 { self.relay(server) }
        case .idle: self.relay(server)
        case .connecting:
            if flags & UInt32(pgha_writable | pgha_broken) != 0 { self.finishConnect(server) }
        case .loggingIn:
            if server.pointee.output != nil, !self.drainOutput(of: server) { return }
            self.readServerLogIn(server)
        case .cancelling: self.advanceCancel(server)
        case .free: break
        }
    }

    /// Sends what is pending; false when the server broke on the way.
    private mutating func drainOutput(of server: ServerPointer) -> Bool {
        guard let output = server.pointee.output else { return true }
        switch output.pointee.send(to: server.pointee.transport) {
        case .blocked: return true
        case .failed:
            self.serverBroke(server)
            return false
        case .drained:
            PendingOutput.free(output)
            server.pointee.output = nil
            self.watchRoom(server)
            if let client = server.pointee.client { self.schedule(client) }
            return true
        }
    }

    // MARK: - Without its client

    /// The client is gone: the server goes back to its pool if it can be brought into a known state.
    mutating func abandon(_ server: ServerPointer, by client: ClientPointer) {
        client.pointee.server = nil
        server.pointee.client = nil
        let isClean = server.pointee.session.isReleasable && client.pointee.rest == 0 && server.pointee.output == nil
        let isBound = client.pointee.flags.contains(.pinned) || server.pointee.touch != nil
        if isClean, !isBound { return self.giveBack(server) }
        if server.pointee.pool.pointee.key.isReplication {
            server.pointee.phase = .cleaning
            self.sendTerminate(server)
            return self.dropServer(server)
        }
        guard client.pointee.rest == 0, server.pointee.output == nil, server.pointee.session.canTakeQuery else {
            // Something runs that nobody waits for any more.
            if server.pointee.session.isBusy { self.cancelQuery(of: server) }
            server.pointee.phase = .idle
            return self.dropServer(server)
        }
        self.clean(server, discardingSession: isBound)
    }

    /// Ends the open transaction, and the session's state too when it was more than a transaction's.
    private mutating func clean(_ server: ServerPointer, discardingSession: Bool) {
        server.pointee.phase = .cleaning
        server.pointee.since = self.now
        self.out.removeAll()
        if server.pointee.session.status != .idle { self.inject(server, "ROLLBACK") }
        if discardingSession {
            self.inject(server, "DISCARD ALL")
            server.pointee.touch?.release()
            server.pointee.touch = nil
            if let base = server.pointee.pool.pointee.welcome?.takeUnretainedValue().base {
                self.parameterTable.release(server.pointee.parameters)
                server.pointee.parameters = ParameterTable.retain(base)
            }
        }
        self.flush(to: server)
    }

    /// Adds a Query of the pooler's own to `out`; its answer is swallowed.
    mutating func inject(_ server: ServerPointer, _ text: String) {
        self.inject(server, message: OwnMessages.query(text))
    }

    /// The same of a message that is made once.
    mutating func inject(_ server: ServerPointer, message: [UInt8]) {
        self.append(message)
        server.pointee.session.sent(Request(.injectedQuery))
        self.forgetUnnamed(server)
    }

    // MARK: - The end

    /// The connection failed: whoever needs it is told.
    mutating func serverBroke(_ server: ServerPointer) {
        let pool = server.pointee.pool
        self.leaderBroke(server)
        switch server.pointee.phase {
        case .connecting, .loggingIn:
            self.dropServer(server)
            self.connectFailed(pool)
            self.openServersIfNeeded(pool)
            self.prepareSuccessor()
        case .cancelling: self.endCancel(server)
        case .idle:
            pool.pointee.removeIdle(server)
            self.removeReturning(server)
            self.dropServer(server)
            self.openServersIfNeeded(pool)
        case .cleaning:
            self.dropServer(server)
            self.openServersIfNeeded(pool)
        case .busy:
            let client = server.pointee.client
            client?.pointee.server = nil
            server.pointee.client = nil
            if let client { self.lostServer(client, server) }
            self.dropServer(server)
            self.openServersIfNeeded(pool)
        case .free: break
        }
    }

    private mutating func removeReturning(_ server: ServerPointer) {
        if self.firstReturning == server {
            self.firstReturning = server.pointee.next
            return
        }
        var link = self.firstReturning
        while let current = link {
            if current.pointee.next == server { current.pointee.next = server.pointee.next }
            link = current.pointee.next
        }
    }

    mutating func sendTerminate(_ server: ServerPointer) {
        guard server.pointee.output == nil else { return }
        self.out.removeAll()
        self.out.appendEmptyMessage(FrontendMessage.terminate)
        // Whether it arrives does not matter: the socket is closed next.
        _ = self.out.flush(to: server.pointee.transport, pending: &server.pointee.output)
    }

    /// Closes the socket and frees the place. It must be in no list any more.
    mutating func dropServer(_ server: ServerPointer) {
        let pool = server.pointee.pool
        switch server.pointee.phase {
        case .free: return
        case .connecting, .loggingIn:
            pool.pointee.connectingCount -= 1
            pool.pointee.serverCount -= 1
        case .cancelling: break
        case .idle, .busy, .cleaning: pool.pointee.serverCount -= 1
        }
        server.pointee.phase = .free
        server.pointee.transport.close()
        server.pointee.held.release()
        server.pointee.first.deallocate()
        server.pointee.session.deallocate()
        PendingOutput.free(server.pointee.output)
        server.pointee.logIn?.release()
        server.pointee.key?.release()
        self.releaseStatements(of: server)
        self.freeOwn(server)
        server.pointee.replay?.release()
        server.pointee.touch?.release()
        self.parameterTable.release(server.pointee.parameters)
        self.servers.release(server.pointee.index)
    }
}
