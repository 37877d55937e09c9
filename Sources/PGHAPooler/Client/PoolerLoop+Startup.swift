internal import CPGHALoop
internal import PGHACore
internal import PGHAWire

// A client from its first byte to its startup message: limits, encryption, what it asks for.
extension PoolerLoop {
    func newLogIn(_ descriptor: Int32, _ listener: BoundListener) -> LogIn {
        let peer = pgha_peer(descriptor)
        let address: IPAddress? =
            switch peer.version {
            case 4: IPAddress(v4: UInt32(truncatingIfNeeded: peer.low))
            case 6: IPAddress(v6: peer.high, peer.low)
            default: nil
            }
        return LogIn(address: address, offersTLS: self.security.clientTLS != nil && !listener.isLocal)
    }

    /// False when the client was closed because too many are logging in.
    mutating func mayLogIn(_ client: ClientPointer) -> Bool {
        guard let logIn = client.pointee.logIn?.takeUnretainedValue() else { return false }
        guard self.logInCount.add(logIn.address, self.configuration.limits) else {
            self.dropClient(client)
            return false
        }
        logIn.isCounted = true
        return true
    }

    /// The client is authenticated or gone.
    mutating func stopCounting(_ logIn: LogIn) {
        guard logIn.isCounted else { return }
        logIn.isCounted = false
        self.logInCount.remove(logIn.address)
    }

    mutating func endLogIn(_ client: ClientPointer) {
        guard let logIn = client.pointee.logIn?.takeRetainedValue() else { return }
        client.pointee.logIn = nil
        self.stopCounting(logIn)
    }

    mutating func readLogIn(_ client: ClientPointer) {
        guard let logIn = client.pointee.logIn?.takeUnretainedValue() else { return }
        client.pointee.flags.remove(.unread)
        while client.pointee.phase == .loggingIn {
            if logIn.mayBeDirectTLS {
                guard self.readFirstByte(client, logIn) else { return }
                continue
            }
            if logIn.step == .handshaking {
                guard self.shakeHands(client, logIn) else { return }
                continue
            }
            let base = self.input + Self.frontRoom
            // No more than a startup packet may have: what nobody has authenticated for costs no more memory.
            let count = client.pointee.transport.receive(base, Int(StartupParser.maximumLength))
            if count == Transport.wouldBlock { return }
            guard count > 0 else { return self.closeClient(client) }
            logIn.input.append(UnsafeRawBufferPointer(start: base, count: count))
            guard logIn.input.count <= 2 * Int(StartupParser.maximumLength) else { return self.closeClient(client) }
            self.advance(client, logIn)
            // A short read has emptied the socket, unless the end of the stream is behind it.
            let isDrained = count < StartupParser.maximumLength && !client.pointee.flags.contains(.hungUp)
            // What OpenSSL has to read next lies in the socket.
            if isDrained, logIn.step != .handshaking { return }
        }
    }

    mutating func advance(_ client: ClientPointer, _ logIn: LogIn) {
        switch logIn.step {
        case .startup: self.advanceStartup(client, logIn)
        case .authenticating: self.advanceAuthentication(client, logIn)
        // Whatever comes early is a request for later.
        case .handshaking, .lookingUp, .welcoming: break
        }
    }

    /// A TLS handshake is left in the socket, where OpenSSL reads it. False: wait, or the client is closed.
    private mutating func readFirstByte(_ client: ClientPointer, _ logIn: LogIn) -> Bool {
        var byte: UInt8 = 0
        let count = client.pointee.transport.peek(&byte)
        if count == Transport.wouldBlock { return false }
        guard count == 1 else {
            self.closeClient(client)
            return false
        }
        logIn.mayBeDirectTLS = false
        let (step, _) = withUnsafeBytes(of: byte) { logIn.policy.next($0) }
        if step == .acceptDirectTLS {
            logIn.isDirectTLS = true
            return self.beginTLS(client, logIn)
        }
        return true
    }

