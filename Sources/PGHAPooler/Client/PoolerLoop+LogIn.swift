internal import PGHACore
internal import PGHAWire

// A client from its proof to its first ReadyForQuery.
extension PoolerLoop {
    /// Into its pool, if there is room.
    mutating func admit(_ client: ClientPointer, _ logIn: LogIn, _ message: StartupMessage) {
        if self.admitToConsole(client, logIn, message) { return }
        if let refusal = self.admissionRefusal(message) {
            return self.refuse(client, .tooManyConnections, refusal)
        }
        logIn.step = .welcoming
        let pool = self.pool(
            PoolKey(
                user: message.user, database: message.database, target: .leader,
                replication: Self.replicationParameters(message)))
        client.pointee.pool = pool
        pool.pointee.clientCount += 1
        guard message.replication != .none || self.beginReading(client, message) else { return }
        if pool.pointee.mode == .session { self.pin(client, .sessionMode) }
        self.welcome(client, logIn)
    }

    /// Replication connections are passed on one to one, with `options` as they came.
    private static func replicationParameters(_ message: StartupMessage) -> [SessionSetting] {
        guard message.replication != .none else { return [] }
        var settings = message.parameters.map { SessionSetting(name: $0.name, value: $0.value) }
        if let options = message.options { settings.append(SessionSetting(name: "options", value: options)) }
        let value: WireText = message.replication == .logical ? "database" : "true"
        return settings + [SessionSetting(name: "replication", value: value)]
    }

    /// Why a client is not let in; nil when it is.
    private func admissionRefusal(_ message: StartupMessage) -> String? {
        if self.console.refuses(message.database.description) { return "database \"\(message.database)\" is disabled" }
        let limits = self.configuration.limits
        if self.clients.count > limits.maximumClients { return "sorry, too many clients already" }
        var ofUser = 0
        var ofDatabase = 0
        if limits.maximumClientsPerUser > 0 || limits.maximumClientsPerDatabase > 0 {
            for (key, pool) in self.pools {
                if key.user == message.user { ofUser += pool.pointee.clientCount }
                if key.database == message.database { ofDatabase += pool.pointee.clientCount }
            }
        }
        if limits.maximumClientsPerUser > 0, ofUser >= limits.maximumClientsPerUser {
            return "too many connections for role \"\(message.user)\""
        }
        if limits.maximumClientsPerDatabase > 0, ofDatabase >= limits.maximumClientsPerDatabase {
            return "too many connections for database \"\(message.database)\""
        }
        return nil
    }

    /// Sends the greeting if all of it is known; otherwise the client waits for a server.
    mutating func welcome(_ client: ClientPointer, _ logIn: LogIn) {
        guard let pool = client.pointee.pool, let message = logIn.message else { return }
        guard let welcome = pool.pointee.welcome?.takeUnretainedValue() else { return self.enqueue(client) }
        let isPassedOn = message.replication != .none
        let wanted = isPassedOn ? welcome.base.settings : self.settings(welcome.base, asked: message)
        // In session mode the greeting names the server's process.
        if client.pointee.pinReason == .sessionMode, !isPassedOn {
            let set = self.parameterTable.retain(wanted)
            client.pointee.parameters = set
            logIn.wanted = set
            return self.attachNewcomer(client, pool)
        }
        if wanted == welcome.base.settings {
            client.pointee.parameters = ParameterTable.retain(welcome.base)
            return self.sendWelcome(client, logIn)
        }
        let set = self.parameterTable.retain(wanted)
        if let canonical = welcome.canonical[ObjectIdentifier(set.takeUnretainedValue())] {
            self.parameterTable.release(set)
            client.pointee.parameters = ParameterTable.retain(canonical)
            return self.sendWelcome(client, logIn)
        }
        // Its first server says how these values are spelled, and whether they are valid.
        client.pointee.parameters = set
        logIn.wanted = set
        self.attachNewcomer(client, pool)
    }

    private mutating func attachNewcomer(_ client: ClientPointer, _ pool: PoolPointer) {
        if self.mustWait(client) { return self.enqueue(client) }
        if self.getsAnother(client, pool), self.openServer(pool) { return self.enqueue(client) }
        if let server = self.popIdle(pool, for: client), self.attach(client, server) { self.finishLogIn(client) }
    }

