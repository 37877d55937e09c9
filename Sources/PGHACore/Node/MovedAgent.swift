/// Whether an agent at another address than before is still the agent of the same node.
///
/// Who is taken for a node's agent starts, rewinds and replaces its data. So it has to bear the node's name, keep data of
/// the cluster, and the node's pledge, which stands beside the data: an agent whose pledge is older, or gone, has another
/// directory, though it may be a copy of this one.
///
/// What the node's pledge was, its former agent said. A controller that never heard it, since it began when that agent was
/// gone already, has only the store's word: members of the cohort took the claim that made their leader. A copy that is
/// younger than the last change of leader passes then, and ``isCertain(known:)`` says so.
package enum MovedAgent {
    package enum Problem: Error, Hashable, Sendable {
        case otherNode(NodeName)
        /// No data, or that of another cluster.
        case otherCluster(UInt64?)
        case otherPledge(Pledge?, known: Pledge)
        /// Whoever has been in the cluster has one.
        case noPledge
        /// This store never handed it out.
        case unheardOf(Pledge)

        /// What is wrong, as the end of a sentence that begins with the agent.
        package var message: String {
            switch self {
            case .otherNode(let other): "is that of node '\(other)'"
            case .otherCluster(nil): "has no data"
            case .otherCluster: "has data of another cluster"
            case .otherPledge(let pledge, let known):
                "has another directory: its pledge is \(pledge?.description ?? "gone"), the node's was \(known)"
            case .noPledge: "has another directory: it holds no pledge"
            case .unheardOf(let pledge): "has another directory: this store never handed out its pledge, \(pledge)"
            }
        }
    }

    /// `known`: what the agent at the old address said last, if this controller ever heard it. Nil: it is the node's, as
    /// far as can be known.
    package static func problem(
        _ facts: AgentFacts, of node: NodeName, in state: ClusterState, known: AgentFacts?
    ) -> Problem? {
        if facts.node != node { return .otherNode(facts.node) }
        if facts.systemIdentifier == nil || facts.systemIdentifier != state.systemIdentifier {
            return .otherCluster(facts.systemIdentifier)
        }
        let least = known?.pledge ?? self.recorded(node, state)
        guard let pledge = facts.pledge else { return least.map { .otherPledge(nil, known: $0) } ?? .noPledge }
        if let least, !least.mayBecome(pledge) { return .otherPledge(pledge, known: least) }
        return state.isOlder(than: pledge) ? .unheardOf(pledge) : nil
    }

    /// Whether the agent's pledge was compared with that of the agent before.
    package static func isCertain(known: AgentFacts?) -> Bool { known?.pledge != nil }

    /// What the node pledged at least, by the store.
    private static func recorded(_ node: NodeName, _ state: ClusterState) -> Pledge? {
        state.rule.flatMap { $0.cohort.contains(node) ? Pledge($0.claim) : nil }
    }
}
