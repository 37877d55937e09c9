internal import CPGHALoop
internal import PGHACore
internal import PGHAWire

// Server connections from connect(2) to the first ReadyForQuery, and what happens when that fails.
extension PoolerLoop {
    /// Opens as many connections as clients wait for and limits allow.
    mutating func openServersIfNeeded(_ pool: PoolPointer) {
        guard !pool.pointee.isHeld else { return }
        let limit = self.serverLimit(of: pool)
        while pool.pointee.connectingCount < pool.pointee.waitingCount, pool.pointee.serverCount < limit {
            guard self.hasRoom(for: pool), self.openServer(pool) else { return }
        }
    }

    /// The server that the pool's connections lead to; nil while there is none.
    func node(of pool: PoolPointer) -> PoolTopology.Node? {
        switch pool.pointee.key.target {
        case .leader: self.topology.leader
        case .standby(let name): self.topology.standbys.first { $0.name == name }
        }
    }

    /// Starts one connection; false when none can be started now.
    mutating func openServer(_ pool: PoolPointer) -> Bool {
        guard self.now >= pool.pointee.nextAttempt, let node = self.node(of: pool) else { return false }
        // Of a pool whose server does not answer, one attempt at a time.
        if pool.pointee.failures > 0, pool.pointee.connectingCount > 0 { return false }
        let descriptor = pgha_connect(node.host, node.port)
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
                transport: Transport(descriptor), index: index, generation: self.nextGeneration(), pool: pool,
                term: self.topology.term.number, now: self.now, expiresAt: expiresAt))
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
        let user = server.pointee.pool.pointee.key.user
        let credential = self.configuration.passwords[user].map { SCRAMClient.Credential.password($0) }
        server.pointee.logIn = Unmanaged.passRetained(ServerLogIn(user: user, credential: credential))
        self.out.removeAll()
        var buffer = WireBuffer()
        let key = server.pointee.pool.pointee.key
        let replication = key.replication.map { StartupMessage.Parameter($0.name, $0.value) }
        buffer.startupMessage(
            version: .original,
            parameters: [.init("user", key.user), .init("database", key.database)] + replication)
        self.append(buffer)
        self.flush(to: server)
    }

    /// Sends what `out` holds to `server`.
    mutating func flush(to server: ServerPointer) {
        switch self.out.flush(to: server.pointee.transport, pending: &server.pointee.output) {
        case .sent, .blocked: break
        case .failed: self.serverBroke(server)
        }
    }

    // MARK: - Log-in

    /// Reads the server's side of the log-in.
    mutating func readServerLogIn(_ server: ServerPointer) {
        guard let logIn = server.pointee.logIn?.takeUnretainedValue() else { return }
        while server.pointee.phase == .loggingIn {
            let base = self.input + Self.frontRoom
            let count = server.pointee.transport.receive(base, Self.bufferSize)
            if count == Transport.wouldBlock { return }
            guard count > 0 else { return self.serverBroke(server) }
            logIn.input.append(UnsafeRawBufferPointer(start: base, count: count))
            // A server that has not logged us in has no business sending this much.
            guard logIn.input.count < 1 << 20 else { return self.serverBroke(server) }
            self.out.removeAll()
            let outcome = logIn.advance(&self.out)
            if !self.out.isEmpty { self.flush(to: server) }
            guard server.pointee.phase == .loggingIn else { return }
            switch outcome {
            case .more: continue
            case .refused(let error):
                server.pointee.pool.pointee.lastRefusal = error
                return self.serverBroke(server)
            case .broken: return self.serverBroke(server)
            case .ready:
                // It was named as the leader and is none (any more): it must get no transaction.
                let isWanted = !logIn.isStandby || server.pointee.pool.pointee.key.target != .leader
                guard isWanted else { return self.serverBroke(server) }
                return self.serverLoggedIn(server, logIn)
            }
        }
    }

    private mutating func serverLoggedIn(_ server: ServerPointer, _ logIn: ServerLogIn) {
        let pool = server.pointee.pool
        server.pointee.logIn?.release()
        server.pointee.logIn = nil
        server.pointee.processID = logIn.processID
        server.pointee.key = Unmanaged.passRetained(CancelKey(logIn.key))
        server.pointee.parameters = self.parameterTable.retain(logIn.sessionSettings)
        pool.pointee.connectingCount -= 1
        pool.pointee.failures = 0
        pool.pointee.lastRefusal = []
        self.setWelcome(of: pool, logIn)
        self.welcomeWaiting(pool)
        self.giveBack(server)
    }

    /// Doubles the pause before the next attempt; tells the clients that cannot be helped by waiting.
    mutating func connectFailed(_ pool: PoolPointer) {
        pool.pointee.failures += 1
        let doublings = UInt64(min(pool.pointee.failures - 1, 10))
        let pause = min(self.limits.connectPause << doublings, self.limits.connectPauseLimit)
        // Up to a quarter more, so that poolers do not come back in step.
        pool.pointee.nextAttempt = self.now + pause + self.random.next(below: pause / 4)
        let isFinal = !pool.pointee.lastRefusal.isEmpty && !Self.passes(pool.pointee.lastRefusal)
        if isFinal, pool.pointee.serverCount == 0 { self.refuseWaiting(pool) }
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
