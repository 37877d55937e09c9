package import PGHACore

/// Whether a specification can be a cluster's: for files, and for every change through the API.
package enum SpecCheck {
    /// The first problem; nil when there is none.
    package static func problem(in spec: ClusterSpec) -> SpecProblem? {
        if !SettingKind.name.accepts(spec.name) { return .badClusterName(spec.name) }
        if spec.nodes.isEmpty { return .noNodes }
        return self.nodeProblem(spec.nodes) ?? self.durabilityProblem(spec) ?? self.timingProblem(spec.timings)
            ?? self.settingProblem(spec.postgres)
    }

    private static func nodeProblem(_ nodes: [NodeSpec]) -> SpecProblem? {
        var names: Set<NodeName> = []
        var addresses: [String: NodeName] = [:]
        var agents: [String: NodeName] = [:]
        for node in nodes {
            if !names.insert(node.name).inserted { return .duplicateName(node.name) }
            let address = "\(node.host.lowercased()):\(node.port)"
            if let other = addresses.updateValue(node.name, forKey: address) {
                return .duplicateAddress(other, node.name, address: address)
            }
            if let agent = node.agent?.lowercased(), let other = agents.updateValue(node.name, forKey: agent) {
                return .duplicateAgent(other, node.name, agent: agent)
            }
        }
        return nil
    }

    private static func durabilityProblem(_ spec: ClusterSpec) -> SpecProblem? {
        if spec.durability.mode == .async { return .asyncUnsupported }
        let voters = spec.nodes.filter { !$0.nosync }
        if !voters.contains(where: { !$0.nofailover }) { return .noCandidate }
        let copies = spec.durability.copies
        return (1...voters.count).contains(copies) ? nil : .copiesOutOfRange(copies, voters: voters.count)
    }

    /// At least two attempts lie within `confirm_after` (DESIGN section 6).
    private static func timingProblem(_ timings: Timings) -> SpecProblem? {
        timings.confirmAfter < timings.probeInterval * 2
            ? .confirmsTooSoon(probeInterval: timings.probeInterval, confirmAfter: timings.confirmAfter) : nil
    }

    private static func settingProblem(_ settings: [String: String]) -> SpecProblem? {
        for (name, value) in settings.sorted(by: { $0.key < $1.key }) {
            if !self.isSettingName(name.lowercased()) { return .badSettingName(name) }
            switch ManagedSettings.refusal(name, value) {
            case .managed: return .managedSetting(name)
            case .unsafe(let needed):
                return .unsafeSetting(name, value: value, needed: needed.joined(separator: " or "))
            case nil: break
            }
        }
        return nil
    }

    /// `work_mem`, `pg_stat_statements.max`.
    private static func isSettingName(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return (1...2).contains(parts.count)
            && parts.allSatisfy { part in
                guard let first = part.utf8.first, !(0x30...0x39).contains(first) else { return false }
                return part.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
            }
    }
}
