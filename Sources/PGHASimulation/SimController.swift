import PGHACore

/// The controller's shell: keeps leadership, probes, writes, sends orders, and does what the ``Coordinator`` says.
final class SimController {
    unowned let sim: Simulation
    let index: Int
    private(set) var isAlive = false
    /// Grows with every start and end of the process.
    private(set) var life = 0
    /// Grows with every leadership in this process; orders of an earlier one are not answered to a later one.
    private(set) var reign = 0
    private(set) var coordinator: Coordinator?
    private var epoch = 0
    private var revision = 0
    private var renewedAt: Int64 = 0
    /// When the last renewal that succeeded was sent: leadership is sure until the store's lease after that.
    private var surelyFrom: Int64 = 0
    private var writes = 0
    private var isWriting = false
    private var deferred: ClusterState?
    /// The write under way makes the store again.
    private var adopting = false
    private var inbox: [() -> Void] = []
    private(set) var isStalled = false
    /// To the poolers that follow this controller.
    let streams = PoolerStreams()
    /// The next tick that was asked for.
    private var wakeAt: Moment?
    /// The process dies after this many more effects.
    var fuse: Int?
    /// Per node: when the last good probe ended that this process has heard of, for the check of `status`.
    private var heard = [Int64](repeating: -1, count: Place.limit)

    init(_ index: Int, _ sim: Simulation) {
        self.index = index
        self.sim = sim
    }

    var place: Place { .controller(self.index) }
    var isLeading: Bool { self.coordinator != nil }

    /// Nobody else can have taken the leadership yet. What a leader is granted must not come later than that.
    var leadsForSure: Bool {
        self.sim.controllers.count == 1 || self.sim.options.variant == .grantsAfterDeposed
            || self.sim.now < self.surelyFrom + SimStore.lease
    }

    /// Per standby: begin and end of its last good probe and the newest message of its receiver by then; and the begin
    /// of the probe before the last that showed a newer one.
    private var looks = [Look](repeating: Look(), count: Place.nodeLimit)

    struct Look {
        var began: Int64 = -1
        var message: Int64 = -1
        var movedSince = -Int64.s(1000)
    }

    /// The leader of that standby lived at this moment or later, as two probes of this leadership show.
    func sawMove(_ node: Int) -> Int64 { self.looks[node].movedSince }

    /// When this leadership last heard a good answer of a node; long ago when never.
    func heardAt(_ node: Int) -> Int64 { self.heard[node] < 0 ? -Int64.s(1000) : self.heard[node] }

    // MARK: - Process

    func start() {
        guard !self.isAlive else { return }
        self.isAlive = true
        self.life += 1
        self.sim.trace("c\(self.index)", "starts")
        self.campaign()
        self.tick()
    }

    func kill() {
        guard self.isAlive else { return }
        self.sim.trace("c\(self.index)", "killed")
        self.isAlive = false
        self.life += 1
        self.fuse = nil
        self.isStalled = false
        self.inbox = []
        self.stepDown()
    }

    func stall() { self.isStalled = true }

    func unstall() {
        self.isStalled = false
        let waiting = self.inbox
        self.inbox = []
        for body in waiting { body() }
    }

    func later(_ delay: Int64, _ body: @escaping () -> Void) {
        let life = self.life
        self.sim.after(delay) { [unowned self] in self.ifAlive(life, body) }
    }

    func ifAlive(_ life: Int, _ body: @escaping () -> Void) {
        guard self.isAlive, self.life == life else { return }
        if self.isStalled {
            self.inbox.append { [unowned self] in if self.isAlive, self.life == life { body() } }
        } else {
            body()
        }
    }

    private func stepDown() {
        guard self.coordinator != nil else { return }
        self.streams.end(self)
        self.sim.trace("c\(self.index)", "leads no more")
        self.coordinator = nil
        self.isWriting = false
        self.adopting = false
        self.deferred = nil
        self.writes += 1
        self.reign += 1
        self.wakeAt = nil
    }

    // MARK: - Leadership

