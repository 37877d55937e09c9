internal import PGHACore
internal import PGHAWire

/// A client that waits to hear what became of its COMMIT.
struct OpenCommit {
    let doubt: CommitDoubt
    let client: Token
    /// What the client is still owed an answer to, the pooler's own requests left out.
    let requests: [Request.Kind]
    /// CommandComplete of a statement that commits by itself.
    var tag: [UInt8] = []
    var isAsking = false
}

// `resolve_commits`: the transaction's id is asked for with the COMMIT, in one write; when the answer to that is lost
// with its server, the next leader knows.
extension PoolerLoop {
    // MARK: - Before

    /// Called where a COMMIT is about to be sent on. Its own write carries the question, and the server answers that
    /// before it begins to commit.
    @inline(never) mutating func askForTransaction(
        _ client: ClientPointer, _ server: ServerPointer, _ text: UnsafeRawBufferPointer
    ) {
        let session = server.pointee.session
        guard session.status == .inTransaction, session.canTakeQuery, CommitTest.exit(text) == .commit,
            server.pointee.pool.pointee.key.target == .leader, !client.pointee.flags.contains(.pinned)
        else { return }
        server.pointee.flags.insert(.learns)
        self.inject(server, message: OwnMessages.question)
    }

    /// The answer; nothing where the transaction has written nothing.
    mutating func learnTransaction(_ server: ServerPointer, _ row: UnsafeRawBufferPointer) {
        guard let answer = TransactionAnswer(row) else { return }
        server.pointee.transaction = answer.id
        server.pointee.transactionEnd = answer.position
    }

    /// What comes next is the client's.
    mutating func transactionLearned(_ client: ClientPointer, _ server: ServerPointer) {
        server.pointee.flags.subtract([.learns, .cleaningFailed])
        client.pointee.phase = .active
        self.schedule(client)
    }

    // MARK: - After

    /// The server is gone and the COMMIT is not answered. False: nothing can be found out.
    mutating func waitForOutcome(_ client: ClientPointer, _ server: ServerPointer) -> Bool {
        // Without an answer to the question in front of it, the COMMIT had not begun.
        let isReset = server.pointee.flags.isSuperset(of: [.isLocal, .wasReset])
        let own = client.pointee.phase == .committing ? server.pointee.own : nil
        let isUnanswered = client.pointee.phase == .learning || own.map { $0.pointee.step != .commit } ?? false
        let hadNotBegun = isUnanswered && (isReset || server.pointee.flags.contains(.ended))
        guard server.pointee.transaction != 0 || hadNotBegun else { return false }
        if let own { return self.wait(client, server, own, hadNotBegun: hadNotBegun) }
        var requests: [Request.Kind] = []
        for offset in 0..<server.pointee.session.requests.count {
            let request = server.pointee.session.requests[offset]
            switch request.kind {
            case .injectedQuery, .injectedParse, .injectedClose, .injectedSync: continue
            case .query, .sync, .parse, .skippedParse, .bind, .execute: requests.append(request.kind)
            // A statement's description has another form than a portal's.
            case .describe where request.sequence == 0: requests.append(request.kind)
            case .describe, .prefixedQuery, .functionCall, .close, .skippedClose, .copyEnd: return false
            }
        }
        // One COMMIT and nothing behind it.
        guard requests.last == .query || requests.last == .sync,
            requests.count(where: { $0 == .query || $0 == .sync }) == 1, client.pointee.rest == 0
        else { return false }
        self.wait(client, server, requests, hadNotBegun: hadNotBegun)
        return true
    }

    private mutating func wait(
        _ client: ClientPointer, _ server: ServerPointer, _ requests: [Request.Kind], tag: [UInt8] = [],
        hadNotBegun: Bool
    ) {
        let doubt = CommitDoubt(
            transaction: server.pointee.transaction, end: LSN(server.pointee.transactionEnd),
            term: Term(server.pointee.term))
        let token = Token(.client, index: client.pointee.index, generation: client.pointee.generation)
        self.openCommits.append(OpenCommit(doubt: doubt, client: token, requests: requests, tag: tag))
        client.pointee.phase = .resolving
        client.pointee.since = self.now
        if hadNotBegun { self.answerCommit(token, false) }
    }

