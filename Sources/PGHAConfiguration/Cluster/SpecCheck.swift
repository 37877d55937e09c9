package import PGHACore

/// Whether a specification can be a cluster's: for files, and for every change through the API.
package enum SpecCheck {
    /// Settings of PostgreSQL that the procedures rely on or set themselves; any other value would be overwritten,
    /// or would break them.
    package static let managedSettings: Set<String> = [
        "allow_alter_system", "cluster_name", "config_file", "data_directory", "external_pid_file", "hba_file",
        "hot_standby", "ident_file", "listen_addresses", "logging_collector", "port", "primary_conninfo",
        "primary_slot_name", "recovery_target", "recovery_target_timeline", "restore_command",
        "synchronous_standby_names", "unix_socket_directories",
    ]

    /// Values that the guarantees need. Source: PostgreSQL manual, "Reliability" and "Replication".
    private static let neededValues: [String: Set<String>] = [
        "fsync": ["on"], "full_page_writes": ["on"], "synchronous_commit": ["on", "remote_apply"],
        "wal_level": ["replica", "logical"],
    ]

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
            // PostgreSQL does not tell capitals in names.
            let folded = name.lowercased()
            if !self.isSettingName(folded) { return .badSettingName(name) }
            if self.managedSettings.contains(folded) || folded.hasPrefix("pgha.") { return .managedSetting(name) }
            if let needed = self.neededValues[folded], !needed.contains(value.lowercased()) {
                return .unsafeSetting(name, value: value, needed: needed.sorted().joined(separator: " or "))
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
