internal import CPGHALoop
internal import Glibc
internal import PGHACore
internal import PGHAWire

// A client whose server connection is gone.
extension PoolerLoop {
    /// `client` and `server` do not belong to each other any more; the server's place is freed by the caller.
    mutating func lostServer(_ client: ClientPointer, _ server: ServerPointer) {
        self.out.removeAll()
        if client.pointee.logIn != nil || client.pointee.phase == .attaching {
            // Nothing of the client's was sent: it waits for another.
            if !client.pointee.held.isEmpty { client.pointee.flags.insert(.heldWhole) }
            return self.queueAgain(client)
        }
        if client.pointee.phase == .parked { return self.endParked(client) }
        // Settings that were changed and not read back, or requests that were read and cannot be read again.
        if client.pointee.phase == .settling || self.isWalking {
            return self.closeLost(client, server, unknown: self.isWalking)
        }
        if let own = server.pointee.own, own.pointee.hasFailed {
            // Its client has heard that the statement failed, so that nothing can have been committed.
            return self.endTransaction(of: client)
        }
        let loss = self.loss(of: server, client)
        client.pointee.flags.remove(.holdsBack)
        if client.pointee.unitCount == 0 { self.noteWrite(client, server) }
        switch loss.answer {
        case .carryOn: self.becameIdle(client)
        case .sendAgain: self.sendAgain(client, server)
        case .fail: self.answerOutstanding(of: client, server, Self.transactionLost)
        case .outcomeUnknown where self.waitForOutcome(client, server): break
        case .outcomeUnknown:
            server.pointee.pool.pointee.statistics.unknownOutcomes &+= 1
            self.disownCommit(server)
            self.answerOutstanding(of: client, server, Self.outcomeUnknown)
        case .close(let unknown): self.closeLost(client, server, unknown: unknown)
        }
    }

    private func loss(of server: ServerPointer, _ client: ClientPointer) -> ServerLoss {
        let session = server.pointee.session
        var loss = ServerLoss()
        switch session.status {
        case .idle: loss.transaction = .none
        case .inTransaction: loss.transaction = .open
        case .failed: loss.transaction = .failed
        }
        loss.isBusy = session.isBusy
        loss.isUnsynced = session.hasOpenPipeline
        loss.mayCommit =
            server.pointee.flags.contains(.mayCommit) || (session.status == .idle && session.endsTransactions)
        // The transaction is the pooler's own: for the client there is none, and its statement is all of it.
        if client.pointee.phase == .committing {
            loss.transaction = .none
            loss.mayCommit = true
        }
        loss.isPinned = self.isBound(client, server) || session.isStreaming
        loss.isMidMessage = server.pointee.rest > 0 && !server.pointee.flags.contains(.dropsRest)
        guard let bytes = server.pointee.first.bytes else { return loss }
        let batch = SentBatch(bytes)
        // What is held back was not sent.
        loss.canRepeat =
            client.pointee.rest == 0
            && (client.pointee.held.isEmpty || client.pointee.flags.contains(.holdsBack))
        if client.pointee.trouble.contains(.retried), !batch.onlyBegins { loss.canRepeat = false }
        loss.isHarmless = batch.onlyBegins || server.pointee.pool.pointee.key.target != .leader
        loss.wasNotRun = batch.isPlain && !server.pointee.flags.contains(.mayCommit) && self.wasNotRun(server)
        return loss
    }

    /// The server refused before it began, or its system says that nobody read what was sent: a reset after data means
    /// that the socket was closed with the data unread. Only of a server on this host: on the way to another, somebody
    /// else may have sent the reset.
    private func wasNotRun(_ server: ServerPointer) -> Bool {
        if server.pointee.flags.contains(.saidGoodbye) { return true }
        guard server.pointee.flags.contains(.isLocal) else { return false }
        if server.pointee.flags.contains(.wasReset) { return true }
        let error = pgha_socket_error(server.pointee.transport.descriptor)
        return error == EPIPE || error == ECONNRESET
    }

    /// Logged in, without a server, with nothing outstanding.
    mutating func becameIdle(_ client: ClientPointer) {
        client.pointee.phase = .idle
        client.pointee.since = self.now
        if client.pointee.flags.contains(.unread) { self.schedule(client) }
    }

    private mutating func sendAgain(_ client: ClientPointer, _ server: ServerPointer) {
        guard let bytes = server.pointee.first.bytes else { return }
        server.pointee.pool.pointee.statistics.retries &+= 1
        self.forgetOutstanding(of: client, server)
        client.pointee.trouble.insert(.retried)
        client.pointee.held.putBack(bytes)
        client.pointee.flags.insert(.heldWhole)
        client.pointee.flags.insert(.unread)
        self.queueAgain(client)
    }

    /// What outstanding Parses would have defined is not defined.
    mutating func forgetOutstanding(of client: ClientPointer, _ server: ServerPointer) {
        guard let parses = server.pointee.session.outstandingParses else { return }
        client.pointee.statements?.pointee.removeFailed(parses, &self.statementTable)
    }