    /// Of a statement that commits by itself. What its Parse would have defined is defined if the server said so.
    private mutating func wait(
        _ client: ClientPointer, _ server: ServerPointer, _ own: UnsafeMutablePointer<OwnTransaction>, hadNotBegun: Bool
    ) -> Bool {
        let tag = UnsafeRawBufferPointer(start: own.pointee.tag.base, count: Int(own.pointee.tag.count))
        guard hadNotBegun || !tag.isEmpty else { return false }
        self.forgetOutstanding(of: client, server)
        self.wait(client, server, [], tag: Array(tag), hadNotBegun: hadNotBegun)
        return true
    }

    private func resolvingClient(_ token: Token) -> ClientPointer? {
        let client = self.clients[token.index]
        guard client.pointee.phase == .resolving, client.pointee.generation == token.generation else { return nil }
        return client
    }

    /// After a change of the topology, and with every tick while there are any.
    mutating func resolveCommits() {
        for commit in self.openCommits where !commit.isAsking {
            guard let client = self.resolvingClient(commit.client) else {
                self.openCommits.removeAll { $0.client == commit.client }
                continue
            }
            let waited = Duration.nanoseconds(Int64(self.now &- client.pointee.since))
            switch commit.doubt.verdict(self.topology) {
            case _ where waited >= self.configuration.hold.longest, .unknown: self.answerCommit(commit.client, nil)
            case .notCommitted: self.answerCommit(commit.client, false)
            case .askLeader: self.askLeader(about: commit, client)
            case nil: break
            }
        }
    }

    private mutating func askLeader(about commit: OpenCommit, _ client: ClientPointer) {
        guard let pool = client.pointee.pool,
            self.askLeader(
                .outcome(client: commit.client), "SELECT pg_xact_status('\(commit.doubt.transaction)'::xid8)",
                as: pool.pointee.key) != nil
        else { return }
        self.setAsking(commit.client, true)
    }

    private mutating func setAsking(_ client: Token, _ isAsking: Bool) {
        for index in self.openCommits.indices where self.openCommits[index].client == client {
            self.openCommits[index].isAsking = isAsking
        }
    }

    mutating func outcomeAnswered(_ client: Token, _ answer: SideSession.Answer) {
        switch answer {
        case .value("committed"): self.answerCommit(client, true)
        case .value("aborted"): self.answerCommit(client, false)
        // Too old, or something that should not be.
        case .value, .alone: self.answerCommit(client, nil)
        // The session could not be had: asked again.
        case .failed, .broken, .blocked: self.setAsking(client, false)
        }
    }

    /// The leader of the same term answers again: it may have been restarted and cannot be believed.
    mutating func giveUpCommits(of term: UInt64) {
        for commit in self.openCommits where commit.doubt.term.number == term { self.answerCommit(commit.client, nil) }
    }

    /// `isCommitted` nil: nobody knows.
    private mutating func answerCommit(_ token: Token, _ isCommitted: Bool?) {
        guard let place = self.openCommits.firstIndex(where: { $0.client == token }) else { return }
        let commit = self.openCommits.remove(at: place)
        guard let client = self.resolvingClient(token) else { return }
        var buffer = WireBuffer()
        if isCommitted == true {
            buffer.append(commit.tag)
            Self.appendCommitted(commit.requests, &buffer)
        } else {
            buffer.errorResponse(isCommitted == nil ? Self.outcomeUnknown : Self.transactionLost)
        }
        if let pool = client.pointee.pool {
            if isCommitted == nil { pool.pointee.statistics.unknownOutcomes &+= 1 }
            if isCommitted != true {
                pool.pointee.statistics.lostTransactions &+= 1
                pool.pointee.noteError(isCommitted == nil ? .outcomeUnknown : .serializationFailure)
            }
        }
        self.endTransaction(of: client, with: buffer)
    }

    /// `answer`, and that the client is in no transaction any more.
    mutating func endTransaction(of client: ClientPointer, with answer: consuming WireBuffer = WireBuffer()) {
        var buffer = answer
        buffer.readyForQuery(.idle)
        self.out.removeAll()
        self.append(buffer)
        guard self.flush(to: client) else { return }
        self.becameIdle(client)
        self.schedule(client)
    }

    private static func appendCommitted(_ requests: [Request.Kind], _ buffer: inout WireBuffer) {
        for request in requests {
            switch request {
            case .parse, .skippedParse: buffer.message(BackendMessage.parseComplete) { _ in }
            case .bind: buffer.message(BackendMessage.bindComplete) { _ in }
            case .describe: buffer.message(BackendMessage.noData) { _ in }
            case .query, .execute: buffer.commandComplete("COMMIT")
            default: break
            }
        }
    }
}
