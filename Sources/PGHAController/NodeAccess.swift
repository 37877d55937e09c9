package import PGHAClient
package import PGHACore

/// One node as the controller reaches it: its server over libpq, its host through the agent.
///
/// Every call ends by itself within its own limits. Tests put a fake here.
package protocol NodeAccess: Sendable {
    /// One look at the server; at most `timeout`.
    func probe(timeout: Duration) async -> Result<ServerObservation, ProbeFailure>

    /// A value whenever the probing session was lost without our doing: a reason to look at once. For one reader;
    /// ends with ``close()``.
    var losses: AsyncStream<Void> { get }

    /// Carries out one order and answers exactly once.
    func execute(_ command: NodeCommand, upstreams: [NodeName: NodeSpec]) async -> NodeOutcome

    /// The agent's facts: at once, with each change, and each second. Ends when the agent goes away.
    func facts() -> AsyncStream<AgentFacts>

    /// Regular care: the session for orders is open, each peer has its reserved physical slot. With `advance` (on a
    /// standby) moves it to what the peer has, where that is known. `members`: all servers of the cluster; slots that
    /// others left behind are dropped. Nil: none is.
    func keepSlots(_ peers: [NodeName: LSN?], advance: Bool, members: [NodeName]?) async throws

    /// An operator's restart of the server, through the agent.
    func restart() async throws

    // MARK: What is kept of a diverged server

    /// The oldest first.
    func diverged() async throws -> [DivergedEntry]

    /// Throws an ``AgentFailure`` with the code `unknown_diverged` when the node has no such thing.
    func diverged(_ name: DivergedName) async throws -> DivergedEntry

    /// Removes it for good.
    func dropDiverged(_ name: DivergedName) async throws -> DivergedEntry

    // MARK: Reading

    /// What `init --adopt` must know. Changes nothing.
    func survey() async -> AdoptionSurvey

    /// What the agent says of its server, as part of a survey. Changes nothing.
    func surveyAgent() async -> AdoptionSurvey.Agent

    /// Has the agent prepare its running server for being taken over: roles, `sql/`, passwords and access. Restarts
    /// nothing.
    func prepareAdoption(_ settings: ServerSettings) async throws

    /// The rules as the server knows them. Changes nothing.
    func storeEvidence() async throws(NodeFailure) -> StoreEvidence

    /// The values of ``ManagedSettings/standbyLimits`` that the server runs with.
    func runningLimits() async throws(NodeFailure) -> [String: Int]

    // MARK: Settings

    /// Gives the agent the settings of its server; they are loaded where no restart is needed.
    func apply(_ settings: ServerSettings) async throws

    /// Lets a standby stream from `leader` as it will be asked to when it is taken over, and returns how to undo that.
    /// Throws when it does not stream; then everything is as before.
    func rehearse(following leader: NodeSpec) async throws(NodeFailure) -> @Sendable () async -> Void

    func close() async
}

/// What the spec says of one server's configuration.
package struct ServerSettings: Hashable, Sendable {
    package var postgres: [String: String]
    package var access: [AccessRule]
    package var keepDiverged: Duration

    package init(postgres: [String: String], access: [AccessRule], keepDiverged: Duration = Timings().keepDiverged) {
        self.postgres = postgres
        self.access = access
        self.keepDiverged = keepDiverged
    }
}

/// Makes the access to a node; the shell's only way to the outside.
package typealias NodeAccessFactory = @Sendable (NodeSpec, _ systemIdentifier: UInt64?) -> any NodeAccess
