/// All that a controller decides: when a procedure begins, who rejoins, who is in the cohort.
///
/// One value, no I/O. The shell (and the simulator) feeds it evidence, answers and requests with the time, and does
/// what the returned ``Effects`` say, in their order. It starts from what the store holds, so a controller that was
/// killed anywhere is replaced by a new one that loads and goes on.
package struct Coordinator: Sendable {
    package enum Event: Hashable, Sendable {
        /// What the store holds: at the start, after a conflict, or when an outcome was unknown.
        case loaded(ClusterState?)
        /// The last `persist` is durable.
        case stored
        case probed(NodeName, Result<ServerObservation, ProbeFailure>, began: Moment)
        case agent(NodeName, AgentFacts)
        case answered(NodeName, NodeCommand, NodeOutcome)
        /// No pooler has a transaction left on the leader that the procedure under way replaces.
        case drained
        case tick
    }

    /// The procedure under way; at most one. Indirect: who only asks which it is must not copy a machine.
    package indirect enum Activity: Sendable {
        case idle
        case bootstrap(Bootstrap)
        /// The checkpoint before a switchover, so that the stop is short.
        case preparing(candidate: NodeName, reason: String)
        case failover(Failover)
        case ruleChange(RuleChange)
    }

    /// A switchover begins without its checkpoint when that has not been written by then.
    static let checkpointPatience = Duration.seconds(10)
    /// How long a follower may take to attach before more is done about it.
    static let attachGrace = Duration.seconds(3)
    /// How long a returning standby must stream before it joins the cohort.
    static let joinDelay = Duration.seconds(1)
    /// A returning standby joins when it lacks less WAL than this. Bytes.
    static let joinLag: UInt64 = 16 << 20

    /// As stored.
    package internal(set) var state: ClusterState?
    package internal(set) var activity: Activity = .idle
    package internal(set) var nodes: [NodeName: NodeView] = [:]
    package internal(set) var health: LeaderHealth
    /// Set when this store must not lead; nothing is done any more.
    package internal(set) var halted: String?
    /// Poolers follow this controller: a switchover lets their transactions finish.
    package var hasPoolers = false

    /// The write under way; `.stored` refers to it.
    var writing: Effects.Persist?
    var writingForActivity = false
    var edits: [StateEdit] = []
    /// Starts, rejoins and follows outside a procedure.
    var hostOrders = MemberOrders()
    var generator: SeededGenerator
    /// Renewals of the leader's lease, which must not wait for other work.
    var leaseOrders = MemberOrders()
    /// The stamp that was last sent back, and whose.
    var renewedStamp: (node: NodeName, stamp: Duration)?
    /// How each server was last seen as a primary.
    var sights: [NodeName: LeaderSight] = [:]
    /// The leader that `health` is about.
    package var watched: NodeName?
    var lastFailoverEnded: Moment?
    /// The last term whose failover an operator forced.
    package internal(set) var forcedTerm: Term?
    /// The leader's disk has been full since then.
    var diskFullSince: Moment?
    /// When the switchover that is being prepared was asked for.
    var preparingSince = Moment.origin
    /// The next rule change waits until then after one that failed.
    var ruleChangeNotBefore: Moment
    /// When the last procedure ended: older observations do not show its result.
    var settledAt: Moment
    var lastSight: LastSight?
    /// When the store was last read.
    var loadedAt: Moment
    package internal(set) var verdict: LeaderHealth.Verdict = .suspect("not asked yet")
    /// Why a failover that seems due is not started.
    package internal(set) var waitingReason: String?

    /// `seed` is random; it makes claims and replication names.
    package init(seed: UInt64, at now: Moment) {
        self.generator = SeededGenerator(seed: seed)
        self.health = LeaderHealth(timings: Timings(), at: now)
        self.ruleChangeNotBefore = now
        self.settledAt = now
        self.loadedAt = now
    }

    package mutating func handle(_ event: Event, at now: Moment) -> Effects {
        var effects = Effects()
        guard self.halted == nil else {
            self.watchOnly(event, at: now)
            return effects
        }
        switch event {
        case .loaded(let state): self.load(state, at: now, &effects)
        case .stored: self.stored(at: now, &effects)
        case .probed(let node, let result, let began):
            self.probed(node, result, began: began, at: now)
            if case .success(let seen) = result {
                self.compare(seen.pledge, of: node, seen.systemIdentifier, &effects)
            }
        case .agent(let node, let facts):
            self.heard(node, facts, at: now)
            self.compare(facts.pledge, of: node, facts.systemIdentifier, &effects)
        case .answered(let node, let command, let outcome):
            if self.hostOrders.accept(node, command) {
                self.hostAnswered(node, command, outcome, at: now, &effects)
            } else if self.leaseOrders.accept(node, command) {
                break
            } else {
                self.tell(.answered(node, command, outcome), at: now, &effects)
            }
        case .drained: self.tell(.drained, at: now, &effects)
        case .tick:
            self.health.tick(at: now)
            self.tell(.tick, at: now, &effects)
        }
        self.decide(at: now, &effects)
        return effects
    }

    /// A store that must not lead still says truly what it sees.
    private mutating func watchOnly(_ event: Event, at now: Moment) {
        switch event {
        case .probed(let node, let result, let began): self.probed(node, result, began: began, at: now)
        case .agent(let node, let facts): self.heard(node, facts, at: now)
        case .tick: self.health.tick(at: now)
        case .loaded, .stored, .answered, .drained: break
        }
    }

    // MARK: - The procedure under way

    private mutating func load(_ state: ClusterState?, at now: Moment, _ effects: inout Effects) {
        self.state = state
        self.loadedAt = now
        self.writing = nil
        self.activity = .idle
        guard let state else { return }
        for node in state.spec.nodes.map(\.name) where self.nodes[node] == nil { self.nodes[node] = NodeView(at: now) }
        self.watch(state.rule?.leader, at: now)
        // What was read back may be older than what was seen since.
        for (node, view) in self.nodes.sorted(by: { $0.key < $1.key }) {
            self.compare(view.observation?.pledge, of: node, view.observation?.systemIdentifier, &effects)
            self.compare(view.facts?.pledge, of: node, view.facts?.systemIdentifier, &effects)
            if self.halted != nil { return }
        }
        switch state.procedure {
        case nil: break
        case .bootstrap(let claim, let leader):
            self.start(.bootstrap(Bootstrap(resuming: state, claim: claim, leader: leader)), at: now, &effects)
        // A new claim, once the servers were looked at.
        case .sealing: break
        case .promoting(_, let reason) where DecisionFaults.isOn(.undoRecorded):
            self.startFailover(.automatic, reason: reason, at: now, &effects)
        case .promoting(let rule, let reason):
            self.start(
                .failover(Failover(finishing: rule, reason: reason, state: state, at: now)), at: now, &effects)
        case .changingRule(let rule, let reason):
            self.start(
                .ruleChange(RuleChange(finishing: rule, reason: reason, state: state, at: now)), at: now, &effects)
        }
    }

    mutating func start(_ activity: Activity, at now: Moment, _ effects: inout Effects) {
        self.activity = activity
        switch activity {
        case .idle, .preparing: break
        case .bootstrap(var machine): self.adopt(machine.begin(at: now), &effects) { .bootstrap(machine) }
        case .failover(var machine): self.adopt(machine.begin(at: now), &effects) { .failover(machine) }
        case .ruleChange(var machine): self.adopt(machine.begin(at: now), &effects) { .ruleChange(machine) }
        }
    }

    mutating func startFailover(
        _ kind: Failover.Kind, reason: String, excluded: Set<NodeName> = [], bootstrapped: Claim? = nil,
        at now: Moment, _ effects: inout Effects
    ) {
        guard let state = self.state, self.writing == nil else { return }
        let machine = Failover(
            claiming: state, kind: kind, reason: reason, nonce: self.generator.next(), excluded: excluded,
            silent: Set(self.nodes.filter { $0.value.isSilent }.keys), bootstrapped: bootstrapped,
            draining: self.hasPoolers, sights: self.sightsOfLeaders, at: now)
        if case .requested(_, true) = kind { self.forcedTerm = machine.claim.term }
        effects.notes.append("failover begins: term \(machine.claim.term), \(reason)")
        self.start(.failover(machine), at: now, &effects)
    }

    /// Passes an event to the procedure under way and does what its progress asks for.
    mutating func tell(_ event: ProcedureEvent, at now: Moment, _ effects: inout Effects) {
        switch self.activity {
        case .idle, .preparing: break
        case .bootstrap(var machine):
            self.adopt(machine.handle(event, at: now), &effects) { .bootstrap(machine) }
            self.ended(machine.progress, at: now, &effects) { coordinator, effects in
                coordinator.state = machine.state
                coordinator.startFailover(
                    .adopt(leader: machine.leader), reason: "first start", bootstrapped: machine.claim, at: now,
                    &effects)
            }
        case .failover(var machine):
            self.adopt(machine.handle(event, at: now), &effects) { .failover(machine) }
            self.ended(machine.progress, at: now, &effects) { coordinator, effects in
                if machine.kind == .automatic { coordinator.lastFailoverEnded = now }
                if let leader = machine.plan?.rule.leader {
                    let took = (now - machine.startedAt).milliseconds
                    effects.notes.append("\(leader) leads term \(machine.claim.term) after \(took) ms")
                }
            }
        case .ruleChange(var machine):
            self.adopt(machine.handle(event, at: now), &effects) { .ruleChange(machine) }
            self.ended(machine.progress, at: now, &effects) { _, _ in }
        }
    }

    private mutating func adopt(_ result: Effects, _ effects: inout Effects, _ activity: () -> Activity) {
        self.activity = activity()
        if let persist = result.persist {
            precondition(self.writing == nil, "a procedure writes while another write is under way")
            self.writing = persist
            self.writingForActivity = true
        }
        effects.add(result)
    }

    private mutating func ended(
        _ progress: ProcedureProgress, at now: Moment, _ effects: inout Effects,
        then finish: (inout Coordinator, inout Effects) -> Void
    ) {
        switch progress {
        case .running: return
        case .finished:
            self.settle(at: now)
            finish(&self, &effects)
        case .failed(let reason, let exclude):
            effects.notes.append("procedure gave up: \(reason)")
            self.settle(at: now)
            self.ruleChangeNotBefore = now + .seconds(2)
            if let exclude {
                self.startFailover(.automatic, reason: reason, excluded: [exclude], at: now, &effects)
            }
        case .storeIsOlder(let holding): self.halt(holding, of: nil, &effects)
        }
    }

    mutating func halt(_ holding: Pledge, of node: NodeName?, _ effects: inout Effects) {
        let words =
            "\(node?.text ?? "a server") holds pledge \(holding), which this store never handed out: the store is "
            + "older than the cluster, or another controller leads it. Put the newest copy of the store back, or run "
            + "'pgha store adopt' if there is none"
        self.halted = words
        effects.notes.append("halted: \(words)")
    }

    /// A change of rule changes neither the leader nor whom it streams to, and both were probed all the while.
    /// After anything else the leader must say anew who follows; until then what the procedure last saw is shown.
    private mutating func settle(at now: Moment) {
        let ended = self.activity
        let sight = self.sightOfActivity
        self.activity = .idle
        self.settledAt = now
        if case .ruleChange = ended { return }
        self.lastSight = sight
        var told = Set(self.nodes.keys)
        if case .failover(let machine) = ended { told = Set(machine.followersTold.keys) }
        self.watch(self.state?.rule?.leader, at: now)
        for node in self.nodes.keys {
            self.nodes[node]?.detachedSince = now
            self.nodes[node]?.attachedSince = nil
            self.nodes[node]?.followedAt = told.contains(node) ? now : nil
        }
    }

    private mutating func stored(at now: Moment, _ effects: inout Effects) {
        guard let written = self.writing else { return }
        self.writing = nil
        self.state = written.state
        self.health.timings = written.state.spec.healthTimings
        for node in written.state.spec.nodes.map(\.name) where self.nodes[node] == nil {
            self.nodes[node] = NodeView(at: now)
        }
        if self.writingForActivity {
            self.writingForActivity = false
            self.tell(.stored, at: now, &effects)
        }
    }

    mutating func watch(_ leader: NodeName?, at now: Moment) {
        self.watched = leader
        self.diskFullSince = nil
        self.health = LeaderHealth(timings: self.state?.spec.healthTimings ?? Timings(), at: now)
        self.verdict = .suspect("not asked yet")
    }
}