    private mutating func advanceStartup(_ client: ClientPointer, _ logIn: LogIn) {
        while client.pointee.phase == .loggingIn, logIn.step == .startup {
            let (step, consumed) = logIn.policy.next(logIn.input.bytes)
            logIn.input.removeFirst(consumed)
            switch step {
            case .needsMore: return
            case .acceptTLS:
                guard self.answer(client, UInt8(ascii: "S")), self.beginTLS(client, logIn) else { return }
            case .acceptDirectTLS: return self.closeClient(client)
            case .declineEncryption:
                guard self.answer(client, UInt8(ascii: "N")) else { return }
            case .cancel(let request):
                if let call = CancelCall(request) { self.takeCancelRequest(call) }
                return self.closeClient(client)
            case .logIn(let message):
                logIn.message = message
                self.takeStartup(client, logIn, message)
            case .refuse(let problem): return self.refuse(client, problem.sqlState, problem.message)
            }
        }
    }

    private mutating func answer(_ client: ClientPointer, _ byte: UInt8) -> Bool {
        var byte = byte
        self.out.removeAll()
        self.out.appendCopy(&byte, 1)
        return self.flush(to: client)
    }

    // MARK: - TLS

    /// False when the client was closed.
    private mutating func beginTLS(_ client: ClientPointer, _ logIn: LogIn) -> Bool {
        // Nothing may lie unsent or unread in the clear.
        guard client.pointee.output == nil, logIn.input.isEmpty, let context = self.security.clientTLS,
            client.pointee.transport.beginTLS(context, asServer: true)
        else {
            self.closeClient(client)
            return false
        }
        logIn.step = .handshaking
        return true
    }

    /// False: wait, or the client is closed.
    private mutating func shakeHands(_ client: ClientPointer, _ logIn: LogIn) -> Bool {
        switch client.pointee.transport.handshake() {
        case .wouldBlock: return false
        case .failed:
            // OpenSSL has sent its alert.
            self.closeClient(client)
            return false
        case .done:
            // Without it, a browser tricked into connecting could speak for its user (ALPACA).
            guard !logIn.isDirectTLS || client.pointee.transport.hasProtocolName else {
                self.closeClient(client)
                return false
            }
            logIn.policy.tlsEstablished()
            logIn.step = .startup
            return true
        }
    }

    // MARK: - What it asks for

    private mutating func takeStartup(_ client: ClientPointer, _ logIn: LogIn, _ message: StartupMessage) {
        let mode = self.configuration.clientTLS.mode
        if mode.isCompulsory, logIn.address != nil, !logIn.policy.isEncrypted {
            return self.refuse(client, .invalidAuthorization, "TLS is required: connect with sslmode=require")
        }
        if !self.configuration.authentication.allowsRiskySettings,
            let refusal = SettingRefusal(SettingRisk.of(message))
        {
            return self.refuse(client, refusal.error(.fatal))
        }
        if let negotiation = message.negotiation {
            // Ahead of every question about who it is, as PostgreSQL sends it.
            self.out.removeAll()
            var buffer = WireBuffer()
            buffer.negotiateProtocolVersion(negotiation)
            self.append(buffer)
            guard self.flush(to: client) else { return }
        }
        self.beginAuthentication(client, logIn, message)
    }

    mutating func refuse(_ client: ClientPointer, _ error: WireError) {
        self.out.removeAll()
        var buffer = WireBuffer()
        buffer.errorResponse(error)
        self.append(buffer)
        if self.flush(to: client) { self.closeAfterOutput(client) }
    }

    /// The client is who it says: into its pool, if there is room.
    mutating func authenticated(_ client: ClientPointer, _ logIn: LogIn, _ message: StartupMessage) {
        self.stopCounting(logIn)
        logIn.exchange = nil
        logIn.credential = nil
        self.admit(client, logIn, message)
    }
}
