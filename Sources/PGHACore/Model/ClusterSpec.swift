/// What the operator asked for. Changed through the API only, by compare-and-set.
package struct ClusterSpec: Hashable, Sendable, Codable {
    package var name: String
    /// Sorted by name, no name twice, no address twice: see `SpecCheck`.
    package var nodes: [NodeSpec]
    package var durability: Durability
    package var timings: Timings
    /// Settings of PostgreSQL that every member gets, by name.
    package var postgres: [String: String]
    /// Who may connect, in the order in which the servers ask; nil: ``AccessRule/anyoneWithPassword`` alone.
    package var access: [AccessRule]?

    package init(
        name: String, nodes: [NodeSpec], durability: Durability = Durability(), timings: Timings = Timings(),
        postgres: [String: String] = [:], access: [AccessRule]? = nil
    ) {
        self.name = name
        self.nodes = nodes.sorted { $0.name < $1.name }
        self.durability = durability
        self.timings = timings
        self.postgres = postgres
        self.access = access
    }

    /// Mode `async`: how long the leader's lease is.
    package var lease: Duration? { self.durability.mode == .async ? self.timings.lease : nil }

    package subscript(_ name: NodeName) -> NodeSpec? { self.nodes.first { $0.name == name } }
}

/// A server and the agent beside it.
package struct NodeSpec: Hashable, Sendable, Codable {
    package var name: NodeName
    package var host: String
    package var port: Int
    /// `http://host:port` of the agent; nil when the server has none (watched, sealed and promoted over SQL only).
    package var agent: String?
    /// Among candidates with equal positions the greatest is chosen.
    package var priority: Int
    package var zone: String?
    /// Never promoted.
    package var nofailover: Bool
    /// In no cohort: its acknowledgement never counts (an observer).
    package var nosync: Bool
    /// Never given reads by the pooler.
    package var noread: Bool

    package init(
        name: NodeName, host: String, port: Int, agent: String? = nil, priority: Int = 100, zone: String? = nil,
        nofailover: Bool = false, nosync: Bool = false, noread: Bool = false
    ) {
        self.name = name
        self.host = host
        self.port = port
        self.agent = agent
        self.priority = priority
        self.zone = zone
        self.nofailover = nofailover
        self.nosync = nosync
        self.noread = noread
    }
}

/// How many copies make a commit durable, and what happens when there are too few servers for that.
package struct Durability: Hashable, Sendable, Codable {
    package enum Mode: String, Hashable, Sendable, Codable, CaseIterable {
        /// A commit is acknowledged only when `copies` servers have flushed it.
        case quorum
        /// The leader acknowledges alone, under a lease.
        case async
    }

    package enum StandbyLoss: String, Hashable, Sendable, Codable, CaseIterable {
        /// With no standby left, go on with one copy after the store has recorded it. Default with two nodes.
        case degrade
        /// With too few standbys, commits wait.
        case block
    }

    package var mode: Mode
    /// The leader's included; 2 by default.
    package var copies: Int
    /// Nil: `degrade` with two nodes, `block` with more.
    package var onStandbyLoss: StandbyLoss?

    package init(mode: Mode = .quorum, copies: Int = 2, onStandbyLoss: StandbyLoss? = nil) {
        self.mode = mode
        self.copies = copies
        self.onStandbyLoss = onStandbyLoss
    }

    /// How many servers must have flushed a commit before it is acknowledged, the leader's included.
    package var copiesInForce: Int { self.mode == .async ? 1 : self.copies }

    /// Whether a cluster of `nodes` servers may shrink to one copy.
    package func mayDegrade(nodes: Int) -> Bool {
        switch self.onStandbyLoss {
        case .degrade: true
        case .block: false
        case nil: nodes <= 2
        }
    }
}

/// How quickly the controller asks, believes and acts. Defaults: DESIGN section 6.
package struct Timings: Hashable, Sendable, Codable {
    /// Between two probes of one server.
    package var probeInterval = Duration.milliseconds(250)
    /// Without any answer for this long, over at least two attempts, a server is unreachable.
    package var confirmAfter = Duration.seconds(1)
    /// Evidence older than this is not shown as healthy.
    package var freshness = Duration.seconds(3)
    /// A server may answer "starting up" for this long before it is replaced.
    package var startPatience = Duration.seconds(10)
    /// Longest time for which a standby's progress alone vetoes a failover.
    package var vetoMax = Duration.seconds(10)
    /// `async` only: how long a leader may write unheard.
    package var lease = Duration.seconds(5)
    /// A standby gone for this long leaves the cohort.
    package var standbyTimeout = Duration.seconds(10)
    /// Switchover: how long running transactions may take to end.
    package var drainTimeout = Duration.seconds(5)
    /// Least time between two failovers that the controller starts by itself.
    package var failoverInterval = Duration.seconds(5)
    /// `async` only: a candidate lacking more WAL than this is not promoted. Bytes.
    package var maxLagBytes: UInt64 = 1 << 20
    /// How long WAL saved from diverged servers is kept.
    package var keepDiverged = Duration.seconds(7 * 86_400)

    package init() {}
}
