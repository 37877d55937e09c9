internal import CPGHALoop
internal import PGHACore
internal import PGHAWire

// Sessions of the pooler's own that ask servers for positions: one on each, opened when somebody needs it, in the name
// of the pool that does.
extension PoolerLoop {
    /// A server that does not say where it is within this time is not waited for. 1 s, as long as after a failure.
    private static var patience: UInt64 { 1_000_000_000 }

    /// The probe of `node`; nil while there is none that is ready, and then one is on its way.
    mutating func probe(_ node: PoolTopology.Node) -> PositionProbe? {
        if let probe = self.reading.probes.first(where: { $0.node == node.name }) {
            return probe.isFree ? probe : nil
        }
        guard let demander = self.reading.demander, self.now >= self.reading.pausedUntil[node.name] ?? 0 else {
            return nil
        }
        let key = demander.pointee.key
        var target = self.target(node, user: key.user, database: key.database)
        let descriptor = pgha_connect(target.address, node.port)
        guard descriptor >= 0 else {
            self.pause(node.name)
            return nil
        }
        self.reading.generation = (self.reading.generation &+ 1) & 0xFF_FFFF
        // No default of the role or the database may keep a standby from answering.
        target.parameters = [
            .init("application_name", "pgha pooler"), .init("default_transaction_isolation", "read committed"),
        ]
        let logIn = ServerLogIn(target, proof: self.proof(for: key.user))
        let probe = PositionProbe(
            node.name, Transport(descriptor), logIn, generation: self.reading.generation, now: self.now)
        self.reading.probes.append(probe)
        let token = Token(.probe, index: 0, generation: probe.generation)
        if pgha_epoll_add(self.epoll, descriptor, token.bits) != 0 { self.probeFailed(probe) }
        return nil
    }

    mutating func ask(_ probe: PositionProbe) {
        self.out.removeAll()
        probe.ask(&self.out, now: self.now)
        self.flushProbe(probe)
    }

    private mutating func flushProbe(_ probe: PositionProbe) {
        guard !self.out.isEmpty else { return }
        if case .failed = self.out.flush(to: probe.transport, pending: &probe.output) { self.probeFailed(probe) }
    }

    private func isOpen(_ probe: PositionProbe) -> Bool { self.reading.probes.contains { $0 === probe } }

    // MARK: - Reports

    mutating func probeReady(_ token: Token) {
        guard let probe = self.reading.probes.first(where: { $0.generation == token.generation }) else { return }
        if let output = probe.output {
            guard case .drained = output.pointee.send(to: probe.transport) else { return }
            PendingOutput.free(output)
            probe.output = nil
        }
        if case .connecting = probe.phase {
            guard pgha_socket_error(probe.transport.descriptor) == 0 else { return self.probeFailed(probe) }
            probe.phase = .loggingIn
            self.out.removeAll()
            probe.logIn.begin(&self.out)
            self.flushProbe(probe)
        }
        while self.isOpen(probe) {
            if case .loggingIn = probe.phase {
                guard self.logIn(probe) else { return }
                continue
            }
            switch probe.read(self.input + Self.frontRoom, Self.bufferSize) {
            case .more: continue
            case .blocked: return
            case .broken: self.probeFailed(probe)
            case .answered(let answer): self.take(answer, of: probe)
            }
        }
    }

    /// False: it waits for the server.
    private mutating func logIn(_ probe: PositionProbe) -> Bool {
        self.out.removeAll()
        let outcome = probe.logIn.proceed(
            &probe.transport, self.input + Self.frontRoom, Self.bufferSize, &self.out)
        self.flushProbe(probe)
        switch outcome {
        case .more: return true
        case .blocked: return false
        case .refused(let error):
            // The next one goes over TCP.
            _ = self.avoidsSocket(probe.logIn, after: error)
            self.probeFailed(probe)
            return false
        case .broken, .keysOutdated:
            self.probeFailed(probe)
            return false
        case .ready:
            probe.phase = .idle
            probe.since = self.now
            self.reading.wakeAt = self.now
            return true
        }
    }

    private mutating func take(_ answer: PositionProbe.Answer, of probe: PositionProbe) {
        let number = probe.sample
        probe.sample = 0
        let isLeader = self.topology.leader?.name == probe.node
        // It is not what it was asked as: a promotion that the topology has not told of yet, or none any more.
        guard isLeader != answer.isStandby, isLeader == (number > 0) else { return self.probeFailed(probe) }
        if isLeader {
            self.reading.book.answered(number, answer.position)
        } else {
            self.reading.book.replayed(probe.node, answer.position)
        }
        if self.reading.first != nil { self.reading.wakeAt = self.now }
    }

    // MARK: - The end

    private mutating func pause(_ node: NodeName) { self.reading.pausedUntil[node] = self.now + Self.patience }

    private mutating func probeFailed(_ probe: PositionProbe) {
        self.close(probe)
        self.reading.book.forget(probe.node)
        self.pause(probe.node)
    }

    mutating func close(_ probe: PositionProbe) {
        guard self.isOpen(probe) else { return }
        self.reading.probes.removeAll { $0 === probe }
        probe.transport.close()
    }

    mutating func closeProbes() { for probe in self.reading.probes { self.close(probe) } }

    /// Those that do not answer are given up, those that nobody has needed for long are closed.
    mutating func check(_ probe: PositionProbe) {
        let age = self.now &- probe.since
        if !probe.isFree, age > Self.patience { return self.probeFailed(probe) }
        if probe.isFree, self.limits.serverIdle > 0, age > self.limits.serverIdle { self.close(probe) }
    }
}
