internal import CPGHALoop
internal import PGHACore
internal import PGHAWire

// Cancel requests, from the client's to the server's.
extension PoolerLoop {
    /// The first half of a client's cancel key: which loop, which place.
    func keyNumber(of client: ClientPointer) -> UInt32 { UInt32(self.number) << 24 | client.pointee.index }

    /// A request may come in at any loop; its key names the one whose client is meant.
    mutating func takeCancelRequest(_ request: CancelRequest) {
        guard request.key.count == 4 else { return }
        let secret = request.key.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let loop = Int(request.processID >> 24)
        let index = request.processID & 0xFF_FFFF
        if loop == self.number { return self.cancel(client: index, secret: secret) }
        self.mailbox.postToPeer(loop, .cancel(client: index, secret: secret))
    }

    /// Cancels what the client's present server does; without one there is nothing to cancel.
    mutating func cancel(client index: UInt32, secret: UInt32) {
        guard index < self.clients.highWater else { return }
        let client = self.clients[index]
        guard client.pointee.phase == .active, client.pointee.secret == secret, let server = client.pointee.server,
            server.pointee.session.isBusy
        else { return }
        self.cancelQuery(of: server)
    }

    /// Opens a connection that carries the request. Until it is through, nobody else gets the server: the request
    /// might arrive late and hit the next query.
    mutating func cancelQuery(of server: ServerPointer) {
        guard let node = self.node(of: server.pointee.pool), let key = server.pointee.key?.takeUnretainedValue(),
            server.pointee.term == self.topology.term.number
        else { return }
        if self.mayBeCommitting(server) { return self.guardedCancel(of: server) }
        let descriptor = pgha_connect(node.host, node.port)
        guard descriptor >= 0 else { return }
        guard let index = self.servers.take() else { return Transport(descriptor).close() }
        let canceller = self.servers[index]
        canceller.initialize(
            to: Server(
                transport: Transport(descriptor), index: index, generation: self.nextGeneration(),
                pool: server.pointee.pool, term: server.pointee.term, now: self.now, expiresAt: UInt64.max))
        canceller.pointee.phase = .cancelling
        canceller.pointee.node = server.pointee.node
        canceller.pointee.key = Unmanaged.passRetained(key)
        canceller.pointee.processID = server.pointee.processID
        canceller.pointee.target = Token(.server, index: server.pointee.index, generation: server.pointee.generation)
        server.pointee.cancels += 1
        let token = Token(.server, index: index, generation: canceller.pointee.generation)
        if pgha_epoll_add(self.epoll, descriptor, token.bits) != 0 { self.endCancel(canceller) }
    }

    /// Connected: sends the request. The server answers by closing, when the signal has been sent.
    mutating func advanceCancel(_ canceller: ServerPointer) {
        if !canceller.pointee.flags.contains(.unread) {
            guard pgha_socket_error(canceller.pointee.transport.descriptor) == 0,
                let key = canceller.pointee.key?.takeUnretainedValue()
            else { return self.endCancel(canceller) }
            canceller.pointee.flags.insert(.unread)
            var buffer = WireBuffer()
            buffer.cancelRequest(CancelRequest(processID: canceller.pointee.processID, key: key.bytes))
            self.out.removeAll()
            self.append(buffer)
            if case .failed = self.out.flush(to: canceller.pointee.transport, pending: &canceller.pointee.output) {
                return self.endCancel(canceller)
            }
        }
        var byte: UInt8 = 0
        if canceller.pointee.transport.peek(&byte) != Transport.wouldBlock { self.endCancel(canceller) }
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
