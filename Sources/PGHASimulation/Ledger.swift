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
    var acknowledged = 0
    /// Acknowledged commits that were lost as announced. Mode `async` only.
    var lost = 0
    /// Every rule that became the current one, in words.
    var confirmed: [String] = []
    /// When the last commit was acknowledged. Microseconds.
    var lastAck: Int64?
    /// The rows of `pgha.term_history`, by the id of their record.
    var rows: [Int: TermHistoryRow] = [:]
    /// An old copy of the store was put back, and the store was not made again since.
    var storeIsOld = false
    var storeWasMadeAgain = false
    /// The spec before that.
    var newestSpec: ClusterSpec?
    /// From this term on promises bind; what older terms promised was given up by an operator.
    var bindsFrom = Term.zero
    /// Per server: how much of its WAL its agent has saved before replacing it. A count of records.
    var saved = [Int](repeating: 0, count: Place.limit)
    /// Per term: when its controller chose the leader, and what it then announced as lost. Mode `async` only.
    var choices: [Term: (at: Int64, loss: PossibleLoss?)] = [:]

    /// An operator accepted data loss.
    mutating func forgive(before term: Term) {
        self.bindsFrom = term
        self.acks = []
        self.line = []
        self.verified = [Int](repeating: 0, count: Place.limit)
    }
}

