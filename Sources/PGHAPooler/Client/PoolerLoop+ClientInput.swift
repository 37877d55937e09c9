internal import Glibc
internal import PGHAWire

// What a client sends, once it is logged in.
extension PoolerLoop {
    /// How often one connection is read in one turn before others get theirs.
    static var readsPerTurn: Int { 5 }

    /// Reads what the client has sent and passes it on, until there is no more or somebody has to wait.
    mutating func pump(_ client: ClientPointer) {
        for _ in 0..<Self.readsPerTurn {
            guard self.canRead(client) else { return }
            let isDrained: Bool
            switch self.receive(client) {
            case .bytes(let bytes, let isLast):
                isDrained = isLast
                self.take(client, bytes)
            case .held(var held, let isLast):
                isDrained = isLast
                self.take(client, UnsafeRawBufferPointer(start: held.base, count: Int(held.count)))
                held.release()
            case .nothing:
                client.pointee.flags.remove(.unread)
                return
            case .closed: return self.closeClient(client)
            }
            guard client.pointee.phase != .free else { return }
            if isDrained {
                client.pointee.flags.remove(.unread)
                return
            }
        }
        self.schedule(client)
    }

    /// Back-pressure: nothing is read from a client whose last requests or replies are still on their way.
    @inline(__always) private func canRead(_ client: ClientPointer) -> Bool {
        if client.pointee.output != nil { return false }
        // One that has gone is read to its end.
        if client.pointee.flags.intersection([.holdsBack, .hungUp]) == .holdsBack { return false }
        switch client.pointee.phase {
        case .idle: return true
        case .active: return client.pointee.server?.pointee.output == nil
        default: return false
        }
    }

    enum Received {
        /// In the loop's buffer. `isLast`: the socket is empty.
        case bytes(UnsafeRawBufferPointer, isLast: Bool)
        /// In memory of its own, which the caller releases.
        case held(HeldInput, isLast: Bool)
        case nothing
        case closed
    }

    /// What was held back and what the socket has, in one run.
    @inline(__always) mutating func receive(_ client: ClientPointer) -> Received {
        let base = self.input + Self.frontRoom
        if client.pointee.held.isEmpty {
            let count = client.pointee.transport.receive(base, Self.bufferSize)
            guard count > 0 else { return count == Transport.wouldBlock ? .nothing : .closed }
            // A full read may have left something, and so may a short one when the end of the stream is behind it.
            let isLast = count < Self.bufferSize && !client.pointee.flags.contains(.hungUp)
            return .bytes(UnsafeRawBufferPointer(start: base, count: count), isLast: isLast)
        }
        return self.receiveBehindHeld(client)
    }

    private mutating func receiveBehindHeld(_ client: ClientPointer) -> Received {
        var held = client.pointee.held
        // What was held for want of a server is complete; there may be nothing more to read.
        let wasWaiting = client.pointee.flags.contains(.heldWhole)
        client.pointee.flags.remove(.heldWhole)
        if held.count <= UInt32(Self.frontRoom), let start = held.base {
            let base = self.input + Self.frontRoom
            let received = client.pointee.transport.receive(base, Self.bufferSize)
            guard let count = self.usable(received, orHeld: wasWaiting) else { return Self.withoutBytes(received) }
            let front = base - Int(held.count)
            front.copyMemory(from: start, byteCount: Int(held.count))
            let run = UnsafeRawBufferPointer(start: front, count: Int(held.count) + count)
            client.pointee.held.release()
            return .bytes(run, isLast: count < Self.bufferSize && !client.pointee.flags.contains(.hungUp))
        }
        held.reserve(max(Int(held.count) * 2, Self.bufferSize))
        client.pointee.held = held
        let room = held.room
        guard let base = room.baseAddress else { return .closed }
        let received = client.pointee.transport.receive(base, room.count)
        guard let count = self.usable(received, orHeld: wasWaiting) else { return Self.withoutBytes(received) }
        held.grew(by: count)
        client.pointee.held = HeldInput()
        return .held(held, isLast: count < room.count && !client.pointee.flags.contains(.hungUp))
    }

    /// The number of new bytes; nil when there is nothing to go on with.
    private func usable(_ received: Int, orHeld isEnough: Bool) -> Int? {
        if received > 0 { return received }
        return received == Transport.wouldBlock && isEnough ? 0 : nil
    }

    private static func withoutBytes(_ received: Int) -> Received {
        received == Transport.wouldBlock ? .nothing : .closed
    }

    // MARK: - Messages

    enum Taken {
        /// Goes on as it came; what is still to come of it too.
        case forward
        /// Rewritten, answered or dropped; what is still to come of it is dropped or, when `forwardsRest`, sent on.
        case done
        /// Not yet: it and what follows is kept.
        case keep
        /// The client is closed.
        case closed
    }

    @inline(__always) private mutating func take(_ client: ClientPointer, _ bytes: UnsafeRawBufferPointer) {
        if client.pointee.flags.contains(.routed) { return self.takeRouted(client, bytes) }
        if self.configuration.resolvesCommits { return self.takeResolving(client, bytes) }
        self.walk(client, bytes)
    }

