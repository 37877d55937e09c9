import PGHACore

/// An order under way. Answered exactly once, at its time-out at the latest; what it began may go on after that.
final class SimOrder {
    let id: Int
    let controller: SimController
    let controllerLife: Int
    let reign: Int
    let node: Int
    let command: NodeCommand
    var isDone = false
    /// The server's life in which the session was opened.
    var session: Int?
    /// For a lease: the newest stamp of the node's agent that the controller had heard.
    var stamp: Moment?

    init(_ id: Int, _ controller: SimController, _ node: Int, _ command: NodeCommand) {
        self.id = id
        self.controller = controller
        self.controllerLife = controller.life
        self.reign = controller.reign
        self.node = node
        self.command = command
    }
}

extension Simulation {
    func execute(_ order: Effects.Order, for controller: SimController) {
        guard let node = self.servers.firstIndex(where: { $0.name == order.node }) else { return }
        let started = SimOrder(self.makeID(), controller, node, order.command)
        if !order.command.isPoll { self.trace("c\(controller.index)", "\(order.command.words) -> \(order.node)") }
        controller.later(order.command.timeLimit) { [unowned self] in
            self.finish(started, .failed(.unreachable("timed out")))
        }
        if case .lease = order.command {
            guard controller.leadsForSure else {
                controller.later(0) { [unowned self] in self.finish(started, .failed(.other("not surely leading"))) }
                return
            }
            started.stamp = controller.coordinator?.nodes[order.node]?.facts?.leaseStamp.map { Moment($0) }
        }
        if order.command.isForAgent { self.runByAgent(started) } else { self.runBySQL(started) }
    }

    func finish(_ order: SimOrder, _ outcome: NodeOutcome) {
        guard !order.isDone else { return }
        order.isDone = true
        guard order.controller.reign == order.reign, order.controller.life == order.controllerLife else { return }
        if !order.command.isPoll || outcome.isFailure {
            self.trace(
                "c\(order.controller.index)",
                "\(order.command.label) <- \(self.servers[order.node].name): \(outcome.words)")
        }
        order.controller.feed(.answered(self.servers[order.node].name, order.command, outcome))
    }

    /// One statement in the order's session: goes there, runs, comes back, and only then the next is sent.
    private func sql(
        _ order: SimOrder, _ body: @escaping (SimServer) -> NodeFailure?, then next: @escaping () -> Void
    ) {
        guard !order.isDone, order.controller.life == order.controllerLife else { return }
        let server = self.servers[order.node]
        let place = order.controller.place
        func reply(_ failure: NodeFailure?) {
            self.transmit(.node(order.node), place) { [unowned self] in
                order.controller.ifAlive(order.controllerLife) { [unowned self] in
                    if let failure { self.finish(order, .failed(failure)) } else { next() }
                }
            }
        }
        self.transmit(place, .node(order.node)) {
            guard server.process == .running else {
                if !server.isFrozen || server.process == .stopped { reply(.unreachable("\(server.process)")) }
                return
            }
            if order.session == nil {
                // A session takes several round trips: nobody is there any more for the last of them.
                if order.isDone { return }
                // A new connection to a frozen server is never answered; an open session goes on at the thaw.
                if server.isFrozen { return }
                order.session = server.life
                server.lockHolder = order.id
            }
            guard order.session == server.life else {
                reply(.unreachable("the session ended"))
                return
            }
            server.ifAlive(server.life) {
                guard server.lockHolder == order.id else {
                    reply(.unreachable("the session was ended by another controller"))
                    return
                }
                reply(body(server))
            }
        }
    }

    /// Repeats a look until it is satisfied.
    private func poll(
        _ order: SimOrder, every period: Int64, _ body: @escaping (SimServer) -> Bool, then next: @escaping () -> Void
    ) {
        var isSatisfied = false
        self.sql(
            order,
            { server in
                isSatisfied = body(server)
                return nil
            },
            then: { [unowned self] in
                if isSatisfied {
                    next()
                } else {
                    order.controller.later(period) { [unowned self] in self.poll(order, every: period, body, then: next)
                    }
                }
            })
    }

    /// The pledge is read under the lock; a newer one refuses, otherwise ours is written.
    private func take(_ pledge: Pledge, on server: SimServer) -> NodeFailure? {
        if let held = server.file.pledge, !held.mayBecome(pledge) { return .refused(holding: held) }
        server.file.pledge = pledge
        return nil
    }