    /// Calls the store and comes back with its answer, unless that is lost.
    private func callStore<T>(_ call: @escaping (inout SimStore) -> T, _ answered: @escaping (T) -> Void) {
        let life = self.life
        let sim = self.sim
        let slow = sim.trouble.storeDelay > 0 ? sim.between(0, sim.trouble.storeDelay) : 0
        sim.transmit(self.place, .store) { [unowned self] in
            sim.after(slow + sim.between(.ms(1), .ms(4))) { [unowned self] in
                let result = call(&sim.store)
                if sim.trouble.storeForgets > 0, sim.chance(sim.trouble.storeForgets) { return }
                sim.transmit(.store, self.place) { [unowned self] in self.ifAlive(life) { answered(result) } }
            }
        }
    }

    private func campaign() {
        let index = self.index
        let sim = self.sim
        let sent = sim.now
        if self.coordinator == nil {
            self.callStore({ $0.acquire(index, at: sim.now) }) { [unowned self] copy in
                guard let copy, self.coordinator == nil else { return }
                self.surelyFrom = sent
                self.lead(copy)
            }
        } else {
            let epoch = self.epoch
            self.callStore({ $0.renew(epoch, at: sim.now) }) { [unowned self] renewed in
                guard self.epoch == epoch else { return }
                if renewed {
                    self.renewedAt = self.sim.now
                    self.surelyFrom = max(self.surelyFrom, sent)
                } else if self.sim.options.variant != .actsAfterDeposed {
                    self.stepDown()
                }
            }
            // A good shell stops at the lease's end. This one goes on for a while, which must be harmless.
            if sim.controllers.count > 1, sim.now - self.renewedAt > SimStore.lease + .s(3),
                sim.options.variant != .grantsAfterDeposed
            {
                self.stepDown()
            }
        }
        self.later(self.coordinator == nil ? .ms(300) : .s(1)) { [unowned self] in self.campaign() }
    }

    private func lead(_ copy: SimStore.Copy) {
        self.reign += 1
        self.epoch = copy.epoch
        self.revision = copy.revision
        self.renewedAt = self.sim.now
        self.isWriting = false
        self.heard = [Int64](repeating: -1, count: Place.limit)
        self.looks = [Look](repeating: Look(), count: Place.nodeLimit)
        self.sim.trace("c\(self.index)", "leads, epoch \(copy.epoch), revision \(copy.revision)")
        self.coordinator = Coordinator(seed: self.sim.random.next(), at: self.sim.moment)
        self.feed(.loaded(copy.state))
        let reign = self.reign
        for node in self.sim.servers.indices {
            self.later(self.sim.between(0, .ms(250))) { [unowned self] in self.probe(node, reign) }
        }
        for agent in self.sim.agents { agent.push(to: self) }
        self.streams.keep(self, reign)
    }

    /// Whether poolers let transactions finish before a leader is stopped.
    func tell(hasPoolers: Bool) { self.coordinator?.hasPoolers = hasPoolers }

    // MARK: - Events in, effects out

    func feed(_ event: Coordinator.Event) {
        guard self.coordinator != nil, let effects = self.coordinator?.handle(event, at: self.sim.moment) else {
            return
        }
        // A procedure that ends begins the watch of the leader anew.
        if event == .stored { self.looks = [Look](repeating: Look(), count: Place.nodeLimit) }
        self.perform(effects)
    }

    /// An operator's request; whether it was accepted.
    func request(_ request: OperatorRequest) -> Bool {
        guard self.isAlive, !self.isStalled, let result = self.coordinator?.request(request, at: self.sim.moment) else {
            return false
        }
        switch result {
        case .success(let effects):
            self.sim.trace("operator", "\(request)")
            self.perform(effects)
            return true
        case .failure(let refusal):
            self.sim.trace("operator", "refused: \(refusal.message)")
            return false
        }
    }

    private func perform(_ effects: Effects) {
        let life = self.life
        for note in effects.notes { self.sim.trace("c\(self.index)", note) }
        if let persist = effects.persist {
            guard self.burnFuse(life) else { return }
            self.persist(persist)
        }
        for order in effects.send {
            guard self.burnFuse(life) else { return }
            self.sim.execute(order, for: self)
        }
        if let wakeAt = effects.wakeAt { self.wake(at: wakeAt) }
        self.streams.changed(self)
    }

