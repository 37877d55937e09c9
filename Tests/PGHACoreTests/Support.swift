import PGHACore

func node(_ text: String) -> NodeName {
    guard let name = NodeName(text) else { preconditionFailure("not a node name: \(text)") }
    return name
}

func at(_ milliseconds: Int64) -> Moment { Moment(.milliseconds(milliseconds)) }

func rule(
    _ leader: String, _ cohort: [String], copies: Int, term: UInt64 = 1, version: UInt32 = 0, nonce: UInt64 = 7,
    lease: Duration? = nil
) -> Rule {
    Rule(
        number: RuleNumber(term: Term(term), version: version), nonce: nonce, leader: node(leader),
        cohort: cohort.map(node), copies: copies, lease: lease)
}

func position(_ forks: [(UInt32, UInt64)] = [], on timeline: UInt32 = 1, end: UInt64) -> WALPosition {
    WALPosition(
        history: TimelineHistory(
            timeline: TimelineID(timeline), forks: forks.map { .init(parent: TimelineID($0.0), at: LSN($0.1)) }),
        end: LSN(end))
}

func spec(_ names: [String], copies: Int = 2, onLoss: Durability.StandbyLoss? = nil) -> ClusterSpec {
    ClusterSpec(
        name: "test", nodes: names.map { NodeSpec(name: node($0), host: $0, port: 5432, agent: "http://\($0)") },
        durability: Durability(copies: copies, onStandbyLoss: onLoss))
}

/// A steady cluster whose first node leads term 1.
func steady(_ names: [String], copies: Int = 2, onLoss: Durability.StandbyLoss? = nil) -> ClusterState {
    var state = ClusterState(spec: spec(names, copies: copies, onLoss: onLoss))
    let first = rule(names[0], names, copies: copies)
    state.systemIdentifier = 1
    state.term = Term(1)
    state.rule = first
    state.openRules = [first]
    state.timelines = [RecordedTimeline(term: Term(1), timeline: TimelineID(1), fork: nil)]
    for name in names.dropFirst() { state.replicationNames[node(name)] = ReplicationName(node: node(name), suffix: 1) }
    return state
}

/// The same in mode `async`, with a lease of 5 s.
func steadyAlone(_ names: [String], cohort: [String]? = nil) -> ClusterState {
    var state = steady(names)
    state.spec.durability.mode = .async
    let first = rule(names[0], cohort ?? names, copies: 1, lease: .seconds(5))
    (state.rule, state.openRules) = (first, [first])
    return state
}

func standby(
    at end: UInt64, receiving: Bool = true, message: Int64 = 1, pledge: Pledge? = nil
) -> ServerObservation {
    ServerObservation(
        systemIdentifier: 1, version: 150_018, postmasterStart: 0, inRecovery: true, timeline: TimelineID(1),
        position: LSN(end),
        receiver: receiving
            ? ReceiverObservation(
                pid: 1, status: "streaming", senderHost: nil, senderPort: nil, lastMessage: message) : nil,
        syncNames: SyncList.fence.setting, pledge: pledge)
}

func primary(at end: UInt64, senders: [SenderObservation] = [], list: String = "") -> ServerObservation {
    ServerObservation(
        systemIdentifier: 1, version: 150_018, postmasterStart: 0, inRecovery: false, timeline: TimelineID(1),
        position: LSN(end), senders: senders, syncNames: list)
}

func sender(_ name: ReplicationName, flushed: UInt64, priority: Int = 1) -> SenderObservation {
    SenderObservation(
        pid: 1, applicationName: name.description, clientAddress: nil, state: "streaming", flushed: LSN(flushed),
        replayed: LSN(flushed), syncPriority: priority)
}

extension Effects {
    /// `seal a`, `promote b`, …, in order.
    var orders: [String] { self.send.map { "\($0.command.label) \($0.node)" } }

    func command(to name: String) -> NodeCommand? { self.send.last { $0.node == node(name) }?.command }
}
