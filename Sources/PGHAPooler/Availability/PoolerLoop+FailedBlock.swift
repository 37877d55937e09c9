internal import PGHAWire

// A client whose transaction was lost with its server: the pooler plays the server until the client has ended its
// block, as PostgreSQL would after an error (manual, "Message Flow").
extension PoolerLoop {
    /// Reads what the client sends and answers it, until its block is over.
    mutating func pumpFailed(_ client: ClientPointer) {
        for _ in 0..<Self.readsPerTurn {
            guard client.pointee.phase == .failed, client.pointee.output == nil else { return }
            let isDrained: Bool
            switch self.receive(client) {
            case .bytes(let bytes, let isLast):
                isDrained = isLast
                self.takeFailed(client, bytes)
            case .held(var held, let isLast):
                isDrained = isLast
                self.takeFailed(client, UnsafeRawBufferPointer(start: held.base, count: Int(held.count)))
                held.release()
            case .nothing:
                client.pointee.flags.remove(.unread)
                return
            case .closed: return self.closeClient(client)
            }
            guard client.pointee.phase != .free else { return }
            if isDrained { client.pointee.flags.remove(.unread) }
            guard client.pointee.phase == .failed else { return self.blockEnded(client) }
            if isDrained { return }
        }
        self.schedule(client)
    }

    private mutating func takeFailed(_ client: ClientPointer, _ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        if client.pointee.rest > 0 {
            let skipped = min(Int(client.pointee.rest), bytes.count)
            client.pointee.rest -= UInt32(skipped)
            rest = UnsafeRawBufferPointer(rebasing: bytes[skipped...])
        }
        var walk = MessageWalk(rest)
        var buffer = WireBuffer()
        while client.pointee.phase == .failed {
            switch walk.next() {
            case .message(let message):
                if !message.isComplete, message.totalCount <= Self.longestStatement {
                    client.pointee.held.keep(walk.rest(from: message.start))
                    return self.sendAnswers(buffer, to: client)
                }
                if !message.isComplete {
                    client.pointee.rest = UInt32(message.totalCount - message.presentCount)
                    client.pointee.flags.insert(.dropsRest)
                }
                if message.type == FrontendMessage.terminate { return self.closeClient(client) }
                self.answerFailed(client, message, &buffer)
                if client.pointee.trouble == [] { self.leaveFailed(client, walk.rest) }
            case .partialHeader:
                client.pointee.held.keep(walk.rest)
                return self.sendAnswers(buffer, to: client)
            case .done: return self.sendAnswers(buffer, to: client)
            case .malformed: return self.refuse(client, .protocolViolation, "invalid message length")
            }
        }
        self.sendAnswers(buffer, to: client)
    }

    private mutating func sendAnswers(_ buffer: borrowing WireBuffer, to client: ClientPointer) {
        self.out.removeAll()
        // Answers are short; a pipeline of thousands of statements is not worth more.
        guard buffer.count <= Outgoing.largestOwn else { return self.closeClient(client) }
        self.append(buffer)
        _ = self.flush(to: client)
    }

    /// The block is over: whatever else the client has sent begins a transaction.
    private mutating func leaveFailed(_ client: ClientPointer, _ rest: UnsafeRawBufferPointer) {
        client.pointee.phase = .idle
        client.pointee.since = self.now
        if rest.isEmpty { return }
        client.pointee.held.keep(rest)
        client.pointee.flags.insert(.heldWhole)
    }

    /// Goes on with what came behind the end of the block, if anything did.
    private mutating func blockEnded(_ client: ClientPointer) {
        if client.pointee.flags.contains(.unread) || !client.pointee.held.isEmpty { self.schedule(client) }
    }

    private mutating func answerFailed(
        _ client: ClientPointer, _ message: MessageView, _ buffer: inout WireBuffer
    ) {
        switch message.type {
        case FrontendMessage.sync: self.answerSync(client, &buffer)
        case FrontendMessage.query:
            if client.pointee.trouble.contains(.skipping) { return }
            self.answerQuery(client, message.body, &buffer)
        case FrontendMessage.flush, FrontendMessage.copyData, FrontendMessage.copyDone, FrontendMessage.copyFail: break
        default:
            if client.pointee.trouble.contains(.skipping) { return }
            client.pointee.trouble.insert(.pipelined)
            self.answerExtended(client, message, &buffer)
        }
    }

    private mutating func answerSync(_ client: ClientPointer, _ buffer: inout WireBuffer) {
        // Lost between its messages and their Sync: the implicit transaction must not seem to have worked.
        if client.pointee.trouble.contains(.untold), !client.pointee.trouble.contains(.blockFailed) {
            buffer.errorResponse(Self.transactionLost)
            client.pointee.trouble.remove(.untold)
        }
        client.pointee.trouble.subtract([.skipping, .pipelined])
        if client.pointee.trouble.contains(.ended) { client.pointee.trouble = [] }
        buffer.readyForQuery(client.pointee.trouble.contains(.blockFailed) ? .failed : .idle)
    }

