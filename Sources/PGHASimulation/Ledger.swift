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
    /// The one history that all acknowledged commits are in, up to the last of them.
    var line: [WALRecord] = []
    /// Every rule that the store ever held.
    var rules: [Rule] = []
    /// Per server: how many of `acks` were already found in its WAL. Reset when its WAL is replaced.
    var verified = [Int](repeating: 0, count: Place.limit)
    var failovers = 0
    var failoverTimes: [Int64] = []
    /// An operator accepted data loss: what was promised before does not bind any more.
    var isForgiven = false
}

extension Simulation {
    /// A commit is acknowledged. It must be in one line with every acknowledged one, and held by N members of an
    /// open rule that this server leads. A server that leads no longer may tell late of a commit that was durable
    /// under its own rules, and that its successors have.
    func acknowledge(_ server: SimServer, _ index: Int) {
        let record = server.wal[index]
        self.ledger.acks.append(.init(time: self.now, server: server.index, index: index, id: record.id))
        guard !self.ledger.isForgiven else { return }
        let count = self.ledger.line.count
        if index < count {
            if self.ledger.line[index] != record {
                self.violate("\(server.name) acknowledges \(SimServer.lsn(index + 1)), where another server acknowledged other commits")
            }
        } else if count > 0, server.wal[count - 1] != self.ledger.line[count - 1] {
            self.violate(
                "\(server.name) acknowledges \(SimServer.lsn(index + 1)) and lacks what was acknowledged at "
                    + "\(SimServer.lsn(count))")
        } else {
            self.ledger.line += server.wal[count...index]
        }
        self.checkCopies(server, index)
    }

    private func checkCopies(_ server: SimServer, _ index: Int) {
        let record = server.wal[index]
        let holders = self.servers.filter { $0.wal.count > index && $0.wal[index] == record }.map(\.name)
        let open = self.store.state?.openRules ?? []
        let rules = open.contains { $0.leader == server.name } ? open : self.ledger.rules
        let isDurable = rules.contains { rule in
            rule.leader == server.name && holders.filter(rule.cohort.contains).count >= rule.copies
        }
        if !isDurable {
            self.violate(
                "\(server.name) acknowledges \(SimServer.lsn(index + 1)) held by "
                    + "\(holders.map(\.text).joined(separator: ",")) only: no open rule allows that "
                    + "(\(open.map { "\($0.number) \($0.leader) \($0.copies) of \($0.cohort)" }))")
        }
        guard let rule = self.store.state?.rule, rule.leader != server.name, !open.contains(where: { $0.leader == server.name }),
            let leader = self.servers.first(where: { $0.name == rule.leader })
        else { return }
        if leader.wal.count <= index || leader.wal[index] != record {
            self.violate("\(server.name) acknowledges \(SimServer.lsn(index + 1)), which the leader \(rule.leader) lacks")
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
        for rule in new.openRules where !self.ledger.rules.contains(rule) { self.ledger.rules.append(rule) }
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
