internal import CPGHALoop
internal import PGHACore
internal import PGHAWire

// Server connections from connect(2) to the first ReadyForQuery, and what happens when that fails.
extension PoolerLoop {
    /// Opens as many connections as clients wait for and limits allow.
    mutating func openServersIfNeeded(_ pool: PoolPointer) {
        guard !pool.pointee.isHeld else { return self.proveIfNeeded(pool) }
        let limit = self.serverLimit(of: pool)
        while pool.pointee.connectingCount < pool.pointee.waitingCount, pool.pointee.serverCount < limit {
            guard self.isAdmitted(pool), self.hasRoom(for: pool), self.openServer(pool) else { return }
        }
    }

    /// The server that the pool's connections lead to; nil while there is none.
    func node(of pool: PoolPointer) -> PoolTopology.Node? {
        switch pool.pointee.key.target {
        case .leader: self.topology.leader
        case .standby(let name): self.topology.standbys.first { $0.name == name }
        case .nobody: nil
        }
    }

    /// Starts one connection; false when none can be started now.
    mutating func openServer(_ pool: PoolPointer) -> Bool {
        guard let node = self.node(of: pool) else { return false }
        return self.openServer(pool, to: node, term: self.topology.term.number)
    }

    mutating func openServer(_ pool: PoolPointer, to node: PoolTopology.Node, term: UInt64) -> Bool {
        guard self.now >= pool.pointee.nextAttempt else { return false }
        // Of a pool whose server does not answer, one attempt at a time.
        if pool.pointee.failures > 0, pool.pointee.connectingCount > 0 { return false }
        let key = pool.pointee.key
        let address = self.address(of: node, SocketUse(node.name, key.user, key.database))
        let descriptor = pgha_connect(address, node.port)
        guard descriptor >= 0, let index = self.servers.take() else {
            if descriptor >= 0 { Transport(descriptor).close() }
            self.connectFailed(pool)
            return false
        }
        let server = self.servers[index]
        let lifetime = self.limits.serverLifetime
        let expiresAt = lifetime == 0 ? UInt64.max : self.now + lifetime - self.random.next(below: lifetime / 10)
        server.initialize(
            to: Server(
                transport: Transport(descriptor, isUnix: address.hasPrefix("/")), index: index,
                generation: self.nextGeneration(), pool: pool, term: term, now: self.now, expiresAt: expiresAt))
        server.pointee.node = self.nodeNumber(node.name)
        if node.isLocal { server.pointee.flags.insert(.isLocal) }
        pool.pointee.serverCount += 1
        pool.pointee.connectingCount += 1
        let token = Token(.server, index: index, generation: server.pointee.generation)
        guard pgha_epoll_add(self.epoll, descriptor, token.bits) == 0 else {
            self.serverBroke(server)
            return false
        }
        return true
    }

    /// connect(2) has ended one way or the other.
    mutating func finishConnect(_ server: ServerPointer) {
        guard pgha_socket_error(server.pointee.transport.descriptor) == 0 else { return self.serverBroke(server) }
        server.pointee.phase = .loggingIn
        let key = server.pointee.pool.pointee.key
        // The next leader is one of the standbys still.
        let name = self.nodeNames[Int(server.pointee.node)]
        guard let node = self.topology.node(name) else { return self.serverBroke(server) }
        var target = self.target(
            node, user: key.user, database: key.database, overSocket: server.pointee.transport.isUnix)
        target.parameters = key.replication.map { StartupMessage.Parameter($0.name, $0.value) }
        let logIn = ServerLogIn(target, proof: self.proof(for: key.user))
        server.pointee.logIn = Unmanaged.passRetained(logIn)
        self.out.removeAll()
        logIn.begin(&self.out)
        self.flush(to: server)
    }

    func target(
        _ node: PoolTopology.Node, user: WireText, database: WireText, overSocket: Bool? = nil
    ) -> ServerLogIn.Target {
        let use = SocketUse(node.name, user, database)
        var address = self.address(of: node, use)
        if let overSocket { address = overSocket ? node.socket ?? node.host : node.host }
        var target = ServerLogIn.Target(
            user: user, database: database, isLocal: address.hasPrefix("/"), address: address,
            settings: self.configuration.serverTLS, context: self.security.serverTLS)
        if address == node.socket { target.socketUse = use }
        return target
    }

    /// Sends what `out` holds to `server`.
    mutating func flush(to server: ServerPointer) {
        switch self.out.flush(to: server.pointee.transport, pending: &server.pointee.output) {
        case .sent: break
        case .blocked: self.watchRoom(server)
        case .failed: self.serverBroke(server)
        }
    }