extension Simulation {
    /// A commit is acknowledged. It must be in one line with every acknowledged one, and held by N members of an
    /// open rule that this server leads. A server that leads no longer may tell late of a commit that was durable
    /// under its own rules, and that its successors have.
    func acknowledge(_ server: SimServer, _ index: Int) {
        let record = server.wal[index]
        guard self.isBound(server), !self.isThawing(server), self.mayAcknowledgeAlone(server, index) else { return }
        self.ledger.lastAck = self.now
        self.ledger.acknowledged += 1
        self.ledger.acks.append(.init(time: self.now, server: server.index, index: index, id: record.id))
        let count = self.ledger.line.count
        if index < count {
            if self.ledger.line[index] != record {
                self.violate(
                    "\(server.name) acknowledges \(SimServer.lsn(index + 1)), where another server acknowledged other commits"
                )
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

    /// Whether the server leads by a rule that still binds; after data loss was accepted, one of an older term does not.
    private func isBound(_ server: SimServer) -> Bool {
        self.ledger.bindsFrom == .zero
            || self.ledger.rules.contains {
                $0.leader == server.name && $0.number.term >= self.ledger.bindsFrom
                    && $0.claim == server.file.pledge?.claim
            }
    }

    private func checkCopies(_ server: SimServer, _ index: Int) {
        let record = server.wal[index]
        let holders = self.servers.filter { $0.wal.count > index && $0.wal[index] == record }.map(\.name)
        let open = self.store.state?.openRules ?? []
        let rules = !self.ledger.storeIsOld && open.contains { $0.leader == server.name } ? open : self.ledger.rules
        let isDurable = rules.contains { rule in
            rule.leader == server.name && holders.filter(rule.cohort.contains).count >= rule.copies
        }
        if !isDurable {
            self.violate(
                "\(server.name) acknowledges \(SimServer.lsn(index + 1)) held by "
                    + "\(holders.map(\.text).joined(separator: ",")) only: no open rule allows that "
                    + "(\(open.map { "\($0.number) \($0.leader) \($0.copies) of \($0.cohort)" }))")
        }
        guard !self.ledger.storeIsOld, let rule = self.store.state?.rule, rule.number.term >= self.ledger.bindsFrom,
            rule.leader != server.name, !open.contains(where: { $0.leader == server.name }),
            let leader = self.servers.first(where: { $0.name == rule.leader })
        else { return }
        if leader.wal.count <= index || leader.wal[index] != record {
            self.violate(
                "\(server.name) acknowledges \(SimServer.lsn(index + 1)), which the leader \(rule.leader) lacks")
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
        self.checkNumbers(from: old, to: new)
        for rule in new.openRules where !self.ledger.rules.contains(rule) { self.ledger.rules.append(rule) }
        if case .sealing(_, _, _, forced: true) = old?.procedure, case .promoting(let rule, _) = new.procedure {
            self.ledger.forgive(before: rule.number.term)
        }
        if case .promoting(let rule, _) = new.procedure, old?.procedure != new.procedure {
            self.settleLoss(rule, new)
        }
        self.fireArmed(from: old, to: new)
        for agent in self.agents { agent.follow(new.spec) }
        if let rule = new.rule, rule != old?.rule {
            self.ledger.confirmed.append(
                "\(rule.number) \(rule.leader): \(rule.copies) of \(rule.cohort.map(\.text).joined(separator: " "))")
        }
        guard let rule = new.rule, rule.number.term != old?.rule?.number.term else { return }
        if old?.rule != nil { self.ledger.failovers += 1 }
        self.ledger.failoverTimes.append(self.now)
        guard let leader = self.servers.first(where: { $0.name == rule.leader }) else { return }
        if let lost = self.firstLost(on: leader) {
            self.violate(
                "\(rule.leader) leads term \(rule.number.term) and lacks \(SimServer.lsn(lost.index + 1)), which "
                    + "n\(lost.server) acknowledged")
        }
    }

    /// Terms and versions grow, and no number is given to two rules.
    private func checkNumbers(from old: ClusterState?, to new: ClusterState) {
        if let old, new.term < old.term { self.violate("the term went back from \(old.term) to \(new.term)") }
        if let before = old?.rule, let after = new.rule, after.number < before.number, !self.ledger.storeIsOld {
            self.violate("the rule went back from \(before.number) to \(after.number)")
        }
        for rule in new.openRules {
            if let twin = self.ledger.rules.first(where: { $0.number == rule.number && $0.leader != rule.leader }) {
                self.violate("\(rule.number) is the number of two rules, led by \(twin.leader) and \(rule.leader)")
            }
        }
    }

    /// The WAL of a server is about to be cut back or replaced.
    func willReplaceWAL(of server: SimServer, how: String) {
        self.ledger.verified[server.index] = 0
        if server.exists, self.ledger.saved[server.index] < server.wal.count {
            self.violate("\(server.name) is \(how) before what only it holds was saved")
        }
        self.ledger.saved[server.index] = 0
        guard server.exists, let state = self.store.state, !self.ledger.storeIsOld else { return }
        if let rule = state.openRules.first(where: { $0.cohort.contains(server.name) }) {
            self.violate("\(server.name) is \(how) although it is a member of the open rule \(rule.number)")
        }
    }
}

extension Simulation {
    /// A server is started as a primary by its agent: only the leader of a rule under that rule's pledge, and below no
    /// newer one. An order may be late: a rule that was replaced since, unknown to a host that is cut off, is no mistake.
    func agentStartsPrimary(_ server: SimServer) {
        guard let pledge = server.file.pledge, !self.ledger.storeIsOld, self.store.state?.rule != nil else { return }
        let rules = self.ledger.rules
        if !rules.contains(where: {
            $0.leader == server.name && $0.claim == pledge.claim && $0.number >= pledge.number
        }) {
            self.violate("\(server.name) is started as a primary under pledge \(pledge.number), which no rule gives it")
        }
    }

    /// A controller begins to replace `leader` by itself. It must have had a reason.
    func failoverBegins(_ leader: NodeName, _ cause: LeaderHealth.Cause, by controller: SimController) {
        guard let server = self.servers.first(where: { $0.name == leader }) else { return }
        let hurt = max(self.trouble.hurt[server.index], self.trouble.everywhere)
        // A server may be starting for 10 s before it is replaced; everything else is decided within a few.
        let memory = cause == .stuckStarting ? Int64.s(15) : .s(6)
        let place = Place.node(server.index)
        let isHeard =
            !self.network.isCut(place, controller.place) && !self.network.isCut(controller.place, place)
            && self.network.slowness == 1
        if server.isPrimary, !server.isFrozen, isHeard, self.now - hurt > memory {
            self.violate("a needless failover: nothing has happened to \(leader) (\(cause.words))")
        }
        guard cause == .unreachable, server.isPrimary, self.network.slowness == 1,
            self.now - controller.heardAt(server.index) < .s(9)
        else {
            return
        }
        for standby in self.servers where standby.isStandby && !standby.isFrozen {
            guard let receiver = standby.receiver, receiver.isStreaming, receiver.upstream.leader == server.index,
                self.now - receiver.lastMessage < .ms(300), self.now - self.trouble.hurt[standby.index] > .s(5),
                self.now - self.trouble.everywhere > .s(5), self.now - controller.heardAt(standby.index) < .ms(300),
                self.now - controller.sawMove(standby.index) < .ms(800),
                self.store.state?.rule?.cohort.contains(standby.name) == true
            else { continue }
            self.violate("\(leader) is replaced although \(standby.name) is seen to receive from it")
        }
    }
}