    private mutating func answerQuery(
        _ client: ClientPointer, _ text: UnsafeRawBufferPointer, _ buffer: inout WireBuffer
    ) {
        switch self.leave(client, CommitTest.exit(text)) {
        case .ended:
            buffer.commandComplete("ROLLBACK")
            client.pointee.trouble = []
        case .refused(let error, let endsBlock):
            buffer.errorResponse(error)
            if endsBlock { client.pointee.trouble = [] }
        }
        buffer.readyForQuery(client.pointee.trouble.contains(.blockFailed) ? .failed : .idle)
    }

    private enum Leaving {
        case ended
        case refused(WireError, endsBlock: Bool)
    }

    /// A client that commits and has not heard of the loss must hear of it now, or it would believe in its commit.
    private mutating func leave(_ client: ClientPointer, _ exit: CommitTest.Exit) -> Leaving {
        let isUntold = client.pointee.trouble.contains(.untold)
        let isBlock = client.pointee.trouble.contains(.blockFailed)
        client.pointee.trouble.remove(.untold)
        switch exit {
        case .rollback where isBlock: return .ended
        case .commit where isBlock:
            return isUntold ? .refused(Self.transactionLost, endsBlock: true) : .ended
        case .none, .rollback, .commit:
            return .refused(isUntold ? Self.transactionLost : Self.blockFailed, endsBlock: !isBlock)
        }
    }

    private mutating func answerExtended(
        _ client: ClientPointer, _ message: MessageView, _ buffer: inout WireBuffer
    ) {
        var reader = ByteReader(message.body)
        switch message.type {
        case FrontendMessage.parse:
            let name = reader.string()
            guard name != nil, self.wouldLeave(client, reader.rest) else { return self.skipToSync(client, &buffer) }
            if let name { self.defineInFailed(client, name, reader.rest) }
            buffer.message(BackendMessage.parseComplete) { _ in }
        case FrontendMessage.bind:
            guard reader.string() != nil, let name = reader.string(),
                let statement = client.pointee.statements?.pointee.find(name, self.statementTable),
                self.wouldLeave(client, statement.pointee.body)
            else { return self.skipToSync(client, &buffer) }
            client.pointee.trouble.insert(
                CommitTest.exit(statement.pointee.body) == .commit ? .bindsCommit : .bindsRollback)
            buffer.message(BackendMessage.bindComplete) { _ in }
        case FrontendMessage.describe:
            if reader.byte() == DescribedObject.statement.rawValue {
                buffer.message(BackendMessage.parameterDescription) { $0.append(UInt16(0)) }
            }
            buffer.message(BackendMessage.noData) { _ in }
        case FrontendMessage.execute: self.executeInFailed(client, &buffer)
        case FrontendMessage.close:
            if reader.byte() == DescribedObject.statement.rawValue, let name = reader.string() {
                client.pointee.statements?.pointee.remove(name, &self.statementTable)
            }
            buffer.message(BackendMessage.closeComplete) { _ in }
        default: self.skipToSync(client, &buffer)
        }
    }

    /// Whether the statement, a Parse's text with whatever follows its zero, may be prepared in a failed block.
    private func wouldLeave(_ client: ClientPointer, _ text: UnsafeRawBufferPointer) -> Bool {
        let end = text.firstIndex(of: 0) ?? text.endIndex
        let exit = CommitTest.exit(UnsafeRawBufferPointer(rebasing: text[..<end]))
        return exit != .none && client.pointee.trouble.contains(.blockFailed)
    }

    private mutating func defineInFailed(
        _ client: ClientPointer, _ name: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) {
        let statement = self.statementTable.retain(body)
        let own = self.statements(of: client)
        if !name.isEmpty { own.pointee.remove(name, &self.statementTable) }
        own.pointee.insert(name, statement, sequence: 0, &self.statementTable)
    }

    private mutating func executeInFailed(_ client: ClientPointer, _ buffer: inout WireBuffer) {
        let bound = client.pointee.trouble.intersection([.bindsCommit, .bindsRollback])
        client.pointee.trouble.subtract([.bindsCommit, .bindsRollback])
        switch self.leave(client, bound.contains(.bindsCommit) ? .commit : bound == [] ? .none : .rollback) {
        case .ended:
            buffer.commandComplete("ROLLBACK")
            client.pointee.trouble.formUnion([.ended])
            client.pointee.trouble.remove(.blockFailed)
        case .refused(let error, let endsBlock):
            buffer.errorResponse(error)
            client.pointee.trouble.formUnion([.skipping])
            if endsBlock {
                client.pointee.trouble.remove(.blockFailed)
                client.pointee.trouble.insert(.ended)
            }
        }
    }

    private mutating func skipToSync(_ client: ClientPointer, _ buffer: inout WireBuffer) {
        let isUntold = client.pointee.trouble.contains(.untold)
        client.pointee.trouble.remove(.untold)
        buffer.errorResponse(
            isUntold || !client.pointee.trouble.contains(.blockFailed) ? Self.transactionLost : Self.blockFailed)
        client.pointee.trouble.insert(.skipping)
    }
}
