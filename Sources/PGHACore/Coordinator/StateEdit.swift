/// A change of the stored state that waits until no procedure holds its own copy.
enum StateEdit: Hashable, Sendable {
    case paused(Bool)
    case added(NodeSpec)
    case node(NodeSpec)
    /// All of it but the nodes.
    case settings(ClusterSpec)
    /// An agent has compared the node's WAL with the leader's of this term, or replaced it.
    case follows(NodeName, Term)
    /// The node runs as a primary on this timeline, which nobody asked of it.
    case forked(NodeName, TimelineID)

    /// Changes what is stored by then, so that a change accepted before, or a node removed meanwhile, stays so.
    func apply(to spec: inout ClusterSpec) {
        switch self {
        case .added(let node):
            if spec[node.name] == nil { spec.nodes = (spec.nodes + [node]).sorted { $0.name < $1.name } }
        case .node(let node):
            if let index = spec.nodes.firstIndex(where: { $0.name == node.name }) { spec.nodes[index] = node }
        case .settings(let settings):
            let nodes = spec.nodes
            spec = settings
            spec.nodes = nodes
        case .paused, .follows, .forked: break
        }
    }
}

extension Coordinator {
    /// The specification with all changes that were accepted, stored already or not: what the next one begins with. Nil
    /// without a cluster.
    package var latestSpec: ClusterSpec? {
        guard var spec = (self.writing?.state ?? self.state)?.spec else { return nil }
        for edit in self.edits { edit.apply(to: &spec) }
        return spec
    }
}
