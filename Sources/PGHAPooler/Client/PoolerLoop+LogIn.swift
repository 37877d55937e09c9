internal import CPGHALoop
internal import PGHACore
internal import PGHAWire

// A client from its first byte to its first ReadyForQuery.
extension PoolerLoop {
    mutating func readLogIn(_ client: ClientPointer) {
        guard let logIn = client.pointee.logIn?.takeUnretainedValue() else { return }
        client.pointee.flags.remove(.unread)
        while client.pointee.phase == .loggingIn {
            let base = self.input + Self.frontRoom
            // No more than a startup packet may have: what nobody has authenticated for costs no more memory.
            let count = client.pointee.transport.receive(base, Int(StartupParser.maximumLength))
            if count == Transport.wouldBlock { return }
            guard count > 0 else { return self.closeClient(client) }
            logIn.input.append(UnsafeRawBufferPointer(start: base, count: count))
            guard logIn.input.count <= 2 * Int(StartupParser.maximumLength) else { return self.closeClient(client) }
            self.advance(client, logIn)
        }
    }

    private mutating func advance(_ client: ClientPointer, _ logIn: LogIn) {
        switch logIn.step {
        case .startup: self.advanceStartup(client, logIn)
        case .authenticating: self.advanceAuthentication(client, logIn)
        case .welcoming:
            // Whatever comes early is a request for later.
            break
        }
    }

    private mutating func advanceStartup(_ client: ClientPointer, _ logIn: LogIn) {
        while client.pointee.phase == .loggingIn, logIn.step == .startup {
            let (step, consumed) = logIn.policy.next(logIn.input.bytes)
            logIn.input.removeFirst(consumed)
            switch step {
            case .needsMore: return
            case .acceptTLS, .acceptDirectTLS: return self.closeClient(client)
            case .declineEncryption:
                var answer = UInt8(ascii: "N")
                self.out.removeAll()
                self.out.appendCopy(&answer, 1)
                guard self.flush(to: client) else { return }
            case .cancel(let request):
                self.takeCancelRequest(request)
                return self.closeClient(client)
            case .logIn(let message):
                logIn.message = message
                self.beginAuthentication(client, logIn, message)
            case .refuse(let problem): return self.refuse(client, problem.sqlState, problem.message)
            }
        }
    }

    /// The place for authentication: rules by listener, user, database and address choose a method here.
    private mutating func beginAuthentication(_ client: ClientPointer, _ logIn: LogIn, _ message: StartupMessage) {
        logIn.step = .authenticating
        self.authenticated(client, logIn, message)
    }

    /// Works off the client's answers in `logIn.input`.
    private mutating func advanceAuthentication(_ client: ClientPointer, _ logIn: LogIn) {}

    // MARK: - Welcome

    /// The client is who it says: into its pool, if there is room.
    mutating func authenticated(_ client: ClientPointer, _ logIn: LogIn, _ message: StartupMessage) {
        if self.admitToConsole(client, logIn, message) { return }
        if let refusal = self.admissionRefusal(message) {
            return self.refuse(client, .tooManyConnections, refusal)
        }
        logIn.step = .welcoming
        let key = PoolKey(
            user: message.user, database: message.database, target: .leader,
            replication: Self.replicationParameters(message))
        let pool = self.pool(key)
        client.pointee.pool = pool
        pool.pointee.clientCount += 1
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
    private mutating func welcome(_ client: ClientPointer, _ logIn: LogIn) {
        guard let pool = client.pointee.pool, let message = logIn.message else { return }
        guard let welcome = pool.pointee.welcome?.takeUnretainedValue() else { return self.enqueue(client) }
        let isPassedOn = message.replication != .none
        let wanted = isPassedOn ? welcome.base.settings : self.settings(welcome.base, asked: message)
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
        if self.mustWait(client) { return self.enqueue(client) }
        if let server = pool.pointee.popIdle(), self.attach(client, server) { self.finishLogIn(client) }
    }

    /// What a session looks like that asked for these settings.
    private func settings(_ base: ParameterSet, asked message: StartupMessage) -> [SessionSetting] {
        var settings = base.settings
        for parameter in message.optionSettings + message.parameters {
            let name = WireText(parameter.name.bytes.map(ParameterName.lowercased))
            guard !ServerLogIn.isFixed(name) else { continue }
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
        client.pointee.server = nil
        server.pointee.client = nil
        self.giveBack(server)
        self.sendWelcome(client, logIn)
    }

    private mutating func sendWelcome(_ client: ClientPointer, _ logIn: LogIn) {
        guard let pool = client.pointee.pool, let welcome = pool.pointee.welcome?.takeUnretainedValue(),
            let set = client.pointee.parameters?.takeUnretainedValue()
        else { return }
        client.pointee.secret = SecretNumber.next()
        var buffer = WireBuffer(capacity: 1024)
        if let negotiation = logIn.message?.negotiation { buffer.negotiateProtocolVersion(negotiation) }
        Greeting.append(welcome, set, role: client.pointee.role, to: &buffer)
        buffer.message(BackendMessage.backendKeyData) { buffer in
            buffer.append(self.keyNumber(of: client))
            buffer.append(client.pointee.secret)
        }
        buffer.readyForQuery(.idle)
        self.out.removeAll()
        self.append(buffer)
        client.pointee.phase = .idle
        client.pointee.since = self.now
        let early = logIn.input.bytes
        if !early.isEmpty {
            client.pointee.held.keep(early)
            client.pointee.flags.insert(.heldWhole)
        }
        client.pointee.logIn?.release()
        client.pointee.logIn = nil
        guard self.flush(to: client) else { return }
        client.pointee.flags.insert(.unread)
        self.schedule(client)
    }
}
