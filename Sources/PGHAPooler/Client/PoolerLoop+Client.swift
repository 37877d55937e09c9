internal import CPGHALoop
internal import PGHAWire

// What happens to a client's connection: accepted, reported ready, paused, resumed, closed.
extension PoolerLoop {
    mutating func acceptClients(_ listener: BoundListener) {
        // A turn's share; the listener is level-triggered and reports again.
        for _ in 0..<64 {
            let descriptor = pgha_accept(listener.descriptor)
            guard descriptor >= 0 else { return }
            guard self.clients.count < self.configuration.limits.maximumClients + Self.spareClients,
                let index = self.clients.take()
            else {
                Transport(descriptor).close()
                continue
            }
            let client = self.clients[index]
            client.initialize(
                to: Client(
                    transport: Transport(descriptor, isUnix: listener.isLocal), index: index,
                    generation: self.nextGeneration(),
                    role: listener.role, now: self.now,
                    connectedAt: UInt32(truncatingIfNeeded: pgha_wall_clock() / 1_000_000)))
            client.pointee.logIn = Unmanaged.passRetained(self.newLogIn(descriptor, listener))
            guard self.mayLogIn(client) else { continue }
            let token = Token(.client, index: index, generation: client.pointee.generation)
            guard pgha_epoll_add(self.epoll, descriptor, token.bits) == 0 else {
                self.dropClient(client)
                continue
            }
        }
    }

    /// Above the limit some are let in to be told why they are refused, and to cancel.
    static var spareClients: Int { 100 }

    @inline(__always) mutating func clientReady(_ client: ClientPointer, _ flags: UInt32) {
        if flags & UInt32(pgha_hung_up) != 0 { client.pointee.flags.insert(.hungUp) }
        if client.pointee.output != nil, flags & UInt32(pgha_writable) != 0 {
            guard self.drainOutput(of: client) else { return }
        }
        if flags & (UInt32(pgha_readable) | UInt32(pgha_hung_up)) != 0 {
            client.pointee.flags.insert(.unread)
            self.resume(client)
        } else if client.pointee.transport.tls != nil, client.pointee.phase == .loggingIn {
            // A handshake may wait for room to write.
            self.resume(client)
        }
    }

    /// Goes on with whatever the client can do now.
    mutating func resume(_ client: ClientPointer) {
        switch client.pointee.phase {
        case .idle:
            // With no server to be had now, the bytes are better left in the socket: nothing is copied. A client
            // that hung up is read at once, because it may be leaving.
            if self.mustWait(client), client.pointee.flags.isDisjoint(with: [.hungUp, .routed]) {
                self.enqueue(client)
            } else {
                self.pump(client)
            }
        case .active:
            if let server = client.pointee.server, server.pointee.flags.contains(.unread) { self.relay(server) }
            if client.pointee.phase == .active || client.pointee.phase == .idle { self.pump(client) }
        case .loggingIn: self.readLogIn(client)
        case .failed: self.pumpFailed(client)
        case .parked: if client.pointee.flags.contains(.hungUp) { self.leaveWhileWaiting(client) }
        case .resolving: if client.pointee.flags.contains(.hungUp) { self.leaveWhileWaiting(client) }
        case .waiting, .catchingUp:
            if client.pointee.flags.contains(.hungUp) { self.leaveWhileWaiting(client) }
        case .console: self.readConsole(client)
        case .committing:
            if let server = client.pointee.server, server.pointee.flags.contains(.unread) { self.relay(server) }
        case .attaching, .settling, .learning, .closing, .free: break
        }
    }

    /// A waiting client that closes its socket leaves the queue, once all it sent is read or it is gone for good.
    private mutating func leaveWhileWaiting(_ client: ClientPointer) {
        var byte: UInt8 = 0
        // With requests still unread it might be a client that only shut its sending side down.
        if client.pointee.held.isEmpty, client.pointee.transport.peek(&byte) > 0, byte != FrontendMessage.terminate {
            return
        }
        self.closeClient(client)
    }

