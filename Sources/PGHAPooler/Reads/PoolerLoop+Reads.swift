internal import PGHACore
internal import PGHAWire

// Clients whose servers are chosen transaction by transaction: all of a port for reading, and where reads are split
// those of a port for writing.
//
// Intuition: a client's bytes are looked at before it has a server. On the port for writing, one statement that only
// reads is cut off, goes to a standby alone, and what follows is held back until it is answered; so nothing that may
// write is ever sent to a standby behind it, and a statement that a standby refuses can go to the leader as it came.
// Everything else goes to the leader as if nothing were split.
extension PoolerLoop {
    /// The client has logged in to its leader's pool. False when it was refused.
    mutating func beginReading(_ client: ClientPointer, _ message: StartupMessage) -> Bool {
        let token = (message.optionSettings + message.parameters).last {
            $0.name.bytes.map(ParameterName.lowercased) == PositionStatement.minimumName.bytes
        }
        if let text = token?.value.description, !text.isEmpty {
            guard let position = LSN(text) else {
                self.refuse(client, .invalidParameterValue, Self.invalidPosition)
                return false
            }
            self.demand(position, client)
        }
        self.decideRouting(client)
        if client.pointee.role == .read { _ = self.place(client) }
        return true
    }

    private func decideRouting(_ client: ClientPointer) {
        let isSession = client.pointee.pool?.pointee.mode == .session
        guard client.pointee.role == .read || (self.configuration.split.isOn && !isSession) else { return }
        client.pointee.flags.insert(.routed)
    }

    /// Takes the configuration over.
    mutating func reloadReads() {
        self.balancer.limits = self.configuration.reads
        self.classifier = StatementClassifier(
            volatileFunctions: self.configuration.split.leaderFunctions,
            readFunctions: self.configuration.split.standbyFunctions)
        self.statementTable.forgetJudgements()
        for index in 0..<self.clients.highWater {
            let client = self.clients[index]
            guard client.pointee.phase != .free, client.pointee.pool?.pointee.key.isReplication == false else {
                continue
            }
            self.decideRouting(client)
        }
    }

    // MARK: - What a client sends

    /// In the place of `walk` for clients that are routed.
    @inline(never) mutating func takeRouted(_ client: ClientPointer, _ bytes: UnsafeRawBufferPointer) {
        if client.pointee.phase == .idle { return self.beginRouted(client, bytes) }
        // It has hung up behind a statement that is under way: what else it sent is kept until its end is seen.
        if client.pointee.flags.contains(.holdsBack) { return client.pointee.held.append(bytes) }
        if client.pointee.unitCount > 0 { return self.sendUnit(client, bytes) }
        self.walk(client, bytes)
    }

    private mutating func beginRouted(_ client: ClientPointer, _ bytes: UnsafeRawBufferPointer) {
        // Left of COPY data that nobody wants.
        let skipped = min(Int(client.pointee.rest), bytes.count)
        client.pointee.rest -= UInt32(skipped)
        let bytes = UnsafeRawBufferPointer(rebasing: bytes[skipped...])
        guard let type = bytes.first else { return }
        client.pointee.unitCount = 0
        guard FrontendMessage.beginsTransaction(type) else { return self.takeWithoutServer(client, bytes) }
        switch self.firstUnit(client, bytes) {
        case .incomplete: return client.pointee.held.keep(bytes)
        case .read(let count): client.pointee.unitCount = UInt32(count)
        case .other: break
        }
        guard self.place(client) else {
            client.pointee.held.keep(bytes)
            return self.catchUp(client)
        }
        guard self.acquire(for: client) != nil else { return client.pointee.held.keep(bytes) }
        self.takeRouted(client, bytes)
    }

    /// What needs no server: a farewell, or data that outlived its COPY. What follows begins anew.
    private mutating func takeWithoutServer(_ client: ClientPointer, _ bytes: UnsafeRawBufferPointer) {
        var walk = MessageWalk(bytes)
        guard bytes[0] != FrontendMessage.terminate, case .message(let message) = walk.next() else {
            return self.walk(client, bytes)
        }
        self.walk(client, UnsafeRawBufferPointer(rebasing: bytes[..<message.presentCount]))
        guard client.pointee.phase == .idle, message.isComplete else { return }
        self.beginRouted(client, walk.rest)
    }

