internal import Glibc
internal import PGHAWire

/// What becomes of a server's message.
enum ServerTaken {
    case forward
    case drop
    /// Not complete, and it has to be looked at as a whole: wait for the rest.
    case keep
    /// The transaction is over: forward, then take the server from its client.
    case finished
    /// It says why it closes the connection: what came before goes to the client, what that means is decided elsewhere.
    case lost
    /// A standby will not do it, and the client knows nothing of that: it goes to the leader.
    case refused
    /// Its client was closed, and it with it.
    case gone
    case broken
}

// What a server sends, once it is logged in.
extension PoolerLoop {
    /// Reads what the server has sent and passes it on to its client, until there is no more.
    mutating func relay(_ server: ServerPointer) {
        for turn in 1... {
            // Back-pressure: nothing is read while the client has not taken the last.
            if let client = server.pointee.client, client.pointee.output != nil {
                server.pointee.flags.insert(.unread)
                return
            }
            let front = Int(server.pointee.held.count)
            let base = self.input + Self.frontRoom
            let count = server.pointee.transport.receive(base, Self.bufferSize)
            guard count > 0 else {
                server.pointee.flags.remove(.unread)
                if count == 0 { server.pointee.flags.insert(.ended) }
                if count == -Int(ECONNRESET) { server.pointee.flags.insert(.wasReset) }
                if count != Transport.wouldBlock { self.serverBroke(server) }
                return
            }
            var run = UnsafeRawBufferPointer(start: base, count: count)
            if front > 0, let held = server.pointee.held.base {
                (base - front).copyMemory(from: held, byteCount: front)
                run = UnsafeRawBufferPointer(start: base - front, count: front + count)
                server.pointee.held.release()
            }
            self.take(server, run)
            if server.pointee.phase == .free { return }
            if count < Self.bufferSize, !server.pointee.flags.contains(.hungUp) {
                server.pointee.flags.remove(.unread)
                return
            }
            // Others get their turn too.
            if turn >= Self.readsPerTurn, server.pointee.phase == .busy, let client = server.pointee.client {
                server.pointee.flags.insert(.unread)
                return self.schedule(client)
            }
        }
    }

    /// Walks over a run of the server's messages. Neighbours that go on as they came are one span.
    private mutating func take(_ server: ServerPointer, _ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        var start = base
        var span = base
        if server.pointee.rest > 0 {
            let skipped = min(Int(server.pointee.rest), bytes.count)
            server.pointee.rest -= UInt32(skipped)
            start += skipped
            if server.pointee.flags.contains(.dropsRest) { span = start }
        }
        var walk = MessageWalk(UnsafeRawBufferPointer(start: start, count: base + bytes.count - start))
        if Self.isSeen(server), server.pointee.session.answersQuery, !server.pointee.flags.contains(.commitIsAlone) {
            walk.skipPlainAnswers()
        }
        walking: while true {
            switch walk.next() {
            case .message(let message):
                switch self.takeMessage(server, message, &span) {
                case .forward:
                    if message.presentCount < message.totalCount {
                        server.pointee.flags.remove(.dropsRest)
                        server.pointee.rest = UInt32(message.totalCount - message.presentCount)
                    }
                case .drop:
                    self.out.append(span, message.start - span)
                    span = message.start + message.presentCount
                    server.pointee.flags.insert(.dropsRest)
                    server.pointee.rest = UInt32(message.totalCount - message.presentCount)
                    // Every one of them divides what the client sees.
                    if self.out.isNearlyFull(for: 0), !self.flushToClient(of: server) { return }
                case .keep:
                    self.out.append(span, message.start - span)
                    server.pointee.held.keep(walk.rest(from: message.start))
                    break walking
                case .finished:
                    self.out.append(span, message.start + message.presentCount - span)
                    span = message.start + message.presentCount
                    guard self.flushToClient(of: server) else { return }
                    if let client = server.pointee.client { self.finishTurn(client, server) }
                    if server.pointee.phase == .free { return }
                case .lost:
                    self.out.append(span, message.start - span)
                    guard self.flushToClient(of: server) else { return }
                    return self.serverBroke(server)
                case .refused:
                    self.out.removeAll()
                    span = message.start + message.presentCount
                    self.fallBack(server)
                case .gone: return
                case .broken:
                    self.out.removeAll()
                    return self.serverBroke(server)
                }
            case .done:
                self.out.append(span, base + bytes.count - span)
                break walking
            case .partialHeader(let count):
                self.out.append(span, base + bytes.count - count - span)
                server.pointee.held.keep(walk.rest)
                break walking
            case .malformed:
                self.out.removeAll()
                return self.serverBroke(server)
            }
        }
        if server.pointee.session.hasMadeUp, !self.addMadeUp(server) { return }
        _ = self.flushToClient(of: server)
    }

