import PGHACore

/// Mode `async`: a change of leader may lose acknowledged commits, and never more than was announced before it.
extension Simulation {
    private var hasLeases: Bool { self.schedule.async != nil }

    /// A controller has chosen the leader of a term, and is about to write that down.
    func announced(_ state: ClusterState) {
        guard self.hasLeases, case .promoting(let rule, _) = state.procedure, rule.number.version == 1,
            self.ledger.choices[rule.number.term] == nil
        else { return }
        self.ledger.choices[rule.number.term] = (self.now, state.loss)
        let limit = UInt64(self.schedule.async?.maxLag ?? 0)
        let parts = state.loss?.parts.filter { $0.unseen > .zero } ?? []
        if let part = parts.first(where: { $0.bytes > limit }), self.coordinatorsForced(rule.number.term) == false {
            self.violate("\(rule.leader) is chosen although it lacks \(part.bytes) bytes, and the limit is \(limit)")
        }
    }

    private func coordinatorsForced(_ term: Term) -> Bool {
        self.controllers.contains { $0.coordinator?.forcedTerm == term }
    }

    /// A new leader is recorded: what it lacks of all that was acknowledged is lost now, and must have been announced.
    func settleLoss(_ rule: Rule, _ state: ClusterState) {
        guard self.hasLeases, let leader = self.servers.first(where: { $0.name == rule.leader }) else { return }
        let lost = self.ledger.acks.filter { !leader.holds($0) }
        guard !lost.isEmpty else { return }
        for ack in lost {
            let name = self.servers[ack.server].name
            let parts = state.loss?.parts ?? []
            // What a leader was seen with includes what those before it acknowledged.
            let end = SimServer.lsn(ack.index + 1)
            if parts.contains(where: { end.bytesAhead(of: $0.from) <= $0.bytes }) { continue }
            guard let choice = self.ledger.choices[rule.number.term],
                let part = parts.first(where: { $0.leader == name })
            else {
                self.violate(
                    "\(rule.leader) is chosen and lacks \(end), which \(name) acknowledged \((self.now - ack.time) / 1000) "
                        + "ms ago: that was not announced")
                return
            }
            let seenAt = choice.at - Self.microseconds(part.unseen)
            if part.unseen == .zero || ack.time < seenAt || ack.time > choice.at {
                self.violate(
                    "\(rule.leader) lacks \(end), which \(name) acknowledged "
                        + "\((choice.at - ack.time) / 1000) ms before the choice: more than the \(part.bytes) bytes and "
                        + "\(part.unseen.milliseconds) ms that were announced")
                return
            }
        }
        self.trace("loss", "\(lost.count) acknowledged commits, announced: \(state.loss?.words ?? "")")
        self.ledger.lost += lost.count
        self.ledger.acks.removeAll { !leader.holds($0) }
        self.ledger.verified = [Int](repeating: 0, count: Place.limit)
        while let last = self.ledger.line.last,
            leader.wal.count < self.ledger.line.count
                || leader.wal[self.ledger.line.count - 1] != last
        {
            self.ledger.line.removeLast()
        }
    }

    private static func microseconds(_ duration: Duration) -> Int64 {
        duration.components.seconds * 1_000_000 + duration.components.attoseconds / 1_000_000_000_000
    }

    /// A host that was frozen beyond its lease acknowledges until its agent has acted: a limit that the docs state.
    func isThawing(_ server: SimServer) -> Bool {
        guard self.hasLeases, self.now - server.thawedAt < .s(1) else { return false }
        return !self.agents[server.index].lease.isHeld
    }

    /// Once another leader is recorded, whoever acknowledged alone before must have stopped.
    func mayAcknowledgeAlone(_ server: SimServer, _ index: Int) -> Bool {
        guard self.hasLeases, !self.ledger.storeIsOld, let newest = self.store.state?.openRules.last,
            newest.leader != server.name, newest.lease != nil,
            let leader = self.servers.first(where: { $0.name == newest.leader })
        else { return true }
        if leader.wal.count > index, leader.wal[index] == server.wal[index] { return true }
        self.violate(
            "\(server.name) acknowledges \(SimServer.lsn(index + 1)) although \(newest.leader) was chosen: its lease should "
                + "be over")
        return false
    }
}

extension SimServer {
    fileprivate func holds(_ ack: Ledger.Ack) -> Bool {
        ack.index < self.wal.count && self.wal[ack.index].id == ack.id
    }
}
