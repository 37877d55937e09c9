internal import CPGHALoop
internal import PGHACore
internal import PGHAWire

// Cancel requests, from the client's to the server's.
extension PoolerLoop {
    func cancelAddress(of client: ClientPointer) -> CancelAddress {
        CancelAddress(
            process: self.localPoolers.number, loop: self.number, of: self.mailbox.peerCount,
            index: client.pointee.index, generation: client.pointee.generation)
    }

    /// What the client says to cancel: of a client that has one server to itself, the process is the server's own, as
    /// `pg_backend_pid()` has it.
    mutating func appendKey(of client: ClientPointer, isLong: Bool, to buffer: inout WireBuffer) {
        client.pointee.secret = SecretNumber.next()
        if isLong { client.pointee.flags.insert(.longKey) }
        let address = self.cancelAddress(of: client)
        let secret = client.pointee.secret
        buffer.backendKeyData(
            processID: client.pointee.server?.pointee.processID ?? address.number,
            key: isLong ? CancelCall.longKey(address, secret: secret) : CancelCall.shortKey(secret: secret))
    }

    /// A request may come in at any loop of any pooler of the cluster.
    mutating func takeCancelRequest(_ call: CancelCall) {
        if self.cancel(call) { return }
        let isBySession = self.configuration.mode == .session && !call.isLong
        for loop in 0..<self.mailbox.peerCount where loop != self.number {
            if isBySession || self.isMeant(call, loop: loop) { self.mailbox.postToPeer(loop, .cancel(call)) }
        }
        guard call.origin != .process else { return }
        if isBySession {
            self.localPoolers.sendToAll(call.request)
        } else {
            self.localPoolers.send(call.request, to: call.address.process)
        }
        if call.origin == .client { self.forwardToHosts(call) }
    }

    /// Cancels what the client's present server does; without one there is nothing to cancel. False: nobody here has
    /// this key.
    @discardableResult mutating func cancel(_ call: CancelCall) -> Bool {
        guard let client = self.client(of: call) else { return false }
        guard client.pointee.isServed, let server = client.pointee.server, server.pointee.session.isBusy
        else { return true }
        self.cancelQuery(of: server)
        return true
    }

    private func isMeant(_ call: CancelCall, loop: Int) -> Bool {
        call.address.process == self.localPoolers.number && call.address.loop(of: self.mailbox.peerCount) == loop
    }

    private func client(of call: CancelCall) -> ClientPointer? {
        if self.isMeant(call, loop: self.number) {
            for index in call.address.places(below: self.clients.highWater) where self.hasKey(self.clients[index], call)
            {
                return self.clients[index]
            }
        }
        guard !call.isLong else { return nil }
        for index in 0..<self.servers.highWater where self.servers[index].pointee.processID == call.processID {
            if let client = self.servers[index].pointee.client, client.pointee.pinReason == .sessionMode,
                self.servers[index].pointee.phase == .busy, self.hasKey(client, call)
            {
                return client
            }
        }
        return nil
    }

    private func hasKey(_ client: ClientPointer, _ call: CancelCall) -> Bool {
        switch client.pointee.phase {
        case .free, .loggingIn, .console: return false
        default: break
        }
        guard client.pointee.secret == call.secret, client.pointee.flags.contains(.longKey) == call.isLong else {
            return false
        }
        return !call.isLong || call.hasSeal
    }

    // MARK: - To the server

    /// Opens a connection that carries the request. Until it is through, nobody else gets the server: the request
    /// might arrive late and hit the next query.
    mutating func cancelQuery(of server: ServerPointer) {
        guard let node = self.node(of: server.pointee.pool), let key = server.pointee.key?.takeUnretainedValue(),
            !self.isOutdated(server)
        else { return }
        if self.mayBeCommitting(server) { return self.guardedCancel(of: server) }
        // Nobody is asked who sends a cancel request; it goes the way that the connection went.
        var target = self.target(node, user: "", database: "", overSocket: server.pointee.transport.isUnix)
        let descriptor = pgha_connect(target.address, node.port)
        guard descriptor >= 0 else { return }
        guard let index = self.servers.take() else { return Transport(descriptor).close() }
        let canceller = self.servers[index]
        canceller.initialize(
            to: Server(
                transport: Transport(descriptor), index: index, generation: self.nextGeneration(),
                pool: server.pointee.pool, term: server.pointee.term, now: self.now, expiresAt: UInt64.max))
        canceller.pointee.phase = .cancelling
        canceller.pointee.node = server.pointee.node
        // Encrypted as its own connection is: the key would let anybody cancel.
        target.cancels = CancelRequest(processID: server.pointee.processID, key: key.bytes)
        canceller.pointee.logIn = Unmanaged.passRetained(ServerLogIn(target, proof: ServerProof()))
        canceller.pointee.target = Token(.server, index: server.pointee.index, generation: server.pointee.generation)
        server.pointee.cancels += 1
        let token = Token(.server, index: index, generation: canceller.pointee.generation)
        if pgha_epoll_add(self.epoll, descriptor, token.bits) != 0 { self.endCancel(canceller) }
    }

    /// Connected: shakes hands and sends the request. The server answers by closing, when the signal has been sent.
    mutating func advanceCancel(_ canceller: ServerPointer) {
        guard let logIn = canceller.pointee.logIn?.takeUnretainedValue() else { return self.endCancel(canceller) }
        if !canceller.pointee.flags.contains(.unread) {
            guard pgha_socket_error(canceller.pointee.transport.descriptor) == 0 else {
                return self.endCancel(canceller)
            }
            canceller.pointee.flags.insert(.unread)
            self.out.removeAll()
            logIn.begin(&self.out)
            self.flush(to: canceller)
        }
        while canceller.pointee.phase == .cancelling {
            self.out.removeAll()
            let outcome = logIn.proceed(
                &canceller.pointee.transport, self.input + Self.frontRoom, Self.bufferSize, &self.out)
            if !self.out.isEmpty { self.flush(to: canceller) }
            guard canceller.pointee.phase == .cancelling else { return }
            switch outcome {
            case .more: continue
            case .blocked: return
            case .refused, .keysOutdated, .broken, .ready: return self.endCancel(canceller)
            }
        }
    }

    /// The request has arrived or failed: the server may go on to others.
    mutating func endCancel(_ canceller: ServerPointer) {
        let target = canceller.pointee.target
        self.dropServer(canceller)
        let server = self.servers[target.index]
        guard server.pointee.phase != .free, server.pointee.generation == target.generation else { return }
        self.cancelIsThrough(server)
    }

    mutating func cancelIsThrough(_ server: ServerPointer) {
        server.pointee.cancels -= 1
        if server.pointee.cancels == 0, server.pointee.phase == .cleaning, server.pointee.session.isReleasable {
            self.giveBack(server)
        }
    }
}
