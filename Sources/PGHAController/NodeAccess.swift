package import PGHACore

/// One node as the controller reaches it: its server over libpq, its host through the agent.
///
/// Every call ends by itself within its own limits. Tests put a fake here.
package protocol NodeAccess: Sendable {
    /// One look at the server; at most `timeout`.
    func probe(timeout: Duration) async -> Result<ServerObservation, ProbeFailure>

    /// Carries out one order and answers exactly once.
    func execute(_ command: NodeCommand, upstreams: [NodeName: NodeSpec]) async -> NodeOutcome

    /// The agent's facts: at once, with each change, and each second. Ends when the agent goes away.
    func facts() -> AsyncStream<AgentFacts>

    /// Makes the reserved physical slot of each peer. With `advance` (on a standby) moves it to what the peer has,
    /// where that is known.
    func keepSlots(_ peers: [NodeName: LSN?], advance: Bool) async throws

    /// An operator's restart of the server, through the agent.
    func restart() async throws

    func close() async
}

/// Makes the access to a node; the shell's only way to the outside.
package typealias NodeAccessFactory = @Sendable (NodeSpec, _ systemIdentifier: UInt64?) -> any NodeAccess
