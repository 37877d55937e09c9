/// What the caller does next, in field order.
package struct Effects: Hashable, Sendable {
    /// Durable in the store BEFORE the machine goes on: it waits for `.stored` and sends nothing that needs it.
    package var persist: Persist?
    /// To nodes, at once and independent of each other. Each is answered exactly once, a failure included.
    package var send: [Order] = []
    /// Deliver a tick no later than this.
    package var wakeAt: Moment?
    /// For the log and `pgha history`; constant words first, so that tests and people can search for them.
    package var notes: [String] = []

    package struct Persist: Hashable, Sendable {
        package var state: ClusterState
        package var entry: Entry?

        package init(state: ClusterState, entry: Entry? = nil) {
            self.state = state
            self.entry = entry
        }
    }

    /// A history line without its wall clock time, which the shell adds.
    package struct Entry: Hashable, Sendable {
        package var kind: String
        package var detail: String
        package var took: Duration?

        package init(kind: String, detail: String, took: Duration? = nil) {
            self.kind = kind
            self.detail = detail
            self.took = took
        }
    }

    package struct Order: Hashable, Sendable {
        package var node: NodeName
        package var command: NodeCommand

        package init(_ node: NodeName, _ command: NodeCommand) {
            self.node = node
            self.command = command
        }
    }

    package init() {}

    package mutating func wake(at moment: Moment) {
        self.wakeAt = self.wakeAt.map { min($0, moment) } ?? moment
    }

    package mutating func add(_ other: Effects) {
        precondition(self.persist == nil || other.persist == nil, "two writes to the store at once")
        self.persist = self.persist ?? other.persist
        self.send += other.send
        self.notes += other.notes
        if let wakeAt = other.wakeAt { self.wake(at: wakeAt) }
    }
}

/// What a procedure hears.
package enum ProcedureEvent: Hashable, Sendable {
    /// The machine's last `persist` is durable.
    case stored
    /// A node answered the machine's order.
    case answered(NodeName, NodeCommand, NodeOutcome)
    /// No pooler has a transaction left on the old leader.
    case drained
    case tick
}

/// Where a procedure stands, for its owner.
package enum ProcedureProgress: Hashable, Sendable {
    case running
    case finished
    /// It cannot go on as it is; the owner takes a new claim. After *record* the candidate is excluded from it.
    case failed(reason: String, exclude: NodeName?)
    /// A node holds a newer pledge than the store has handed out: this store must not lead.
    case storeIsOlder(holding: Pledge)
}

/// Random-looking numbers from a seed (SplitMix64), so that machines stay deterministic.
/// Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (OOPSLA 2014).
package struct SeededGenerator: RandomNumberGenerator, Hashable, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { self.state = seed }

    package mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var z = self.state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