    /// Who keeps its server does not get the only one that is idle, if there may be one more: it may have been its own a
    /// moment ago. From then on there are two that take turns.
    private mutating func getsAnother(_ client: ClientPointer, _ pool: PoolPointer) -> Bool {
        let limits = self.configuration.limits
        return client.pointee.flags.contains(.pinned) && pool.pointee.idleCount == 1 && self.isAdmitted(pool)
            && pool.pointee.serverCount < self.serverLimit(of: pool)
            && limits.maximumServersPerUser == 0 && limits.maximumServersPerDatabase == 0
    }

    /// Who keeps its server gets the one that has been idle longest: a client that connects again, to be rid of what its
    /// last session has come to, expects another process.
    private func popIdle(_ pool: PoolPointer, for client: ClientPointer) -> ServerPointer? {
        guard client.pointee.flags.contains(.pinned) else { return pool.pointee.popIdle() }
        guard let server = pool.pointee.leastRecentlyUsed else { return nil }
        pool.pointee.removeIdle(server)
        return server
    }

    /// What a session looks like that asked for these settings.
    private func settings(_ base: ParameterSet, asked message: StartupMessage) -> [SessionSetting] {
        var settings = base.settings
        for parameter in message.optionSettings + message.parameters {
            let name = WireText(parameter.name.bytes.map(ParameterName.lowercased))
            guard !ServerLogIn.isFixed(name), name != PositionStatement.minimumName else { continue }
            settings.removeAll { $0.name == name }
            settings.append(SessionSetting(name: name, value: parameter.value))
        }
        return settings.sorted { $0.name.bytes.lexicographicallyPrecedes($1.name.bytes) }
    }

    /// A server of the pool is there: those that wait to be greeted need it no more.
    mutating func welcomeWaiting(_ pool: PoolPointer) {
        var next = pool.pointee.firstWaiting
        while let client = next {
            next = client.pointee.next
            guard let logIn = client.pointee.logIn?.takeUnretainedValue(), logIn.wanted == nil else { continue }
            pool.pointee.removeWaiting(client)
            client.pointee.phase = .loggingIn
            self.welcome(client, logIn)
        }
    }

    /// The client's first server has confirmed its settings.
    mutating func finishLogIn(_ client: ClientPointer) {
        guard let logIn = client.pointee.logIn?.takeUnretainedValue(), let server = client.pointee.server
        else { return }
        if let wanted = logIn.wanted, let confirmed = client.pointee.parameters?.takeUnretainedValue() {
            client.pointee.pool?.pointee.welcome?.takeUnretainedValue()
                .remember(wanted.takeUnretainedValue(), as: confirmed)
        }
        // In session mode it keeps it.
        if !client.pointee.flags.contains(.pinned) {
            client.pointee.server = nil
            server.pointee.client = nil
            self.giveBack(server)
        }
        self.sendWelcome(client, logIn)
    }

    private mutating func sendWelcome(_ client: ClientPointer, _ logIn: LogIn) {
        guard let pool = client.pointee.pool, let welcome = pool.pointee.welcome?.takeUnretainedValue(),
            let set = client.pointee.parameters?.takeUnretainedValue()
        else { return }
        var buffer = WireBuffer(capacity: 1024)
        if let proof = logIn.lastProof { buffer.authenticationSASLFinal(proof) }
        Greeting.append(welcome, set, role: client.pointee.role, to: &buffer)
        self.appendKey(of: client, isLong: logIn.speaksLongKeys, to: &buffer)
        buffer.readyForQuery(.idle)
        self.out.removeAll()
        self.append(buffer)
        client.pointee.phase = client.pointee.server == nil ? .idle : .active
        client.pointee.since = self.now
        let early = logIn.input.bytes
        if !early.isEmpty {
            client.pointee.held.keep(early)
            client.pointee.flags.insert(.heldWhole)
        }
        self.endLogIn(client)
        guard self.flush(to: client) else { return }
        self.watchRoom(client)
        client.pointee.flags.insert(.unread)
        self.schedule(client)
    }
}
