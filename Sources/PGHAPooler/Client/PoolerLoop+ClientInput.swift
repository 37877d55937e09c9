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
        switch client.pointee.phase {
        case .idle: return true
        case .active: return client.pointee.server?.pointee.output == nil
        default: return false
        }
    }

    private enum Received {
        /// In the loop's buffer. `isLast`: the socket is empty.
        case bytes(UnsafeRawBufferPointer, isLast: Bool)
        /// In memory of its own, which the caller releases.
        case held(HeldInput, isLast: Bool)
        case nothing
        case closed
    }

    /// What was held back and what the socket has, in one run.
    @inline(__always) private mutating func receive(_ client: ClientPointer) -> Received {
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

    private enum Taken {
        /// Passed on, answered or dropped; what is still to come of it goes the same way.
        case done
        /// Not yet: it and what follows is kept.
        case keep
        /// The client is closed.
        case closed
    }

    /// Walks over a run of the client's messages.
    private mutating func take(_ client: ClientPointer, _ bytes: UnsafeRawBufferPointer) {
        var start = 0
        if client.pointee.rest > 0 {
            start = min(Int(client.pointee.rest), bytes.count)
            client.pointee.rest -= UInt32(start)
            if !client.pointee.flags.contains(.dropsRest), let base = bytes.baseAddress {
                self.out.append(base, start)
            }
        }
        var walk = MessageWalk(UnsafeRawBufferPointer(rebasing: bytes[start...]))
        walking: while true {
            let rest = walk.rest
            switch walk.next() {
            case .message(let message):
                switch self.takeMessage(client, message) {
                case .done:
                    client.pointee.rest = UInt32(message.totalCount - message.presentCount)
                case .keep:
                    client.pointee.held.keep(rest)
                    break walking
                case .closed: return
                }
            case .done: break walking
            case .partialHeader:
                client.pointee.held.keep(rest)
                break walking
            case .malformed: return self.refuse(client, .protocolViolation, "invalid message length")
            }
        }
        self.flushToServer(of: client)
    }

    /// Sends what `out` holds to the client's server.
    @inline(__always) private mutating func flushToServer(of client: ClientPointer) {
        guard !self.out.isEmpty else { return }
        guard let server = client.pointee.server else { return self.out.removeAll() }
        if let pool = client.pointee.pool { pool.pointee.statistics.received &+= UInt64(self.out.count) }
        switch self.out.flush(to: server.pointee.transport, pending: &server.pointee.output) {
        case .sent, .blocked: break
        case .failed: self.serverBroke(server)
        }
    }

    private mutating func takeMessage(_ client: ClientPointer, _ message: MessageView) -> Taken {
        client.pointee.flags.remove(.dropsRest)
        switch message.type {
        case FrontendMessage.query:
            guard let server = self.serverReady(for: client) else { return .keep }
            server.pointee.session.sent(Request(.query))
            if let pool = client.pointee.pool { pool.pointee.statistics.queries &+= 1 }
        case FrontendMessage.parse: return self.passOn(client, message, .parse)
        case FrontendMessage.bind: return self.passOn(client, message, .bind)
        case FrontendMessage.describe: return self.passOn(client, message, .describe)
        case FrontendMessage.execute:
            if let pool = client.pointee.pool { pool.pointee.statistics.queries &+= 1 }
            return self.passOn(client, message, .execute)
        case FrontendMessage.close: return self.passOn(client, message, .close)
        case FrontendMessage.sync: return self.passOn(client, message, .sync)
        case FrontendMessage.functionCall: return self.passOn(client, message, .functionCall)
        case FrontendMessage.flush:
            guard self.serverReady(for: client) != nil else { return .keep }
        case FrontendMessage.copyData, FrontendMessage.copyDone, FrontendMessage.copyFail:
            return self.takeCopy(client, message)
        case FrontendMessage.terminate:
            self.flushToServer(of: client)
            if client.pointee.phase != .free { self.closeClient(client) }
            return .closed
        default:
            self.refuse(client, .protocolViolation, "invalid frontend message type \(message.type)")
            return .closed
        }
        self.out.append(message.start, message.presentCount)
        return .done
    }

    private mutating func passOn(_ client: ClientPointer, _ message: MessageView, _ kind: Request.Kind) -> Taken {
        guard let server = self.serverReady(for: client) else { return .keep }
        server.pointee.session.sent(Request(kind))
        self.out.append(message.start, message.presentCount)
        return .done
    }

    /// Data that outlived its COPY (which failed) is dropped here as the server would drop it.
    private mutating func takeCopy(_ client: ClientPointer, _ message: MessageView) -> Taken {
        guard let server = client.pointee.server else {
            client.pointee.flags.insert(.dropsRest)
            return .done
        }
        if message.type != FrontendMessage.copyData { server.pointee.session.sent(Request(.copyEnd)) }
        self.out.append(message.start, message.presentCount)
        return .done
    }
}
