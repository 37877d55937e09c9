import PGHACore

/// What was promised to clients, and the checks of the promises.
struct Ledger {
    struct Ack {
        var time: Int64
        var server: Int
        var index: Int
        var id: Int
    }

    var acks: [Ack] = []
    /// Per server: how many of `acks` were already found in its WAL. Reset when its WAL is replaced.
    var verified = [Int](repeating: 0, count: Place.limit)
    var failovers = 0
    var failoverTimes: [Int64] = []
    /// An operator accepted data loss: what was promised before does not bind any more.
    var isForgiven = false
}

extension Simulation {
    /// A commit is acknowledged. It must be in one line with every acknowledged one before it, and on N members of an
    /// open rule that this server leads.
    func acknowledge(_ server: SimServer, _ index: Int) {
        self.ledger.acks.append(
            .init(time: self.now, server: server.index, index: index, id: server.wal[index].id))
        guard !self.ledger.isForgiven else { return }
        if let lost = self.firstLost(on: server) {
            self.violate(
                "\(server.name) acknowledges although it lacks what n\(lost.server) acknowledged at "
                    + "\(SimServer.lsn(lost.index + 1))")
        }
        let holders = self.servers.filter { $0.wal.count > index && $0.wal[index].id == server.wal[index].id }
            .map(\.name)
        let rules = self.store.state?.openRules ?? []
        let isDurable = rules.contains { rule in
            rule.leader == server.name && holders.filter(rule.cohort.contains).count >= rule.copies
        }
        if !isDurable {
            self.violate(
                "\(server.name) acknowledges \(SimServer.lsn(index + 1)) held by "
                    + "\(holders.map(\.text).joined(separator: ",")) only: no open rule allows that "
                    + "(\(rules.map { "\($0.number) \($0.leader) \($0.copies) of \($0.cohort)" }))")
        }
    }

    /// The first acknowledged commit that `server` lacks.
    func firstLost(on server: SimServer) -> Ledger.Ack? {
        while self.ledger.verified[server.index] < self.ledger.acks.count {
            let ack = self.ledger.acks[self.ledger.verified[server.index]]
            guard ack.index < server.wal.count, server.wal[ack.index].id == ack.id else { return ack }
            self.ledger.verified[server.index] += 1
        }
        return nil
    }

    /// The store has taken a new state: a change of leader must not have lost anything, terms must grow.
    func stateChanged(from old: ClusterState?, to new: ClusterState) {
        if let old, new.term < old.term { self.violate("the term went back from \(old.term) to \(new.term)") }
        if let before = old?.rule, let after = new.rule, after.number < before.number {
            self.violate("the rule went back from \(before.number) to \(after.number)")
        }
        guard let rule = new.rule, rule.number.term != old?.rule?.number.term else { return }
        if old?.rule != nil { self.ledger.failovers += 1 }
        self.ledger.failoverTimes.append(self.now)
        guard !self.ledger.isForgiven, let leader = self.servers.first(where: { $0.name == rule.leader }) else { return }
        if let lost = self.firstLost(on: leader) {
            self.violate(
                "\(rule.leader) leads term \(rule.number.term) and lacks \(SimServer.lsn(lost.index + 1)), which "
                    + "n\(lost.server) acknowledged")
        }
    }

    /// The WAL of a server is about to be cut back or replaced.
    func willReplaceWAL(of server: SimServer, how: String) {
        self.ledger.verified[server.index] = 0
        guard server.exists, let state = self.store.state else { return }
        if let rule = state.openRules.first(where: { $0.cohort.contains(server.name) }) {
            self.violate("\(server.name) is \(how) although it is a member of the open rule \(rule.number)")
        }
    }
}