    private mutating func closeLost(_ client: ClientPointer, _ server: ServerPointer, unknown: Bool) {
        let isMidMessage = server.pointee.rest > 0 && !server.pointee.flags.contains(.dropsRest)
        // Nothing can follow the front of a message; and a FATAL of the server's own says it already.
        if isMidMessage || server.pointee.flags.contains(.saidGoodbye) { return self.closeAfterOutput(client) }
        server.pointee.pool.pointee.noteError(unknown ? .outcomeUnknown : .connectionFailure)
        guard unknown else { return self.refuse(client, .connectionFailure, "the connection to the server was lost") }
        server.pointee.pool.pointee.statistics.lostTransactions &+= 1
        server.pointee.pool.pointee.statistics.unknownOutcomes &+= 1
        self.refuse(client, .outcomeUnknown, Self.outcomeUnknown.message)
    }

    static var transactionLost: WireError {
        WireError(
            .error, .serializationFailure,
            "the connection to the server was lost; nothing of the transaction was committed",
            hint: "Run the transaction again.")
    }

    static var outcomeUnknown: WireError {
        WireError(
            .error, .outcomeUnknown, "the connection to the server was lost while a commit may have been under way",
            detail: "Whether the transaction was committed is not known.",
            hint: "Look for its effects before it is run again.")
    }

    static var blockFailed: WireError {
        WireError(
            .error, .inFailedTransaction,
            "current transaction is aborted, commands ignored until end of transaction block")
    }

    // MARK: - Answers in the server's place

    /// Answers all that is outstanding with `error`. After 40001 inside of a transaction the block is failed; after
    /// 08007 the transaction is over.
    private mutating func answerOutstanding(of client: ClientPointer, _ server: ServerPointer, _ error: WireError) {
        self.forgetOutstanding(of: client, server)
        let requests = server.pointee.session.requests
        let isOver = error.state == .outcomeUnknown || server.pointee.session.status == .idle
        server.pointee.pool.pointee.statistics.lostTransactions &+= 1
        server.pointee.pool.pointee.noteError(error.state)
        var trouble: Client.Trouble = isOver ? [] : .blockFailed
        if requests.isEmpty { trouble.insert(.untold) }
        if server.pointee.session.hasOpenPipeline { trouble.insert(.pipelined) }
        var buffer = WireBuffer()
        var isSkipping = false
        var wasTold = false
        for offset in 0..<requests.count {
            let kind = requests[offset].kind
            switch kind {
            case .injectedQuery, .injectedParse, .injectedClose, .injectedSync, .copyEnd: continue
            case .sync: break
            case .query, .prefixedQuery, .functionCall, .parse, .skippedParse, .bind, .describe, .execute, .close,
                .skippedClose:
                if isSkipping { continue }
                buffer.errorResponse(wasTold && !isOver ? Self.blockFailed : error)
                wasTold = true
                isSkipping = kind != .query && kind != .prefixedQuery && kind != .functionCall
            }
            guard !isSkipping || kind == .sync else { continue }
            isSkipping = false
            buffer.readyForQuery(isOver ? .idle : .failed)
        }
        if isSkipping { trouble.formUnion([.pipelined, .skipping]) }
        if client.pointee.rest > 0 { client.pointee.flags.insert(.dropsRest) }
        client.pointee.trouble = trouble
        self.append(buffer)
        guard self.flush(to: client) else { return }
        guard trouble != [] else { return self.becameIdle(client) }
        client.pointee.phase = .failed
        client.pointee.since = self.now
        client.pointee.flags.insert(.unread)
        self.schedule(client)
    }
}

/// What can be told from the first bytes of a client.
struct SentBatch {
    /// BEGIN and nothing else.
    private(set) var onlyBegins = false
    /// One transaction of statements that cannot commit on their own.
    private(set) var isPlain = true

    init(_ bytes: UnsafeRawBufferPointer) {
        var walk = MessageWalk(bytes)
        var ends = 0
        while case .message(let message) = walk.next() {
            switch message.type {
            case FrontendMessage.query:
                ends += 1
                self.onlyBegins = CommitTest.onlyBegins(message.body) && message.totalCount == bytes.count
                if !CommitTest.isPlain(message.body) { self.isPlain = false }
            case FrontendMessage.sync: ends += 1
            case FrontendMessage.parse:
                var reader = ByteReader(message.body)
                if reader.string() == nil || !CommitTest.isPlain(Self.text(reader.rest)) { self.isPlain = false }
            case FrontendMessage.bind, FrontendMessage.describe, FrontendMessage.execute, FrontendMessage.close,
                FrontendMessage.flush:
                break
            default: self.isPlain = false
            }
        }
        if ends > 1 { self.isPlain = false }
    }

    /// Of a Parse, behind its name: up to the zero.
    private static func text(_ body: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: body[..<(body.firstIndex(of: 0) ?? body.endIndex)])
    }
}
