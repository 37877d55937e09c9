internal import CPGHALoop
internal import PGHACore
internal import PGHAWire

// Sessions of the pooler's own on the leader: opened, logged in, asked, closed.
extension PoolerLoop {
    /// Asks the leader as a user of `pool`. Nil: no connection can be opened.
    @discardableResult
    mutating func askLeader(_ purpose: SideSession.Purpose, _ question: String, as key: PoolKey) -> SideSession? {
        guard let node = self.topology.leader else { return nil }
        var target = self.target(node, user: key.user, database: key.database)
        let descriptor = pgha_connect(target.address, node.port)
        guard descriptor >= 0 else { return nil }
        target.parameters = SideSession.settings
        let side = SideSession(
            purpose, question, Transport(descriptor), ServerLogIn(target, proof: self.proof(for: key.user)),
            term: self.topology.term.number, now: self.now)
        self.sideNumber &+= 1
        self.sides[self.sideNumber] = side
        guard pgha_epoll_add(self.epoll, descriptor, Token(.side, index: self.sideNumber).bits) == 0 else {
            self.sides[self.sideNumber] = nil
            side.transport.close()
            return nil
        }
        return side
    }

    mutating func sideReady(_ token: Token) {
        guard let side = self.sides[token.index] else { return }
        if let output = side.output {
            guard case .drained = output.pointee.send(to: side.transport) else { return }
            PendingOutput.free(output)
            side.output = nil
        }
        if case .connecting = side.phase {
            guard pgha_socket_error(side.transport.descriptor) == 0 else { return self.sideEnded(token.index, .broken) }
            side.phase = .loggingIn
            self.out.removeAll()
            side.logIn.begin(&self.out)
            guard self.flush(to: side) else { return self.sideEnded(token.index, .broken) }
        }
        if case .loggingIn = side.phase, !self.logIn(side, token.index) { return }
        self.readSide(side, token.index)
    }

    private mutating func flush(to side: SideSession) -> Bool {
        if case .failed = self.out.flush(to: side.transport, pending: &side.output) { return false }
        return true
    }

    /// True once the question was sent.
    private mutating func logIn(_ side: SideSession, _ number: UInt32) -> Bool {
        while true {
            self.out.removeAll()
            let outcome = side.logIn.proceed(
                &side.transport, self.input + Self.frontRoom, Self.bufferSize, &self.out)
            if !self.out.isEmpty, !self.flush(to: side) {
                self.sideEnded(number, .broken)
                return false
            }
            switch outcome {
            case .more: continue
            case .blocked: return false
            case .broken, .keysOutdated: self.sideEnded(number, .broken)
            case .refused(let error):
                // Whoever asks again, asks over TCP.
                _ = self.avoidsSocket(side.logIn, after: error)
                let state = error.dropFirst(5).withUnsafeBytes { ErrorView($0)?.state }
                self.sideEnded(number, .failed(state))
            case .ready:
                // It was named as the leader and is none (any more).
                guard !side.logIn.isStandby else {
                    self.sideEnded(number, .broken)
                    return false
                }
                self.ask(side)
                return true
            }
            return false
        }
    }

    mutating func ask(_ side: SideSession) {
        self.out.removeAll()
        side.ask(&self.out, now: self.now)
        // A failure shows as the end of the stream.
        _ = self.flush(to: side)
    }

    private mutating func readSide(_ side: SideSession, _ number: UInt32) {
        switch side.read(self.input + Self.frontRoom, Self.bufferSize) {
        case .blocked: return
        case let answer: self.sideEnded(number, answer)
        }
    }

    /// Its question is answered, or never will be.
    private mutating func sideEnded(_ number: UInt32, _ answer: SideSession.Answer) {
        guard let side = self.sides[number] else { return }
        let isKept: Bool
        switch side.purpose {
        case .cancel(let server, _): isKept = self.cancelAnswered(side, server, answer)
        case .outcome(let client):
            self.outcomeAnswered(client, answer)
            isKept = false
        }
        if !isKept { self.closeSide(number) }
    }

    mutating func closeSide(_ number: UInt32) {
        guard let side = self.sides.removeValue(forKey: number) else { return }
        side.transport.close()
    }

    /// Part of every tick.
    mutating func checkSides() {
        guard !self.sides.isEmpty else { return }
        for (number, side) in self.sides {
            switch side.phase {
            case .connecting, .loggingIn:
                guard self.limits.serverConnect > 0, self.now &- side.since > self.limits.serverConnect else {
                    continue
                }
                self.sideEnded(number, .broken)
            case .idle: if case .cancel = side.purpose { self.ask(side) }
            case .asking: break
            }
        }
    }

    mutating func closeSides() {
        for side in self.sides.values { side.transport.close() }
        self.sides = [:]
    }
}
