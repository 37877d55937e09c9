internal import PGHACore
internal import PGHAWire

// Statements that commit by themselves, with `resolve_commits`: see `OwnTransaction`.
extension PoolerLoop {
    @inline(never) mutating func takeResolving(_ client: ClientPointer, _ bytes: UnsafeRawBufferPointer) {
        guard self.commitsItself(client, bytes) else { return self.walk(client, bytes) }
        guard let server = self.serverReady(for: client) else { return client.pointee.held.keep(bytes) }
        self.beginOwnTransaction(server)
        self.walk(client, bytes)
    }

    /// Whether all that the client has sent is one such statement.
    private func commitsItself(_ client: ClientPointer, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard client.pointee.phase == .idle || client.pointee.phase == .active, client.pointee.rest == 0,
            client.pointee.flags.isDisjoint(with: [.pinned, .guardsBinds]),
            let pool = client.pointee.pool, case .leader = pool.pointee.key.target, let statement = LoneStatement(bytes)
        else { return false }
        switch statement {
        case .query(let text): return Self.isPlainWrite(text)
        case .extended(_, let text?): return self.translates(client) && Self.isPlainWrite(text)
        case .extended(let name, nil):
            let known = client.pointee.statements?.pointee.definition(name, self.statementTable)
            return known.map { Self.isPlainWrite($0.statement.pointee.text) } ?? false
        }
    }

    private static func isPlainWrite(_ text: UnsafeRawBufferPointer) -> Bool {
        CommitTest.isPlainWrite(text) && !AttentionTest.needsAttention(text)
    }

    /// BEGIN, in front of the client's statement; nothing where the server has something else to do.
    private mutating func beginOwnTransaction(_ server: ServerPointer) {
        guard server.pointee.session.status == .idle, server.pointee.session.canTakeQuery else { return }
        let own = server.pointee.own ?? .allocate(capacity: 1)
        if server.pointee.own == nil { own.initialize(to: OwnTransaction()) }
        server.pointee.own = own
        own.pointee.step = .begin
        server.pointee.flags.insert(.hasBegun)
        self.inject(server, message: OwnMessages.begin)
    }

    /// The question and COMMIT, behind it, before any of it is sent: a server that is lost on the way is lost whole.
    private mutating func endOwnTransaction(_ client: ClientPointer, _ server: ServerPointer) {
        server.pointee.flags.remove(.hasBegun)
        self.inject(server, message: OwnMessages.question)
        self.append(OwnMessages.commit)
        server.pointee.session.sent(Request(.query))
        client.pointee.phase = .committing
    }

    /// The client's bytes are in `out`, and among them a COMMIT or a statement that commits by itself.
    @inline(never) mutating func asksBeforeCommit(_ client: ClientPointer, _ server: ServerPointer) {
        if server.pointee.flags.contains(.hasBegun) { return self.endOwnTransaction(client, server) }
        client.pointee.phase = .learning
    }

    // MARK: - Answers

    mutating func takeOwn(
        _ server: ServerPointer, _ message: MessageView, _ span: inout UnsafeRawPointer
    ) -> ServerTaken {
        guard let own = server.pointee.own else { return .broken }
        switch message.type {
        case BackendMessage.readyForQuery: return self.ownStepEnded(server, own, message, &span)
        case BackendMessage.parameterStatus: return self.takeParameterStatus(server, message)
        case BackendMessage.notificationResponse: return self.takeNotification(server, message)
        case BackendMessage.dataRow:
            guard own.pointee.step == .question else { return .forward }
            guard message.isComplete else { return message.totalCount <= Self.frontRoom ? .keep : .broken }
            self.learnTransaction(server, message.body)
            return .drop
        case BackendMessage.errorResponse: return self.takeOwnError(server, own, message, &span)
        case BackendMessage.noticeResponse:
            if own.pointee.step == .commit { return self.takeNotice(server, message, &span) }
            return own.pointee.step == .statement ? .forward : .drop
        case BackendMessage.commandComplete: return self.takeOwnTag(server, own, message, &span)
        default: break
        }
        guard self.makeUp(server, before: message, &span) else { return .gone }
        switch server.pointee.session.received(message.type) {
        case .forward: return .forward
        case .swallow: return .drop
        case .broken: return .broken
        }
    }

    private mutating func takeOwnError(
        _ server: ServerPointer, _ own: UnsafeMutablePointer<OwnTransaction>, _ message: MessageView,
        _ span: inout UnsafeRawPointer
    ) -> ServerTaken {
        guard self.makeUp(server, before: message, &span) else { return .gone }
        let taken = self.takeError(server, message)
        if case .forward = taken { own.pointee.hasFailed = true }
        return taken
    }

    /// The statement's is kept until COMMIT's is there.
    private mutating func takeOwnTag(
        _ server: ServerPointer, _ own: UnsafeMutablePointer<OwnTransaction>, _ message: MessageView,
        _ span: inout UnsafeRawPointer
    ) -> ServerTaken {
        guard message.isComplete else { return .keep }
        guard self.makeUp(server, before: message, &span) else { return .gone }
        guard server.pointee.session.received(message.type) != .broken else { return .broken }
        switch own.pointee.step {
        case .statement:
            own.pointee.tag.keep(UnsafeRawBufferPointer(start: message.start, count: message.totalCount))
        case .commit where !own.pointee.hasFailed && !server.pointee.flags.contains(.commitIsAlone):
            self.out.append(span, message.start - span)
            span = message.start
            if self.out.isNearlyFull(for: 64), !self.flushToClient(of: server) { return .gone }
            if let tag = own.pointee.tag.base { self.out.appendCopy(tag, Int(own.pointee.tag.count)) }
        case .none, .begin, .question, .commit: break
        }
        return .drop
    }

    private mutating func ownStepEnded(
        _ server: ServerPointer, _ own: UnsafeMutablePointer<OwnTransaction>, _ message: MessageView,
        _ span: inout UnsafeRawPointer
    ) -> ServerTaken {
        guard message.isComplete, let status = message.body.first else { return .keep }
        guard self.makeUp(server, before: message, &span) else { return .gone }
        if own.pointee.step == .commit {
            own.pointee.end()
            server.pointee.client?.pointee.phase = .active
            return self.takeReady(server, message)
        }
        guard server.pointee.session.receivedReady(status) != .broken else { return .broken }
        switch own.pointee.step {
        case .begin:
            guard server.pointee.session.status == .inTransaction else { return .broken }
            own.pointee.step = .statement
        case .statement: own.pointee.step = .question
        case .question: own.pointee.step = .commit
        case .none, .commit: return .broken
        }
        return .drop
    }

    // MARK: - The server is lost

    /// What the client is owed an answer to, with the pooler's COMMIT left out.
    func disownCommit(_ server: ServerPointer) {
        guard let own = server.pointee.own, own.pointee.step == .begin || own.pointee.step == .statement else { return }
        let last = server.pointee.session.requests.count - 1
        server.pointee.session.requests[last] = Request(.injectedQuery)
    }

    func freeOwn(_ server: ServerPointer) {
        guard let own = server.pointee.own else { return }
        own.pointee.end()
        own.deallocate()
        server.pointee.own = nil
    }
}
