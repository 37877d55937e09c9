/// The latest evidence on one node, with its age. Old evidence stays visible as old, never as current.
package struct NodeView: Hashable, Sendable {
    package internal(set) var observation: ServerObservation? {
        get { self.seen?.value }
        set { self.seen = newValue.map { Cell($0) } }
    }
    private var seen: Cell<ServerObservation>?
    /// When the probe that brought `observation` ended.
    package internal(set) var observedAt: Moment?
    /// When that probe began: what was done later does not show in it.
    package internal(set) var observedFrom: Moment?
    /// The last probe's failure; nil when it succeeded.
    package internal(set) var failure: ProbeFailure?
    package internal(set) var facts: AgentFacts? {
        get { self.told?.value }
        set { self.told = newValue.map { Cell($0) } }
    }
    private var told: Cell<AgentFacts>?
    package internal(set) var factsAt: Moment?
    /// The leader has a streaming walsender under this node's current name since then; nil when not.
    package internal(set) var attachedSince: Moment?
    /// Not attached since then.
    package internal(set) var detachedSince: Moment
    /// When it was last told to follow the current leader.
    package internal(set) var followedAt: Moment?
    /// The name it was last told to use, when that is not in the store yet.
    package internal(set) var pendingName: ReplicationName?
    /// Why the last rejoin, start or follow failed.
    package internal(set) var lastFailure: NodeFailure?
    /// An operator asked for it to be rebuilt although it forked by hand, or its WAL cannot be saved.
    package internal(set) var requestedRejoin: RejoinMode?

    package init(at now: Moment) { self.detachedSince = now }

    /// The observation, if it is younger than `limit`.
    package func fresh(_ limit: Duration, at now: Moment) -> ServerObservation? {
        if DecisionFaults.isOn(.staleObservation) { return self.observation }
        guard let observedAt = self.observedAt, self.failure == nil, now - observedAt < limit else { return nil }
        return self.observation
    }

    /// The last probe had no answer.
    package var isSilent: Bool { self.failure.map { !$0.provesLife } ?? false }

    package func freshFacts(_ limit: Duration, at now: Moment) -> AgentFacts? {
        guard let factsAt = self.factsAt, now - factsAt < limit else { return nil }
        return self.facts
    }
}

/// Evidence is replaced and never changed, and views are copied with every look at them: the copies share it.
private final class Cell<Value: Hashable & Sendable>: Hashable, Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }

    static func == (a: Cell, b: Cell) -> Bool { a === b || a.value == b.value }
    func hash(into hasher: inout Hasher) { hasher.combine(self.value) }
}
