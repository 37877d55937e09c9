internal import CPGHALoop
internal import PGHACore
internal import PGHAWire

// Asks a server about users that the pooler does not know. One question at a time: a log-in costs the client three
// round trips, a question the pooler one, at the same time as the client's first; those that come while one is under way
// share its answer.
extension PoolerLoop {
    /// Goes on with the client's log-in, now or when the answer is in.
    mutating func lookUp(_ user: WireText, for client: ClientPointer, _ logIn: LogIn) {
        guard let lookup = self.configuration.authentication.lookup else { return self.closeClient(client) }
        let isAgain = logIn.doubted != nil
        logIn.step = .lookingUp
        if !isAgain { logIn.questionsBefore = self.lookups.questions }
        let fresh = LoopLimits.nanoseconds(lookup.cacheTime)
        if let known = self.lookups.find(
            user, now: self.now, freshFor: fresh, after: isAgain ? logIn.questionsBefore : nil)
        {
            return self.take(known, for: client, logIn)
        }
        self.lookups.wait(
            Token(.client, index: client.pointee.index, generation: client.pointee.generation), for: user)
        self.askNext()
    }

    private mutating func take(_ known: Lookups.Known, for client: ClientPointer, _ logIn: LogIn) {
        logIn.question = known.question
        if logIn.doubted == nil { return self.beginExchange(client, logIn, known.credential) }
        self.checkAgain(client, logIn, known.credential)
    }

    /// Asks the next question if the session is free, opens the session if there is none.
    private mutating func askNext() {
        guard let lookup = self.configuration.authentication.lookup, let user = self.lookups.next else { return }
        guard let connection = self.lookups.connection else { return self.connectLookup(lookup) }
        guard case .idle = connection.phase else { return }
        guard connection.term == self.topology.term.number else {
            self.closeLookup()
            return self.connectLookup(lookup)
        }
        connection.since = self.now
        self.lookups.questions += 1
        self.out.removeAll()
        connection.ask(user, lookup.query, &self.out)
        self.flushLookup(connection)
    }

    private mutating func connectLookup(_ lookup: PoolerConfiguration.Lookup) {
        guard self.now >= self.lookups.nextAttempt else { return }
        // The leader first, then whoever else may know: standbys have the same roles.
        let nodes = (self.topology.leader.map { [$0] } ?? []) + self.topology.standbys
        guard !nodes.isEmpty else { return }
        let node = nodes[self.lookups.failures % nodes.count]
        var target = self.target(node, user: lookup.user, database: lookup.database)
        let descriptor = pgha_connect(target.address, node.port)
        guard descriptor >= 0 else { return self.lookupFailed("connect: error \(-descriptor)", isFinal: false) }
        self.lookups.generation = (self.lookups.generation &+ 1) & 0xFF_FFFF
        // Nobody's search_path has a say in what the query means (CVE-2025-12819).
        target.parameters = [.init("search_path", "pg_catalog"), .init("application_name", "pgha pooler")]
        let logIn = ServerLogIn(target, proof: self.proof(for: lookup.user))
        self.lookups.connection = LookupConnection(
            Transport(descriptor), logIn, term: self.topology.term.number, now: self.now)
        let token = Token(.lookup, index: 0, generation: self.lookups.generation)
        if pgha_epoll_add(self.epoll, descriptor, token.bits) != 0 {
            self.lookupFailed("epoll_ctl failed", isFinal: false)
        }
    }

    private mutating func flushLookup(_ connection: LookupConnection) {
        if case .failed = self.out.flush(to: connection.transport, pending: &connection.output) {
            self.lookupFailed("the connection was lost", isFinal: false)
        }
    }

    // MARK: - Reports

    mutating func lookupReady(_ token: Token) {
        guard token.generation == self.lookups.generation, let connection = self.lookups.connection else { return }
        if let output = connection.output {
            guard case .drained = output.pointee.send(to: connection.transport) else { return }
            PendingOutput.free(output)
            connection.output = nil
        }
        if case .connecting = connection.phase {
            guard pgha_socket_error(connection.transport.descriptor) == 0 else {
                return self.lookupFailed("cannot connect", isFinal: false)
            }
            connection.phase = .loggingIn
            self.out.removeAll()
            connection.logIn.begin(&self.out)
            self.flushLookup(connection)
        }
        if case .loggingIn = connection.phase { self.logInLookup(connection) }
        self.readLookup(connection)
    }

    private mutating func logInLookup(_ connection: LookupConnection) {
        while self.lookups.connection === connection {
            self.out.removeAll()
            let outcome = connection.logIn.proceed(
                &connection.transport, self.input + Self.frontRoom, Self.bufferSize, &self.out)
            if !self.out.isEmpty { self.flushLookup(connection) }
            guard self.lookups.connection === connection else { return }
            switch outcome {
            case .more: continue
            case .blocked: return
            case .broken, .keysOutdated: return self.lookupFailed("the log-in failed", isFinal: false)
            case .refused(let error):
                guard self.avoidsSocket(connection.logIn, after: error) else { return self.lookupRefused(error) }
                self.closeLookup()
                return self.askNext()
            case .ready:
                connection.phase = .idle
                self.lookups.failures = 0
                return self.askNext()
            }
        }
    }