    /// Sends what is pending; false when the client was closed on the way.
    private mutating func drainOutput(of client: ClientPointer) -> Bool {
        guard let output = client.pointee.output else { return true }
        switch output.pointee.send(to: client.pointee.transport) {
        case .blocked: return true
        case .failed:
            self.closeClient(client)
            return false
        case .drained:
            PendingOutput.free(output)
            client.pointee.output = nil
            self.watchRoom(client)
            if client.pointee.phase == .closing {
                self.discardInput(of: client)
                self.dropClient(client)
                return false
            }
            self.outputDrained(of: client)
            return client.pointee.phase != .free
        }
    }

    /// The server's replies were left unread meanwhile, and the client's own requests too.
    private mutating func outputDrained(of client: ClientPointer) {
        if let server = client.pointee.server, server.pointee.flags.contains(.unread) { self.relay(server) }
        guard client.pointee.phase != .free else { return }
        if client.pointee.flags.contains(.unread) { self.schedule(client) }
    }

    /// Sends what `out` holds to `client`; false when the client was closed on the way.
    @inline(__always) mutating func flush(to client: ClientPointer) -> Bool {
        switch self.out.flush(to: client.pointee.transport, pending: &client.pointee.output) {
        case .sent: return true
        case .blocked:
            self.watchRoom(client)
            return true
        case .failed:
            self.closeClient(client)
            return false
        }
    }

    // MARK: - The end

    /// Ends a client's session: what it holds is given back, what it left open is cleaned up.
    mutating func closeClient(_ client: ClientPointer) {
        self.leaveQueue(client)
        if let server = client.pointee.server { self.abandon(server, by: client) }
        if client.pointee.phase != .closing { self.forget(client) }
        self.dropClient(client)
    }

    /// Closes once pending output is sent. No more of its input is read.
    mutating func closeAfterOutput(_ client: ClientPointer) {
        guard client.pointee.output != nil else {
            self.discardInput(of: client)
            return self.closeClient(client)
        }
        self.leaveQueue(client)
        if let server = client.pointee.server { self.abandon(server, by: client) }
        self.forget(client)
        client.pointee.phase = .closing
        client.pointee.since = self.now
    }

    /// A socket that is closed with unread bytes in it resets the connection, and the client might never see the
    /// error that was sent.
    private mutating func discardInput(of client: ClientPointer) {
        var turns = 0
        while turns < Self.readsPerTurn,
            client.pointee.transport.receive(self.input + Self.frontRoom, Self.bufferSize) == Self.bufferSize
        {
            turns += 1
        }
    }

    private mutating func leaveQueue(_ client: ClientPointer) {
        if client.pointee.phase == .waiting { client.pointee.pool?.pointee.removeWaiting(client) }
        if client.pointee.phase == .catchingUp { self.reading.remove(client) }
    }

    /// Takes it out of its pool's count.
    private mutating func forget(_ client: ClientPointer) {
        if let pool = client.pointee.pool { pool.pointee.clientCount -= 1 }
    }

    /// Closes the socket and frees the place.
    mutating func dropClient(_ client: ClientPointer) {
        client.pointee.phase = .free
        client.pointee.transport.close()
        client.pointee.held.release()
        PendingOutput.free(client.pointee.output)
        self.endLogIn(client)
        self.releaseStatements(of: client)
        client.pointee.causal?.deallocate()
        self.parameterTable.release(client.pointee.parameters)
        self.clients.release(client.pointee.index)
    }

    /// Says why and closes.
    mutating func refuse(_ client: ClientPointer, _ state: SQLState, _ message: String) {
        self.out.removeAll()
        self.appendError(.fatal, state, message)
        if self.flush(to: client) { self.closeAfterOutput(client) }
    }

    /// Adds an ErrorResponse to `out`.
    mutating func appendError(_ severity: WireError.Severity, _ state: SQLState, _ message: String) {
        var buffer = WireBuffer()
        buffer.errorResponse(WireError(severity, state, message))
        self.append(buffer)
    }

    /// Adds a copy of `buffer` to `out`.
    mutating func append(_ buffer: borrowing WireBuffer) {
        guard let start = buffer.bytes.baseAddress else { return }
        self.out.appendCopy(start, buffer.count)
    }

    mutating func append(_ message: [UInt8]) {
        message.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { self.out.appendCopy(start, bytes.count) }
        }
    }
}
