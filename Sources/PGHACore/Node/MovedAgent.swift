/// Whether an agent at another address than before is still the agent of the same node.
///
/// Who is taken for a node's agent starts, rewinds and replaces its data. So it has to bear the node's name, keep data of
/// the cluster, and the node's pledge, which stands beside the data: an agent whose pledge is older, or gone, has another
/// directory, though it may be a copy of this one.
package enum MovedAgent {
    package enum Problem: Error, Hashable, Sendable {
        case otherNode(NodeName)
        /// No data, or that of another cluster.
        case otherCluster(UInt64?)
        case otherPledge(Pledge?, known: Pledge)

        /// What is wrong, as the end of a sentence that begins with the agent.
        package var message: String {
            switch self {
            case .otherNode(let other): "is that of node '\(other)'"
            case .otherCluster(nil): "has no data"
            case .otherCluster: "has data of another cluster"
            case .otherPledge(let pledge, let known):
                "has another directory: its pledge is \(pledge?.description ?? "gone"), the node's was \(known)"
            }
        }
    }

    /// `known`: what the agent at the old address said last, if it ever did. Nil: it is the node's.
    package static func problem(
        _ facts: AgentFacts, of node: NodeName, systemIdentifier: UInt64?, known: AgentFacts?
    ) -> Problem? {
        if facts.node != node { return .otherNode(facts.node) }
        if facts.systemIdentifier == nil || facts.systemIdentifier != systemIdentifier {
            return .otherCluster(facts.systemIdentifier)
        }
        guard let pledge = known?.pledge else { return nil }
        if facts.pledge.map({ pledge.mayBecome($0) }) ?? false { return nil }
        return .otherPledge(facts.pledge, known: pledge)
    }
}