    // MARK: - Log-in

    /// Reads the server's side of the log-in.
    mutating func readServerLogIn(_ server: ServerPointer) {
        guard let logIn = server.pointee.logIn?.takeUnretainedValue() else { return }
        while server.pointee.phase == .loggingIn {
            self.out.removeAll()
            let outcome = logIn.proceed(
                &server.pointee.transport, self.input + Self.frontRoom, Self.bufferSize, &self.out)
            if !self.out.isEmpty { self.flush(to: server) }
            guard server.pointee.phase == .loggingIn else { return }
            switch outcome {
            case .more: continue
            case .blocked: return
            case .refused(let error):
                if self.avoidsSocket(logIn, after: error) { return self.openAgain(server) }
                server.pointee.pool.pointee.lastRefusal = error
                return self.serverBroke(server)
            case .keysOutdated:
                server.pointee.pool.pointee.lastRefusal = self.forgetKeys(of: server.pointee.pool.pointee.key.user)
                return self.serverBroke(server)
            case .broken: return self.serverBroke(server)
            case .ready:
                // It was named as the leader and is none (any more): it must get no transaction.
                if logIn.isStandby, server.pointee.pool.pointee.key.target == .leader,
                    server.pointee.term <= self.topology.term.number
                {
                    return self.serverBroke(server)
                }
                return self.serverLoggedIn(server, logIn)
            }
        }
    }

    /// The user's password on the server is no longer the one that clients have proved. Gives what they are told.
    private mutating func forgetKeys(of user: WireText) -> [UInt8] {
        self.learned[user] = nil
        self.lookups.invalidate(user)
        var buffer = WireBuffer()
        buffer.errorResponse(
            WireError(
                .fatal, .invalidPassword, "password authentication failed for user \"\(user)\"",
                detail: "The server has another password verifier than the pooler.", hint: "Connect again."))
        return buffer.array
    }

    private mutating func serverLoggedIn(_ server: ServerPointer, _ logIn: ServerLogIn) {
        let pool = server.pointee.pool
        server.pointee.logIn?.release()
        server.pointee.logIn = nil
        server.pointee.processID = logIn.processID
        server.pointee.key = Unmanaged.passRetained(CancelKey(logIn.key))
        server.pointee.parameters = self.parameterTable.retain(logIn.sessionSettings)
        self.watchRoom(server)
        pool.pointee.failures = 0
        pool.pointee.lastRefusal = []
        self.standbyAnswered(pool)
        self.setWelcome(of: pool, logIn)
        self.welcomeWaiting(pool)
        // It counts as one to come until those that now wait for it have queued up: they need no other.
        pool.pointee.connectingCount -= 1
        if !self.openCommits.isEmpty, pool.pointee.key.target == .leader { self.giveUpCommits(of: server.pointee.term) }
        if self.mustProve(server) { self.prove(server) } else { self.giveBack(server) }
        self.prepareSuccessor()
    }

    /// Doubles the pause before the next attempt; tells the clients that cannot be helped by waiting.
    mutating func connectFailed(_ pool: PoolPointer) {
        pool.pointee.failures += 1
        let doublings = UInt64(min(pool.pointee.failures - 1, 10))
        let pause = min(self.limits.connectPause << doublings, self.limits.connectPauseLimit)
        // Up to a quarter more, so that poolers do not come back in step.
        pool.pointee.nextAttempt = self.now + pause + self.random.next(below: pause / 4)
        self.standbyFailed(pool)
        if !pool.pointee.lastRefusal.isEmpty, !Self.passes(pool.pointee.lastRefusal), pool.pointee.serverCount == 0 {
            self.refuseWaiting(pool)
        }
    }

    /// Whether waiting helps: the server starts, stops, or has no room (classes 57 and 53).
    private static func passes(_ refusal: [UInt8]) -> Bool {
        refusal.dropFirst(5).withUnsafeBytes { body in
            guard let state = ErrorView(body)?.state?.description else { return false }
            return state.hasPrefix("57P") || state.hasPrefix("53")
        }
    }

    /// The server itself refuses this user or database: waiting would not help.
    private mutating func refuseWaiting(_ pool: PoolPointer) {
        while let client = pool.pointee.firstWaiting {
            self.out.removeAll()
            pool.pointee.lastRefusal.withUnsafeBytes { bytes in
                if let start = bytes.baseAddress { self.out.appendCopy(start, bytes.count) }
            }
            if self.flush(to: client) { self.closeAfterOutput(client) }
        }
    }
}