    /// Walks over a run of the client's messages. Neighbours that go on as they came are one span.
    mutating func walk(_ client: ClientPointer, _ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        var start = base
        var span = base
        let beginsWhole = client.pointee.rest == 0
        self.isWalking = true
        defer { self.isWalking = false }
        if client.pointee.rest > 0 {
            let skipped = min(Int(client.pointee.rest), bytes.count)
            client.pointee.rest -= UInt32(skipped)
            start += skipped
            if client.pointee.flags.contains(.dropsRest) { span = start }
        }
        var walk = MessageWalk(UnsafeRawBufferPointer(start: start, count: base + bytes.count - start))
        walking: while true {
            switch walk.next() {
            case .message(let message):
                switch self.takeMessage(client, message, &span) {
                case .forward:
                    client.pointee.flags.remove(.dropsRest)
                    client.pointee.rest = UInt32(message.totalCount - message.presentCount)
                case .done:
                    span = message.start + message.presentCount
                    client.pointee.rest = UInt32(message.totalCount - message.presentCount)
                case .keep:
                    self.out.append(span, message.start - span)
                    client.pointee.held.keep(walk.rest(from: message.start))
                    break walking
                case .closed: return
                }
            case .done:
                self.out.append(span, base + bytes.count - span)
                break walking
            case .partialHeader(let count):
                self.out.append(span, base + bytes.count - count - span)
                client.pointee.held.keep(walk.rest)
                break walking
            case .malformed: return self.refuse(client, .protocolViolation, "invalid message length")
            }
        }
        self.isWalking = false
        if let server = client.pointee.server {
            let isWhole = beginsWhole && client.pointee.rest == 0 && client.pointee.held.isEmpty
            server.pointee.first.sent(bytes, isWhole: isWhole)
            if !server.pointee.flags.isDisjoint(with: [.learns, .hasBegun]) { self.asksBeforeCommit(client, server) }
        }
        self.flushToServer(of: client)
    }

    /// Sends what `out` holds to the client's server.
    @inline(__always) mutating func flushToServer(of client: ClientPointer) {
        guard !self.out.isEmpty else { return }
        guard let server = client.pointee.server else { return self.out.removeAll() }
        server.pointee.pool.pointee.statistics.received &+= UInt64(self.out.count)
        if server.pointee.askedAt == 0 { server.pointee.askedAt = self.now }
        switch self.out.flush(to: server.pointee.transport, pending: &server.pointee.output) {
        case .sent: break
        case .blocked: self.watchRoom(server)
        case .failed(let error):
            if error == -Int(EPIPE) || error == -Int(ECONNRESET) { server.pointee.flags.insert(.wasReset) }
            self.serverBroke(server)
        }
    }

    /// `span` is where the bytes begin that go on as they came and are not in `out` yet.
    @inline(__always) private mutating func takeMessage(
        _ client: ClientPointer, _ message: MessageView, _ span: inout UnsafeRawPointer
    ) -> Taken {
        switch message.type {
        case FrontendMessage.query:
            // What can be had whole at a reasonable price is, so that its end is looked at too.
            if !message.isComplete, message.totalCount <= Self.bufferSize { return .keep }
            guard let server = self.serverReady(for: client) else { return .keep }
            let inspection = self.inspect(client, server, Self.queryText(message))
            if server.pointee.session.status != .idle, CommitTest.mayCommit(message.body) {
                server.pointee.flags.insert(.mayCommit)
                if self.configuration.resolvesCommits, case .nothing = inspection {
                    self.out.append(span, message.start - span)
                    span = message.start
                    self.askForTransaction(client, server, Self.queryText(message))
                }
            }
            server.pointee.pool.pointee.statistics.queries &+= 1
            if case .namesStatement = inspection { return self.takeNamedQuery(client, server, message, &span) }
            server.pointee.session.sent(Request(.query))
            if server.pointee.statements != nil { self.forgetUnnamed(server) }
            if case .replaced(let text) = inspection { return self.replace(client, message, text, &span) }
            return .forward
        case FrontendMessage.execute:
            guard let server = self.serverReady(for: client) else { return .keep }
            server.pointee.session.sent(Request(.execute))
            server.pointee.pool.pointee.statistics.queries &+= 1
            return .forward
        case FrontendMessage.sync:
            guard let server = self.serverReady(for: client) else { return .keep }
            server.pointee.session.sent(Request(.sync))
            return .forward
        case FrontendMessage.parse, FrontendMessage.bind, FrontendMessage.describe, FrontendMessage.close:
            return self.takeStatement(client, message, &span)
        default: return self.takeRare(client, message, span)
        }
    }

    /// Room of the loop's own in `out`; false when there cannot be so much, or the client lost its server.
    mutating func makeRoom(for count: Int, _ client: ClientPointer) -> Bool {
        guard self.out.isNearlyFull(for: count) else { return true }
        let server = client.pointee.server
        self.flushToServer(of: client)
        return client.pointee.server == server && !self.out.isNearlyFull(for: count)
    }

    /// Without the zero at its end.
    @inline(__always) static func queryText(_ message: MessageView) -> UnsafeRawBufferPointer {
        let body = message.body
        return UnsafeRawBufferPointer(start: body.baseAddress, count: max(body.count - (message.isComplete ? 1 : 0), 0))
    }
}