    /// A server that starts or stops will do so later; another refusal needs the operator.
    private mutating func lookupRefused(_ error: [UInt8]) {
        let (text, isLater) = error.withUnsafeBytes { bytes in
            let view = ErrorView(UnsafeRawBufferPointer(rebasing: bytes[5...]))
            let text = view?.message.map { String(decoding: $0, as: UTF8.self) }
            return (text ?? "refused", view?.state.map { $0.isAboutShutdown } ?? false)
        }
        self.lookupFailed(text, isFinal: !isLater)
    }

    private mutating func readLookup(_ connection: LookupConnection) {
        while self.lookups.connection === connection {
            if case .connecting = connection.phase { return }
            if case .loggingIn = connection.phase { return }
            var asked: WireText?
            if case .asking(let user) = connection.phase { asked = user }
            switch connection.read(self.input + Self.frontRoom, Self.bufferSize) {
            case .more: continue
            case .blocked: return
            case .broken: return self.lookupFailed("the connection was lost", isFinal: false)
            case .failed(let reason): return self.lookupFailed(reason, isFinal: true)
            case .found(let credential):
                if let asked { self.lookupEnded(asked, credential, askedAt: connection.since) }
            }
        }
    }

    private mutating func lookupEnded(_ user: WireText, _ credential: RoleCredential?, askedAt: UInt64) {
        let limit = self.configuration.authentication.lookup?.cacheSize ?? 0
        let known = self.lookups.remember(user, credential, askedAt: askedAt, limit: limit)
        self.lookups.lastFailure = nil
        for (client, logIn) in self.takeWaiting(user) {
            // One that failed meanwhile needs the answer to a later question.
            let isTooOld = logIn.doubted != nil && known.question <= logIn.questionsBefore
            if isTooOld { self.lookUp(user, for: client, logIn) } else { self.take(known, for: client, logIn) }
        }
        self.askNext()
    }

    private mutating func takeWaiting(_ user: WireText) -> [(ClientPointer, LogIn)] {
        self.lookups.takeWaiting(user).compactMap { token in
            let client = self.clients[token.index]
            guard client.pointee.phase == .loggingIn, client.pointee.generation == token.generation,
                let logIn = client.pointee.logIn?.takeUnretainedValue(), logIn.step == .lookingUp
            else { return nil }
            return (client, logIn)
        }
    }

    /// The lookup is another one from now on: what the one before said does not count.
    mutating func changeLookup() {
        self.closeLookup()
        self.lookups.forgetAnswers()
        self.lookups.nextAttempt = 0
        self.lookups.failures = 0
        self.askNext()
    }

    // MARK: - Failures

    /// Those whose answers are not too old go on with them. Of the others: when the failure is final they are refused,
    /// because only an operator can help; else they wait for the next attempt.
    private mutating func lookupFailed(_ reason: String, isFinal: Bool) {
        self.closeLookup()
        self.lookups.lastFailure = reason
        self.lookups.failures += 1
        let doublings = UInt64(min(self.lookups.failures - 1, 10))
        self.lookups.nextAttempt = self.now + min(self.limits.connectPause << doublings, self.limits.connectPauseLimit)
        let outage = LoopLimits.nanoseconds(self.configuration.authentication.lookup?.outageTime ?? .zero)
        for (user, known) in self.lookups.stale(now: self.now, for: outage) {
            for (client, logIn) in self.takeWaiting(user) { self.take(known, for: client, logIn) }
        }
        guard isFinal else { return }
        for token in self.lookups.takeAllWaiting() {
            let client = self.clients[token.index]
            guard client.pointee.phase == .loggingIn, client.pointee.generation == token.generation else { continue }
            self.refuse(client, .cannotConnectNow, "the pooler cannot look users up")
        }
    }

    private mutating func closeLookup() {
        self.lookups.connection?.transport.close()
        self.lookups.connection = nil
    }

    mutating func checkLookups() {
        guard self.lookups.isWaiting else { return }
        guard let connection = self.lookups.connection else { return self.askNext() }
        if case .idle = connection.phase { return self.askNext() }
        guard self.now &- connection.since > self.limits.serverConnect, self.limits.serverConnect > 0 else { return }
        self.lookupFailed("no answer in time", isFinal: false)
    }
}

extension SQLState {
    /// 57P01 to 57P03.
    fileprivate var isAboutShutdown: Bool {
        self == .adminShutdown || self == .crashShutdown || self == .cannotConnectNow
    }
}