    /// Sends what `out` holds to the server's client; false when the client was closed on the way, and the server
    /// then is not the caller's any more.
    @inline(__always) mutating func flushToClient(of server: ServerPointer) -> Bool {
        guard !self.out.isEmpty else { return true }
        guard let client = server.pointee.client else {
            self.out.removeAll()
            return true
        }
        server.pointee.first.answered()
        server.pointee.pool.pointee.statistics.sent &+= UInt64(self.out.count)
        return self.flush(to: client)
    }

    /// Answers to what was never sent, as soon as it is their turn. False when the client was closed on the way, as with
    /// ``flushToClient(of:)``.
    mutating func addMadeUp(_ server: ServerPointer) -> Bool {
        while let type = server.pointee.session.nextMadeUp() {
            if self.out.isNearlyFull(for: 64), !self.flushToClient(of: server) { return false }
            self.out.appendEmptyMessage(type)
        }
        return true
    }

    /// The same, ahead of `message`.
    @inline(__always) mutating func makeUp(
        _ server: ServerPointer, before message: MessageView, _ span: inout UnsafeRawPointer
    ) -> Bool {
        guard server.pointee.session.hasMadeUp else { return true }
        self.out.append(span, message.start - span)
        span = message.start
        return self.addMadeUp(server)
    }

    @inline(__always) private mutating func takeMessage(
        _ server: ServerPointer, _ message: MessageView, _ span: inout UnsafeRawPointer
    ) -> ServerTaken {
        guard Self.isSeen(server) else {
            if server.pointee.client?.pointee.phase == .committing { return self.takeOwn(server, message, &span) }
            return self.takeUnseen(server, message)
        }
        switch message.type {
        case BackendMessage.dataRow, BackendMessage.copyData:
            // No request ends with them, so the queue need not be asked.
            return .forward
        case BackendMessage.readyForQuery:
            if !self.makeUp(server, before: message, &span) { return .gone }
            return self.takeReady(server, message)
        case BackendMessage.parameterStatus: return self.takeParameterStatus(server, message)
        case BackendMessage.notificationResponse: return self.takeNotification(server, message)
        case BackendMessage.noticeResponse: return self.takeNotice(server, message, &span)
        case BackendMessage.errorResponse:
            if !self.makeUp(server, before: message, &span) { return .gone }
            return self.takeError(server, message)
        case BackendMessage.commandComplete:
            guard message.isComplete else { return .keep }
            if CommandTag.mayMatter(message.body) { self.takeCommandTag(server, message.body) }
            if server.pointee.flags.contains(.commitIsAlone) {
                return server.pointee.session.received(message.type) == .broken ? .broken : .drop
            }
        default: break
        }
        if !self.makeUp(server, before: message, &span) { return .gone }
        switch server.pointee.session.received(message.type) {
        case .forward: return .forward
        case .swallow: return .drop
        case .broken: return .broken
        }
    }

