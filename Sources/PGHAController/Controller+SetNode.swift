package import PGHAClient
import PGHAConfiguration
package import PGHACore

extension Controller {
    /// Changes what a node may do, or where its agent is, once that was asked who it is.
    package func setNode(_ name: NodeName, _ patch: NodePatch) async throws(ControllerRefusal) -> Accepted {
        var message = "\(name) changed"
        if let agent = patch.agent, try await !self.requireAgent(agent, of: name, patch) {
            message +=
                "; this controller never heard its former agent, so make sure that the directory is the one that "
                + "\(name) had, and no copy of it"
        }
        // Built and checked again: it may have changed meanwhile.
        return try self.accept(.setNode(try self.patchedNode(name, patch)), message)
    }

    private func currentNode(_ name: NodeName) throws(ControllerRefusal) -> NodeSpec {
        guard let node = try self.currentSpec()[name] else {
            throw ControllerRefusal(
                code: "unknown_node", message: "there is no node '\(name)'", hint: "See 'pgha node list'.")
        }
        return node
    }

    /// The node with the changes, which make nothing unsound. What was unsound before, say for want of voters after a
    /// removal, stands in no other change's way.
    private func patchedNode(_ name: NodeName, _ patch: NodePatch) throws(ControllerRefusal) -> NodeSpec {
        let node = patch.applied(to: try self.currentNode(name))
        let current = try self.currentSpec()
        var spec = current
        spec.nodes = spec.nodes.map { $0.name == name ? node : $0 }
        if SpecCheck.problem(in: spec) != SpecCheck.problem(in: current) { try self.requireSound(spec) }
        return node
    }

    /// - Returns: Whether it is certainly the node's; see ``MovedAgent``.
    private func requireAgent(
        _ address: String, of name: NodeName, _ patch: NodePatch
    ) async throws(ControllerRefusal) -> Bool {
        guard try self.currentNode(name).agent != nil else {
            throw .invalid(
                "\(name) has no agent", hint: "Remove the node, and add it with its agent under a new name.")
        }
        let access = self.makeNode(try self.patchedNode(name, patch), nil)
        let answer = await access.surveyAgent()
        self.start { await access.close() }
        guard case .facts(let facts) = answer else {
            let reason = if case .silent(let reason) = answer { ": \(reason)" } else { "" }
            throw ControllerRefusal(
                code: "no_agent", message: "no agent answers at \(address)\(reason)",
                hint: "Start the agent there first; it needs the cluster's token.")
        }
        let known = self.coordinator.nodes[name]?.facts
        let problem = self.coordinator.state.flatMap { MovedAgent.problem(facts, of: name, in: $0, known: known) }
        guard let problem else { return MovedAgent.isCertain(known: known) }
        throw ControllerRefusal(
            code: "other_agent", message: "the agent at \(address) \(problem.message)",
            hint: "Give the address at which \(name)'s own agent runs, with the directory that it had.")
    }
}
