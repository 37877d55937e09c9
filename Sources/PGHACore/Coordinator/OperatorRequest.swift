/// What people ask for through the API.
package enum OperatorRequest: Hashable, Sendable {
    /// Make new servers by the spec. Refused when there is a cluster.
    case initialize(ClusterSpec)
    /// Take over running servers: `leader` is the primary found among them, at `position`.
    case adopt(ClusterSpec, leader: NodeName, systemIdentifier: UInt64, position: WALPosition)
    case failover(target: NodeName?, force: Bool)
    case switchover(target: NodeName?)
    case pause(Bool)
    case rejoin(NodeName, discard: Bool)
    case addNode(NodeSpec)
    case removeNode(NodeName)
    /// Replaces the node of the same name; host and port may not change.
    case setNode(NodeSpec)
    /// Durability, timings and settings; nodes may not change.
    case setSpec(ClusterSpec)
}

/// Why a request was not accepted. Nothing was changed.
package struct RequestRefusal: Error, Hashable, Sendable {
    /// Stable, for programs: `busy`, `unknown_node`, `no_cluster`, `cluster_exists`, `not_ready`, `invalid`, `halted`.
    package var code: String
    package var message: String
    /// The next step.
    package var hint: String

    package init(_ code: String, _ message: String, hint: String) {
        self.code = code
        self.message = message
        self.hint = hint
    }
}