    /// Whether a client gets what the server says now.
    @inline(__always) private static func isSeen(_ server: ServerPointer) -> Bool {
        server.pointee.client?.pointee.phase == .active
    }

    @inline(__always) mutating func takeReady(_ server: ServerPointer, _ message: MessageView) -> ServerTaken {
        guard message.isComplete else { return .keep }
        guard let status = message.body.first else { return .broken }
        switch server.pointee.session.receivedReady(status) {
        case .broken: return .broken
        case .swallow: return .drop
        case .forward:
            if !server.pointee.session.isBusy { self.answered(server) }
            if server.pointee.session.isReleasable { return .finished }
            return server.pointee.pool.pointee.mode == .statement ? self.takeOpenTransaction(server) : .forward
        }
    }

    /// Nothing is owed any more.
    @inline(__always) private func answered(_ server: ServerPointer) {
        server.pointee.flags.subtract([.mayCommit, .commitIsAlone])
        server.pointee.transaction = 0
        guard server.pointee.askedAt != 0 else { return }
        server.pointee.pool.pointee.durations.query.add(self.now &- server.pointee.askedAt)
        server.pointee.askedAt = 0
    }

    /// Statement mode has no transactions of several statements.
    private mutating func takeOpenTransaction(_ server: ServerPointer) -> ServerTaken {
        guard server.pointee.session.status != .idle, let client = server.pointee.client else { return .forward }
        self.refuse(client, .featureNotSupported, "transaction blocks are not allowed in statement pooling mode")
        return .drop
    }

    /// ReadyForQuery was sent on, nothing is owed, no transaction is open.
    @inline(__always) private mutating func finishTurn(_ client: ClientPointer, _ server: ServerPointer) {
        // A client that is in the middle of its next message keeps the server: the front of it was sent.
        guard client.pointee.rest == 0, server.pointee.output == nil else { return }
        if client.pointee.flags.contains(.pinned) { return self.finishPinnedTurn(client, server) }
        if server.pointee.touch != nil { return self.readSettings(client, server) }
        self.detach(client, server)
        if self.draining != nil { return self.leave(client) }
        if client.pointee.flags.contains(.unread) { self.schedule(client) }
    }

    /// A client that notifies itself knows that by the process that its greeting named.
    func takeNotification(_ server: ServerPointer, _ message: MessageView) -> ServerTaken {
        guard let client = server.pointee.client, client.pointee.pinReason != .sessionMode else { return .forward }
        guard message.body.count >= 4 else { return .keep }
        let process = message.body.loadUnaligned(as: UInt32.self)
        guard UInt32(bigEndian: process) == server.pointee.processID else { return .forward }
        let number = self.cancelAddress(of: client).number
        // The bytes are the loop's own.
        UnsafeMutableRawPointer(mutating: message.start + 5).storeBytes(of: number.bigEndian, as: UInt32.self)
        return .forward
    }

    mutating func takeError(_ server: ServerPointer, _ message: MessageView) -> ServerTaken {
        if !message.isComplete, message.totalCount <= Self.frontRoom { return .keep }
        if message.isComplete, let error = ErrorView(message.body) {
            if let state = error.state { server.pointee.pool.pointee.noteError(state) }
            if error.isFatal {
                server.pointee.flags.insert(.saidGoodbye)
                self.noteCommand(server, error)
                if let client = server.pointee.client, !self.isBound(client, server) { return .lost }
            }
            if error.state == .featureNotSupported || error.state == .internalError,
                let first = server.pointee.session.requests.first
            {
                self.planIsStale(server, first.statement)
            }
        }
        let verdict = server.pointee.session.received(message.type)
        if server.pointee.session.hasFailures { self.forgetFailed(server) }
        if let client = server.pointee.client, client.pointee.flags.contains(.holdsBack),
            self.mustFallBack(client, server, message)
        {
            return .refused
        }
        return verdict == .forward ? .forward : .drop
    }
}
