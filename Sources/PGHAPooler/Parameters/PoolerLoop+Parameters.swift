internal import PGHAWire

// Sessions keep their settings while their servers change.
extension PoolerLoop {
    /// Before the client's first byte: the server is told the settings in which it differs.
    mutating func replayParameters(of client: ClientPointer, on server: ServerPointer) {
        guard let wanted = client.pointee.parameters?.takeUnretainedValue(),
            let present = server.pointee.parameters?.takeUnretainedValue()
        else { return }
        let replay = Replay(from: present.settings, to: wanted.settings)
        server.pointee.replay?.release()
        server.pointee.replay = Unmanaged.passRetained(replay)
        server.pointee.flags.remove(.cleaningFailed)
        // What the client sent lies in the buffer that `out` may point to: nothing of it was added yet.
        self.out.removeAll()
        var buffer = WireBuffer()
        buffer.message(FrontendMessage.query) { buffer in
            buffer.append(replay.text)
            buffer.append(UInt8(0))
        }
        guard buffer.count < Outgoing.largestOwn else {
            return self.refuse(client, .internalError, "the session's settings are too long")
        }
        self.append(buffer)
        server.pointee.session.sent(Request(.injectedQuery))
        self.forgetUnnamed(server)
        self.flush(to: server)
    }

    /// The server has the client's settings now, or refused them; then it is not trusted any more.
    mutating func replayEnded(_ client: ClientPointer, _ server: ServerPointer) {
        let replay = server.pointee.replay?.takeRetainedValue()
        server.pointee.replay = nil
        guard !server.pointee.flags.contains(.cleaningFailed), server.pointee.session.isReleasable,
            let result = replay?.result
        else { return self.replayFailed(client, server) }
        self.parameterTable.release(server.pointee.parameters)
        server.pointee.parameters = self.parameterTable.retain(result)
        // From now on the client's settings are spelled as the server spells them, and compare equal.
        let old = client.pointee.parameters
        client.pointee.parameters = self.parameterTable.retain(result)
        if client.pointee.logIn != nil {
            self.finishLogInKeeping(old, client)
        } else {
            self.parameterTable.release(old)
            client.pointee.phase = .active
            server.pointee.first.begin()
            self.pumpAttached(client, server)
        }
    }

    private mutating func finishLogInKeeping(_ wanted: Unmanaged<ParameterSet>?, _ client: ClientPointer) {
        self.finishLogIn(client)
        self.parameterTable.release(wanted)
    }

    private mutating func replayFailed(_ client: ClientPointer, _ server: ServerPointer) {
        server.pointee.client = nil
        client.pointee.server = nil
        self.dropServer(server)
        let state: SQLState = client.pointee.logIn == nil ? .connectionFailure : .invalidParameterValue
        self.refuse(client, state, "the server refused this session's parameters")
    }

    /// Goes on with what the client had sent before its server was ready for it.
    mutating func pumpAttached(_ client: ClientPointer, _ server: ServerPointer) {
        self.out.removeAll()
        self.pump(client)
        if client.pointee.phase == .active, client.pointee.server == server { self.detachIfUnused(client, server) }
    }

    /// A setting has changed on the server: by the client's own SET, or by a reload.
    mutating func takeParameterStatus(_ server: ServerPointer, _ message: MessageView) -> ServerTaken {
        guard message.isComplete else { return message.totalCount <= Self.frontRoom ? .keep : .broken }
        guard let report = ParameterStatusView(message.body) else { return .broken }
        let name = WireText(report.name.map(ParameterName.lowercased))
        // A server that was connected to before its promotion says so in the middle of its first transaction.
        if name == Greeting.inHotStandby { return .drop }
        let isShown = server.pointee.client?.pointee.isServed ?? false
        if !ServerLogIn.isFixed(name), let set = server.pointee.parameters?.takeUnretainedValue() {
            let value = WireText(report.value)
            let changed = self.parameterTable.retain(set.settings(replacing: name, by: value))
            self.parameterTable.release(server.pointee.parameters)
            server.pointee.parameters = changed
            if isShown, let client = server.pointee.client,
                let own = client.pointee.parameters?.takeUnretainedValue()
            {
                client.pointee.parameters = self.parameterTable.retain(own.settings(replacing: name, by: value))
                self.parameterTable.release(Unmanaged.passUnretained(own))
            }
        }
        return isShown ? .forward : .drop
    }

    /// The first server of a pool, or a later one, says what sessions look like.
    mutating func setWelcome(of pool: PoolPointer, _ logIn: ServerLogIn) {
        if let known = pool.pointee.welcome {
            guard known.takeUnretainedValue().reported != logIn.reported else { return }
            self.releaseWelcome(of: pool)
        }
        let base = self.parameterTable.retain(logIn.sessionSettings).takeUnretainedValue()
        pool.pointee.welcome = Unmanaged.passRetained(Welcome(reported: logIn.reported, base: base))
    }

    private mutating func releaseWelcome(of pool: PoolPointer) {
        guard let welcome = pool.pointee.welcome else { return }
        self.parameterTable.release(Unmanaged.passUnretained(welcome.takeUnretainedValue().base))
        welcome.release()
        pool.pointee.welcome = nil
    }
}
