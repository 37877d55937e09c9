internal import PGHACore
internal import PGHAWire

// Who gets which server when.
extension PoolerLoop {
    /// The pool of `key`, made when it is not there.
    mutating func pool(_ key: PoolKey) -> PoolPointer {
        if let known = self.pools[key] { return known }
        let pool = PoolPointer.allocate(capacity: 1)
        pool.initialize(to: Pool(key: key, mode: self.configuration.mode, limit: 0))
        self.pools[key] = pool
        self.configure(pool)
        self.updateHold(pool)
        if key.target != .leader {
            pool.pointee.leader = self.pool(PoolKey(user: key.user, database: key.database, target: .leader))
        }
        return pool
    }

    /// Takes the configuration's numbers over.
    mutating func configure(_ pool: PoolPointer) {
        if pool.pointee.key.isReplication {
            pool.pointee.mode = .session
            pool.pointee.limit = self.configuration.limits.maximumClients
            return
        }
        pool.pointee.mode = self.configuration.mode
        // A pool without any server would keep its clients for ever.
        pool.pointee.limit = max(1, self.share(of: self.configuration.limits.poolSize))
        pool.pointee.reserve = self.share(of: self.configuration.limits.reserveSize)
    }

    /// This loop's part of a number that holds for all loops; the first ones get what does not divide.
    func share(of total: Int) -> Int {
        let threads = max(self.configuration.threads, 1)
        return total / threads + (self.number < total % threads ? 1 : 0)
    }

    /// Whether a client would not get a server now.
    @inline(__always) func mustWait(_ client: ClientPointer) -> Bool {
        guard let pool = client.pointee.pool else { return false }
        return pool.pointee.idle == nil || pool.pointee.firstWaiting != nil || pool.pointee.isHeld
    }

    /// The server of a client that has something to send; nil when it has to wait for one.
    @inline(__always) mutating func serverReady(for client: ClientPointer) -> ServerPointer? {
        if client.pointee.phase == .active { return client.pointee.server }
        return self.acquire(for: client)
    }

    @inline(__always) mutating func acquire(for client: ClientPointer) -> ServerPointer? {
        if !self.mustWait(client), let server = client.pointee.pool?.pointee.popIdle() {
            if self.attach(client, server) { return server }
        } else {
            self.enqueue(client)
        }
        client.pointee.flags.insert(.heldWhole)
        return nil
    }

    /// Puts an idle client into its pool's queue, and opens a server connection if there may be one more.
    mutating func enqueue(_ client: ClientPointer) {
        guard let pool = client.pointee.pool else { return }
        client.pointee.phase = .waiting
        client.pointee.since = self.now
        pool.pointee.appendWaiting(client)
        pool.pointee.statistics.waits &+= 1
        client.pointee.wasTold = false
        self.openServersIfNeeded(pool)
    }

    /// Gives `server` to `client`; false while the server is being brought to the client's state.
    @inline(__always) mutating func attach(_ client: ClientPointer, _ server: ServerPointer) -> Bool {
        client.pointee.server = server
        server.pointee.client = client
        server.pointee.phase = .busy
        server.pointee.since = self.now
        client.pointee.since = self.now
        if let set = client.pointee.parameters, set.toOpaque() != server.pointee.parameters?.toOpaque() {
            client.pointee.phase = .attaching
            self.replayParameters(of: client, on: server)
            return false
        }
        client.pointee.phase = .active
        server.pointee.first.begin()
        return true
    }

    /// The transaction is over: the client is idle and the server free.
    @inline(__always) mutating func detach(_ client: ClientPointer, _ server: ServerPointer) {
        client.pointee.server = nil
        client.pointee.phase = .idle
        server.pointee.client = nil
        client.pointee.trouble = []
        let time = self.now &- client.pointee.since
        client.pointee.since = self.now
        server.pointee.pool.pointee.statistics.transactions &+= 1
        server.pointee.pool.pointee.durations.transaction.add(time)
        if client.pointee.flags.contains(.routed) { self.routedEnded(client, server) }
        self.giveBack(server)
    }

    /// A server that nobody has: handed to the next client before the next report is looked at.
    @inline(__always) mutating func giveBack(_ server: ServerPointer) {
        server.pointee.phase = .idle
        server.pointee.since = self.now
        server.pointee.next = self.firstReturning
        self.firstReturning = server
    }

    @inline(__always) mutating func handOutReturned() {
        while let server = self.firstReturning {
            self.firstReturning = server.pointee.next
            server.pointee.next = nil
            self.handOut(server)
        }
    }

    private mutating func handOut(_ server: ServerPointer) {
        let pool = server.pointee.pool
        if self.mustRetire(server) { return self.retire(server) }
        // A cancel request is on its way to it and must not hit the next client's query.
        if server.pointee.cancels > 0 {
            server.pointee.phase = .cleaning
            return
        }
        guard !pool.pointee.isHeld, let client = pool.pointee.firstWaiting else {
            return pool.pointee.pushIdle(server)
        }
        pool.pointee.removeWaiting(client)
        pool.pointee.durations.wait.add(self.now &- client.pointee.since)
        guard self.attach(client, server) else { return }
        if client.pointee.logIn != nil { return self.finishLogIn(client) }
        self.pump(client)
        // It had only the front of a message, or nothing after all.
        if client.pointee.phase == .active, client.pointee.server == server { self.detachIfUnused(client, server) }
    }

    /// Takes a server back that was given and not used.
    mutating func detachIfUnused(_ client: ClientPointer, _ server: ServerPointer) {
        guard server.pointee.session.isReleasable, client.pointee.rest == 0,
            !client.pointee.flags.contains(.pinned), server.pointee.output == nil
        else { return }
        client.pointee.server = nil
        client.pointee.phase = .idle
        client.pointee.since = self.now
        server.pointee.client = nil
        self.giveBack(server)
    }

    // MARK: - Age

    /// Those of an older term are not among them: `apply` has closed them.
    @inline(__always) func mustRetire(_ server: ServerPointer) -> Bool {
        server.pointee.flags.contains(.retiring) || self.now >= server.pointee.expiresAt
    }

    /// Says goodbye and closes; a replacement is opened when clients wait.
    mutating func retire(_ server: ServerPointer) {
        let pool = server.pointee.pool
        server.pointee.phase = .idle
        self.sendTerminate(server)
        self.dropServer(server)
        self.openServersIfNeeded(pool)
    }
}