    /// Sends the statement alone and holds back what is behind it.
    private mutating func sendUnit(_ client: ClientPointer, _ bytes: UnsafeRawBufferPointer) {
        let count = min(Int(client.pointee.unitCount), bytes.count)
        client.pointee.flags.insert(.holdsBack)
        client.pointee.unitSequence = self.sequence
        self.walk(client, UnsafeRawBufferPointer(rebasing: bytes[..<count]))
        guard client.pointee.phase != .free, client.pointee.phase != .closing, count < bytes.count else { return }
        client.pointee.held.append(UnsafeRawBufferPointer(rebasing: bytes[count...]))
        client.pointee.flags.insert(.heldWhole)
    }

    /// Its transaction is over; the server is still known, and nobody's.
    @inline(never) mutating func routedEnded(_ client: ClientPointer, _ server: ServerPointer) {
        let isRead = client.pointee.unitCount > 0
        client.pointee.unitCount = 0
        client.pointee.flags.remove(.holdsBack)
        if !client.pointee.held.isEmpty { client.pointee.flags.insert(.unread) }
        if !isRead { self.noteWrite(client, server) }
    }

    // MARK: - A standby's refusal

    /// Whether the error is the standby's fault and nobody knows of it yet. Which errors those are need not be told
    /// apart: the leader repeats whatever is the statement's own. Only a statement that ran too long, or that its client
    /// cancelled, is not run twice.
    func mustFallBack(_ client: ClientPointer, _ server: ServerPointer, _ message: MessageView) -> Bool {
        guard client.pointee.unitCount > 0, server.pointee.pool.pointee.leader != nil, message.isComplete,
            server.pointee.first.bytes != nil, server.pointee.session.requests.count == 1
        else { return false }
        return ErrorView(message.body)?.state != .queryCanceled
    }

    /// The client's statement goes to the leader, at the end of this turn; the standby's answer is read to its end.
    mutating func fallBack(_ server: ServerPointer) {
        guard let client = server.pointee.client, let bytes = server.pointee.first.bytes else { return }
        server.pointee.pool.pointee.statistics.refusedReads &+= 1
        client.pointee.held.putBack(bytes)
        client.pointee.flags.subtract(.holdsBack)
        client.pointee.flags.formUnion([.heldWhole, .unread, .toLeader])
        // What its Parses have defined for the client, they will define again.
        if self.sequence != client.pointee.unitSequence {
            client.pointee.statements?.pointee.removeFailed(
                (client.pointee.unitSequence &+ 1)...self.sequence, &self.statementTable)
        }
        client.pointee.server = nil
        client.pointee.phase = .idle
        client.pointee.since = self.now
        server.pointee.client = nil
        server.pointee.session.disown()
        server.pointee.phase = .cleaning
        server.pointee.since = self.now
        server.pointee.askedAt = 0
        server.pointee.flags.subtract([.cleaningFailed, .mayCommit, .commitIsAlone])
        self.schedule(client)
    }

    // MARK: - Servers that come and go

    /// Waits for a server again, with what it had begun.
    mutating func queueAgain(_ client: ClientPointer) {
        if self.place(client) { self.enqueue(client) } else { self.catchUp(client) }
    }

    /// A standby's connections broke or cannot be made: it is passed over for a while, and who waits for it goes on.
    mutating func standbyFailed(_ pool: PoolPointer) {
        guard case .standby(let name) = pool.pointee.key.target else { return }
        self.balancer.failed(name, at: self.moment)
        self.rerouteWaiting(pool)
    }

    /// A connection to it was made: it may have been restarted since it was last asked how far it is.
    mutating func standbyAnswered(_ pool: PoolPointer) {
        guard case .standby(let name) = pool.pointee.key.target else { return }
        self.balancer.answered(name)
        self.reading.book.forget(name)
    }

    /// Those that wait for this pool's server choose anew; with no other choice they stay.
    mutating func rerouteWaiting(_ pool: PoolPointer) {
        for _ in 0..<pool.pointee.waitingCount {
            guard let client = pool.pointee.firstWaiting else { return }
            pool.pointee.removeWaiting(client)
            let since = client.pointee.since
            guard self.place(client) else {
                self.catchUp(client)
                continue
            }
            if client.pointee.pool == pool {
                pool.pointee.appendWaiting(client)
            } else if let logIn = client.pointee.logIn?.takeUnretainedValue() {
                client.pointee.phase = .loggingIn
                self.welcome(client, logIn)
            } else {
                self.serve(client)
                if client.pointee.phase == .waiting { client.pointee.since = since }
            }
        }
    }

    /// A server if there is one, else a place in the queue.
    mutating func serve(_ client: ClientPointer) {
        guard !self.mustWait(client), let pool = client.pointee.pool, let server = pool.pointee.popIdle() else {
            return self.enqueue(client)
        }
        client.pointee.phase = .waiting
        client.pointee.since = self.now
        pool.pointee.appendWaiting(client)
        self.giveBack(server)
    }
}