    /// As the shell does: an earlier tick that is still to come asks again for a later one.
    private func wake(at moment: Moment) {
        let now = self.sim.moment
        if let pending = self.wakeAt, pending <= moment, pending > now { return }
        self.wakeAt = moment
        let delay = (moment - now).components
        let reign = self.reign
        self.later(delay.seconds * 1_000_000 + delay.attoseconds / 1_000_000_000_000) { [unowned self] in
            guard self.reign == reign, self.wakeAt == moment else { return }
            self.wakeAt = nil
            self.feed(.tick)
        }
    }

    private func burnFuse(_ life: Int) -> Bool {
        guard self.isAlive, self.life == life else { return false }
        if let fuse = self.fuse {
            self.fuse = fuse - 1
            if fuse <= 0 {
                self.kill()
                self.later(0) {}
                return false
            }
        }
        return true
    }

    private func tick() {
        self.later(.ms(100)) { [unowned self] in
            self.feed(.tick)
            self.tick()
        }
    }

    // MARK: - Writing

    private func persist(_ persist: Effects.Persist) {
        let state = persist.state
        self.sim.trace("c\(self.index)", "writes \(Self.words(state))")
        self.sim.announced(state)
        self.checkReason(state)
        if self.sim.options.variant == .promoteBeforeRecord, case .promoting = state.procedure {
            self.writeLater(state)
            return
        }
        self.deferred = nil
        self.write(state)
    }

    /// A failover that the controller begins by itself has a reason.
    private func checkReason(_ state: ClusterState) {
        guard case .sealing(_, let reason, planned: nil, forced: false) = state.procedure, let rule = state.rule,
            case .replace(let cause) = self.coordinator?.verdict, state.openRules.count == 1,
            reason.hasSuffix(cause.words), !self.sim.ledger.storeIsOld
        else { return }
        self.sim.failoverBegins(rule.leader, cause, by: self)
    }

    /// The store is made again from what the servers hold.
    func adoptStore(spec: ClusterSpec?, answers: [NodeName: StoreEvidence], failures: [NodeName: String]) {
        guard
            let result = self.coordinator?.adoptStore(
                spec: spec, answers: answers, failures: failures, at: self.sim.moment)
        else { return }
        switch result {
        case .success(let effects):
            self.sim.trace("operator", "adopts the store")
            self.adopting = true
            self.perform(effects)
        case .failure(let refusal): self.sim.trace("operator", "refused: \(refusal.message)")
        }
    }

    static func words(_ state: ClusterState) -> String {
        let rules = state.openRules.map { "\($0.number) \($0.leader) \($0.copies) of \($0.cohort.map(\.text))" }
        return "term \(state.term), \(state.procedure?.phase ?? "steady"), open \(rules)"
    }

    /// The wrong variant: the machine is told at once, the store hears of it later, if at all.
    private func writeLater(_ state: ClusterState) {
        self.deferred = state
        let reign = self.reign
        self.later(.ms(300)) { [unowned self] in
            guard self.reign == reign, let deferred = self.deferred else { return }
            self.deferred = nil
            self.write(deferred, tell: false)
        }
        self.later(0) { [unowned self] in if self.reign == reign { self.feed(.stored) } }
    }

    private func write(_ state: ClusterState, tell: Bool = true) {
        self.writes += 1
        self.isWriting = true
        let number = self.writes
        let (revision, epoch, adopts) = (self.revision, self.epoch, self.adopting)
        let sim = self.sim
        let variant = sim.options.variant
        self.adopting = false
        self.callStore({ store in
            let before = store.state
            let done = store.write(state, expecting: revision, epoch: epoch)
            if done, adopts {
                sim.ledger.storeIsOld = false
                sim.ledger.storeWasMadeAgain = true
            }
            if done { sim.stateChanged(from: adopts ? nil : before, to: state) }
            return done
        }) { [unowned self] done in
            guard self.writes == number, self.isWriting else { return }
            self.isWriting = false
            if done {
                self.revision = revision + 1
                if tell { self.feed(.stored) }
            } else {
                self.sim.trace("c\(self.index)", "conflict")
                if variant == .actsAfterDeposed { self.feed(.stored) } else { self.readBack(number) }
            }
        }
        self.later(.s(1)) { [unowned self] in
            guard self.writes == number, self.isWriting else { return }
            self.sim.trace("c\(self.index)", "outcome of the write unknown")
            self.isWriting = false
            if variant == .unknownOutcomeAssumed {
                self.revision = revision + 1
                self.feed(.stored)
            } else {
                self.readBack(number)
            }
        }
    }