    private func runBySQL(_ order: SimOrder) {
        switch order.command {
        case .seal(let pledge): self.seal(order, pledge)
        case .reclaim(let pledge): self.reclaim(order, pledge)
        case .readPosition(let pledge): self.readPosition(order, pledge)
        case .promote(let pledge): self.promote(order, pledge)
        case .follow(let pledge, let leader, let name): self.follow(order, pledge, leader, name)
        case .writeTermRow(let rule, let timeline, let reason):
            self.writeRow(order, TermHistoryRow(rule: rule, timeline: timeline, reason: reason))
        case .readSenders(let pledge): self.readSenders(order, pledge)
        case .setSyncList(let pledge, let list): self.setList(order, pledge, list)
        case .checkpoint:
            let takes = self.chance(30) ? Int64.s(20) : self.between(.ms(5), .ms(400))
            self.sql(order, { _ in nil }) { [unowned self] in
                order.controller.later(takes) { [unowned self] in self.finish(order, .done) }
            }
        case .fence, .startLeader, .startStandby, .rejoin, .initialize, .lease: break
        }
    }

    private func seal(_ order: SimOrder, _ pledge: Pledge) {
        let variant = self.options.variant
        self.sql(
            order,
            { server in
                guard server.inRecovery else { return .isPrimary }
                if let failure = self.take(pledge, on: server) { return failure }
                server.file.upstream = nil
                server.file.list = variant == .emptyListOnStandbys ? .none : .fence
                server.reload()
                if variant == .positionBeforeSeal { server.earlyPosition = server.position }
                return nil
            },
            then: { [unowned self] in
                self.poll(
                    order, every: .ms(2),
                    { server in
                        if variant == .sealWithoutWaiting { return true }
                        if variant == .connectingReceiverUnseen { return server.receiver?.isStreaming != true }
                        return server.receiver == nil && server.loadedUpstream == nil
                    },
                    then: { [unowned self] in self.answerPosition(order, pledge) })
            })
    }

    private func answerPosition(_ order: SimOrder, _ pledge: Pledge) {
        var position: WALPosition?
        self.sql(
            order,
            { server in
                guard server.inRecovery else { return .isPrimary }
                if server.file.pledge != pledge { return .refused(holding: server.file.pledge ?? pledge) }
                position = server.earlyPosition ?? server.position
                return nil
            },
            then: { [unowned self] in
                if let position { self.finish(order, .sealed(position)) }
            })
    }

    private func readPosition(_ order: SimOrder, _ pledge: Pledge) {
        let variant = self.options.variant
        self.sql(
            order,
            { server in
                guard server.inRecovery else { return .isPrimary }
                if let held = server.file.pledge, held != pledge { return .refused(holding: held) }
                let isSealed = server.receiver == nil && server.loadedUpstream == nil
                let isLax = variant == .sealWithoutWaiting || variant == .connectingReceiverUnseen
                return isSealed || isLax ? nil : .receiverRemains
            }, then: { [unowned self] in self.answerPosition(order, pledge) })
    }

    private func reclaim(_ order: SimOrder, _ pledge: Pledge) {
        self.sql(
            order,
            { server in
                guard !server.inRecovery else { return .isStandby }
                if let failure = self.take(pledge, on: server) { return failure }
                server.file.list = .fence
                server.reload()
                return nil
            },
            then: { [unowned self] in
                // No walsender may release by its old copy, no backend may skip the wait.
                self.poll(
                    order, every: .ms(2),
                    { server in server.commitsWait && server.senders.allSatisfy { $0.priority == 0 } },
                    then: { [unowned self] in
                        var position: WALPosition?
                        self.sql(
                            order,
                            { server in
                                position = server.position
                                return nil
                            },
                            then: { [unowned self] in
                                if let position { self.finish(order, .reclaimed(position)) }
                            })
                    })
            })
    }

    private func promote(_ order: SimOrder, _ pledge: Pledge) {
        self.sql(
            order,
            { server in
                if let held = server.file.pledge, !held.mayBecome(pledge) { return .refused(holding: held) }
                guard server.inRecovery else { return server.file.pledge?.claim == pledge.claim ? nil : .isPrimary }
                if self.options.variant == .switchoverWithoutSealing { server.file.pledge = pledge }
                guard server.file.pledge?.claim == pledge.claim else { return .other("not sealed for this claim") }
                guard self.ledger.rules.contains(where: { $0.claim == pledge.claim && $0.leader == server.name }) else {
                    self.violate("\(server.name) is promoted for \(pledge.number), which was never recorded")
                    return .isStandby
                }
                let takes = self.chance(40) ? self.between(.ms(300), .s(6)) : self.between(.ms(5), .ms(40))
                let list = self.listOfRecord(pledge)
                server.later(takes) {
                    server.becomePrimary()
                    if self.options.variant == .promotionForgotten, let list {
                        server.file.list = list
                        server.reload()
                    }
                }
                return nil
            },
            then: { [unowned self] in
                var position: WALPosition?
                self.poll(
                    order, every: .ms(5),
                    { server in
                        if !server.inRecovery { position = server.position }
                        return position != nil
                    },
                    then: { [unowned self] in
                        if let position { self.finish(order, .promoted(position)) }
                    })
            })
    }

