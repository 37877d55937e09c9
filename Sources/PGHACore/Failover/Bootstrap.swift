/// Makes the first servers: one is initialised, the others are cloned from it. The first term is then installed by
/// ``Failover`` (`adopt`), which is how running servers are taken over too. Interrupted, it resumes: each order
/// is idempotent, and the claim is in the store before the first.
package struct Bootstrap: Sendable {
    package enum Phase: Hashable, Sendable {
        /// The claim is being written. Next: `initializing`.
        case recording
        /// The first server is being made. Next: `identifying`.
        case initializing
        /// Its system identifier is being written. Next: `cloning`.
        case identifying
        /// The others are being cloned. Next: `finished` when enough follow.
        case cloning
        case finished
    }

    /// How long one clone may keep failing before the cluster starts without it; it joins later.
    static let patience = Duration.seconds(60)

    package private(set) var state: ClusterState
    package let claim: Claim
    package let leader: NodeName
    package private(set) var phase: Phase = .recording
    package private(set) var progress: ProcedureProgress = .running
    package private(set) var following: Set<NodeName> = []
    /// The last failure of each node, for the progress display.
    package private(set) var failures: [NodeName: NodeFailure] = [:]

    private var orders = MemberOrders()
    private var cloningSince: Moment?

    /// A new cluster: the node with the greatest priority leads first.
    package init(_ state: ClusterState, nonce: UInt64) {
        var next = state
        next.term = state.term.next
        let first = next.spec.nodes.filter { !$0.nofailover && $0.agent != nil }
            .max { ($0.priority, $1.name) < ($1.priority, $0.name) }
        guard let first else { preconditionFailure("a spec without a node that may lead") }
        self.claim = Claim(term: next.term, nonce: nonce)
        self.leader = first.name
        var generator = SeededGenerator(seed: nonce)
        for node in next.spec.nodes.map(\.name) where node != first.name {
            next.replicationNames[node] = ReplicationName(node: node, suffix: generator.next())
        }
        next.procedure = .bootstrap(claim: self.claim, leader: first.name)
        self.state = next
    }

    /// Goes on where another controller, or an earlier run, stopped.
    package init(resuming state: ClusterState, claim: Claim, leader: NodeName) {
        self.state = state
        self.claim = claim
        self.leader = leader
        self.phase = .initializing
    }

    package mutating func begin(at now: Moment) -> Effects {
        var effects = Effects()
        if self.phase == .recording {
            effects.persist = .init(state: self.state)
        } else {
            self.sendOrders(at: now, &effects)
        }
        return effects
    }

    package mutating func handle(_ event: ProcedureEvent, at now: Moment) -> Effects {
        var effects = Effects()
        switch event {
        case .stored:
            switch self.phase {
            case .recording: self.phase = .initializing
            case .identifying:
                self.phase = .cloning
                self.cloningSince = now
            case .initializing, .cloning, .finished: break
            }
        case .answered(let node, let command, let outcome):
            guard self.orders.accept(node, command) else { break }
            self.answered(node, outcome, at: now, &effects)
        case .drained, .tick: break
        }
        self.finishIfComplete(at: now)
        if self.progress == .running { self.sendOrders(at: now, &effects) }
        return effects
    }

    private mutating func answered(
        _ node: NodeName, _ outcome: NodeOutcome, at now: Moment, _ effects: inout Effects
    ) {
        switch outcome {
        case .failed(.refused(let holding)): self.progress = .storeIsOlder(holding: holding)
        case .failed(let failure):
            self.failures[node] = failure
            self.orders.failed(node, at: now)
            // A clone that fails may fail because the first server went away: it is asked for again.
            if self.phase == .cloning {
                self.orders.send(.initialize(Pledge(self.claim)), to: self.leader, at: now, &effects)
            }
        case .initialized(let identifier, let position):
            self.identified(identifier, position, &effects)
            self.orders.succeeded(node)
            self.failures[node] = nil
        case .done:
            self.following.insert(node)
            self.orders.succeeded(node)
            self.failures[node] = nil
        case .sealed, .reclaimed, .promoted, .wrote, .senders, .fenced: break
        }
    }

    private mutating func identified(_ identifier: UInt64, _ position: WALPosition, _ effects: inout Effects) {
        guard self.phase == .initializing else { return }
        self.phase = .identifying
        self.state.systemIdentifier = identifier
        self.state.timelines = position.history.segments.map {
            RecordedTimeline(term: self.claim.term, timeline: $0.timeline, fork: $0.begin)
        }
        effects.persist = .init(state: self.state)
    }

    private mutating func finishIfComplete(at now: Moment) {
        guard self.phase == .cloning, let since = self.cloningSince else { return }
        let others = self.state.spec.nodes.map(\.name).filter { $0 != self.leader }
        let missing = others.filter { !self.following.contains($0) }
        let enough = self.following.count >= self.state.spec.durability.copiesInForce - 1
        let givenUp = missing.allSatisfy { self.failures[$0] != nil } && now - since >= Self.patience
        guard missing.isEmpty || (enough && givenUp) else { return }
        self.phase = .finished
        self.progress = .finished
    }

    private mutating func sendOrders(at now: Moment, _ effects: inout Effects) {
        let pledge = Pledge(self.claim)
        switch self.phase {
        case .initializing: self.orders.send(.initialize(pledge), to: self.leader, at: now, &effects)
        case .cloning:
            for (node, name) in self.state.replicationNames.sorted(by: { $0.key < $1.key })
            where !self.following.contains(node) && node != self.leader {
                let order = NodeCommand.rejoin(pledge, leader: self.leader, name: name, mode: .rebuild)
                self.orders.send(order, to: node, at: now, &effects)
            }
        case .recording, .identifying, .finished: break
        }
    }
}
