package import PGHAClient
package import PGHACore

extension Controller {
    /// Changes what a node may do, or where its agent is, once that was asked who it is.
    package func setNode(_ name: NodeName, _ patch: NodePatch) async throws(ControllerRefusal) -> Accepted {
        if let agent = patch.agent { try await self.requireAgent(agent, of: name) }
        // Read again: it may have changed meanwhile.
        return try self.accept(.setNode(patch.applied(to: try self.currentNode(name))), "\(name) changed")
    }

    private func currentNode(_ name: NodeName) throws(ControllerRefusal) -> NodeSpec {
        guard let node = try self.currentSpec()[name] else {
            throw ControllerRefusal(
                code: "unknown_node", message: "there is no node '\(name)'", hint: "See 'pgha node list'.")
        }
        return node
    }

    private func requireAgent(_ address: String, of name: NodeName) async throws(ControllerRefusal) {
        var node = try self.currentNode(name)
        guard node.agent != nil else {
            throw .invalid(
                "\(name) has no agent", hint: "Remove the node, and add it with its agent under a new name.")
        }
        node.agent = address
        var spec = try self.currentSpec()
        spec.nodes = spec.nodes.map { $0.name == name ? node : $0 }
        try self.requireSound(spec)
        let access = self.makeNode(node, nil)
        let answer = await access.surveyAgent()
        self.start { await access.close() }
        guard case .facts(let facts) = answer else {
            let reason = if case .silent(let reason) = answer { ": \(reason)" } else { "" }
            throw ControllerRefusal(
                code: "no_agent", message: "no agent answers at \(address)\(reason)",
                hint: "Start the agent there first; it needs the cluster's token.")
        }
        let problem = MovedAgent.problem(
            facts, of: name, systemIdentifier: self.coordinator.state?.systemIdentifier,
            known: self.coordinator.nodes[name]?.facts)
        guard let problem else { return }
        throw ControllerRefusal(
            code: "other_agent", message: "the agent at \(address) \(problem.message)",
            hint: "Give the address at which \(name)'s own agent runs, with the directory that it had.")
    }
}