    private func readBack(_ number: Int) {
        guard self.writes == number, self.coordinator != nil else { return }
        let epoch = self.epoch
        self.callStore({ $0.settle(epoch) }) { [unowned self] copy in
            guard self.writes == number, self.coordinator != nil else { return }
            self.writes += 1
            guard copy.epoch == self.epoch else {
                self.stepDown()
                return
            }
            self.revision = copy.revision
            self.sim.trace("c\(self.index)", "read back revision \(copy.revision)")
            self.feed(.loaded(copy.state))
        }
        self.later(.ms(500)) { [unowned self] in self.readBack(number) }
    }

    // MARK: - Probes

    private func probe(_ node: Int, _ reign: Int) {
        guard self.reign == reign, let coordinator = self.coordinator else { return }
        let sim = self.sim
        let server = sim.servers[node]
        let interval = Int64.ms(250)
        guard coordinator.nodes[server.name] != nil else {
            self.later(interval) { [unowned self] in self.probe(node, reign) }
            return
        }
        let began = sim.now
        var isOver = false
        func ended(_ result: Result<ServerObservation, ProbeFailure>) {
            guard !isOver, self.reign == reign else { return }
            isOver = true
            if case .success(let seen) = result {
                self.heard[node] = sim.now
                self.look(node, seen.receiver?.lastMessage, began: began)
            }
            let isBad = if case .failure = result { true } else { false }
            let next =
                isBad ? max(.ms(20), interval / 4 - (sim.now - began)) : max(.ms(10), interval - (sim.now - began))
            self.later(next) { [unowned self] in self.probe(node, reign) }
            self.feed(.probed(server.name, result, began: Moment(.microseconds(began))))
        }
        let life = self.life
        sim.transmit(self.place, .node(node)) {
            let result: Result<ServerObservation, ProbeFailure>
            switch server.process {
            case .stopped: result = .failure(.refused)
            case .starting, .stopping: result = .failure(.startingUp)
            case .running where server.isFrozen: return
            case .running where sim.trouble.isFull(node, at: sim.now):
                result = .failure(.aliveBut(code: "53300", message: "too many clients already"))
            case .running: result = .success(server.observe())
            }
            if server.isFrozen, server.process != .stopped { return }
            sim.transmit(.node(node), self.place) { [unowned self] in self.ifAlive(life) { ended(result) } }
        }
        self.later(.ms(400)) { ended(.failure(.timedOut)) }
    }

    private func look(_ node: Int, _ message: Int64?, began: Int64) {
        let before = self.looks[node]
        if let message, before.began >= 0, message > before.message { self.looks[node].movedSince = before.began }
        self.looks[node].began = message == nil ? -1 : began
        self.looks[node].message = message ?? -1
    }

    /// What is shown as healthy must have been heard within the freshness limit.
    func checkStatus() {
        guard self.isAlive, !self.isStalled, let status = self.coordinator?.status(at: self.sim.moment) else { return }
        for (index, server) in self.sim.servers.enumerated() {
            guard let node = status.nodes.first(where: { $0.spec.name == server.name }) else { continue }
            let isOld = self.heard[index] < 0 || self.sim.now - self.heard[index] > .s(3)
            if isOld, node.role == .primary || node.role == .standby {
                self.sim.violate("status shows \(server.name) as \(node.role) on old evidence")
            }
            if isOld, status.leader == server.name, status.verdict == "healthy" {
                self.sim.violate("status says that the leader \(server.name) is healthy on old evidence")
            }
        }
    }
}