    /// What the recorded rule's list will be.
    private func listOfRecord(_ pledge: Pledge) -> SyncList? {
        self.ledger.rules.last { $0.claim == pledge.claim }.map {
            SyncList($0, names: self.store.state?.replicationNames ?? [:])
        }
    }

    private func follow(_ order: SimOrder, _ pledge: Pledge, _ leader: NodeName, _ name: ReplicationName) {
        guard let upstream = self.servers.firstIndex(where: { $0.name == leader }) else { return }
        let list: SyncList = self.options.variant == .emptyListOnStandbys ? .none : .fence
        self.sql(
            order,
            { server in
                guard server.inRecovery else { return .isPrimary }
                if let failure = self.take(pledge, on: server) { return failure }
                server.file.upstream = Upstream(leader: upstream, name: name)
                server.file.list = list
                server.reload()
                return nil
            }, then: { [unowned self] in self.finish(order, .done) })
    }

    private func writeRow(_ order: SimOrder, _ row: TermHistoryRow) {
        var end = LSN.zero
        self.sql(
            order,
            { server in
                guard !server.inRecovery else { return .isStandby }
                if let failure = self.take(row.rule.pledge, on: server) { return failure }
                server.append(.row)
                if let id = server.wal.last?.id { self.ledger.rows[id] = row }
                end = server.end
                return nil
            }, then: { [unowned self] in self.finish(order, .wrote(end)) })
    }

    private func readSenders(_ order: SimOrder, _ pledge: Pledge) {
        var senders: [SenderObservation] = []
        self.sql(
            order,
            { server in
                guard !server.inRecovery else { return .isStandby }
                if let held = server.file.pledge, !held.mayBecome(pledge) { return .refused(holding: held) }
                senders = server.observeSenders()
                return nil
            }, then: { [unowned self] in self.finish(order, .senders(senders)) })
    }

    private func setList(_ order: SimOrder, _ pledge: Pledge, _ list: SyncList) {
        self.sql(
            order,
            { server in
                guard !server.inRecovery else { return .isStandby }
                if let failure = self.take(pledge, on: server) { return failure }
                server.file.list = list
                server.reload()
                return nil
            },
            then: { [unowned self] in
                self.poll(
                    order, every: .ms(2), { server in list == .none || server.commitsWait },
                    then: { [unowned self] in self.finish(order, .done) })
            })
    }
}

extension NodeCommand {
    var isForAgent: Bool {
        switch self {
        case .fence, .startLeader, .startStandby, .rejoin, .initialize, .lease: true
        case .seal, .reclaim, .readPosition, .promote, .follow, .writeTermRow, .readSenders, .setSyncList, .checkpoint:
            false
        }
    }

    /// Sent so often that it would drown the transcript.
    var isPoll: Bool {
        switch self {
        case .readSenders, .lease: true
        default: false
        }
    }

    var timeLimit: Int64 {
        switch self {
        case .seal, .reclaim, .readPosition, .follow, .writeTermRow, .readSenders, .setSyncList, .lease: .s(2)
        case .promote: .s(5)
        case .checkpoint: .s(10)
        case .fence: .s(8)
        case .startLeader, .startStandby: .s(10)
        case .rejoin, .initialize: .s(30)
        }
    }

    var words: String {
        switch self {
        case .follow(let pledge, let leader, let name): "follow(\(leader) as \(name), \(pledge.number))"
        case .rejoin(let pledge, let leader, let name, let mode):
            "rejoin(\(leader) as \(name), \(pledge.number), \(mode))"
        case .setSyncList(let pledge, let list): "set_sync_list('\(list.setting)', \(pledge.number))"
        case .fence(let pledge, let clean): "fence(\(pledge.number)\(clean ? ", clean" : ""))"
        case .seal(let pledge), .reclaim(let pledge), .readPosition(let pledge), .promote(let pledge),
            .readSenders(let pledge), .startLeader(let pledge), .startStandby(let pledge), .initialize(let pledge):
            "\(self.label)(\(pledge.number))"
        case .writeTermRow(let rule, _, _): "write_term_row(\(rule.number))"
        case .lease(let pledge, let terms):
            "lease(\(pledge.number), \(terms.map { "\($0.length) by \($0.voters.map(\.text))" } ?? "none"))"
        case .checkpoint: self.label
        }
    }
}

extension NodeOutcome {
    var isFailure: Bool { if case .failed = self { true } else { false } }

    var words: String {
        switch self {
        case .done: "done"
        case .sealed(let position), .reclaimed(let position), .promoted(let position):
            "\(position.history.timeline) \(position.end)"
        case .wrote(let end): "\(end)"
        case .senders(let senders): "\(senders.count) senders"
        case .fenced(let position): "fenced \(position.map { "\($0.end)" } ?? "")"
        case .initialized: "initialized"
        case .failed(let failure): "failed: \(failure)"
        }
    }
}
