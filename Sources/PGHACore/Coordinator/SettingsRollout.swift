/// Which settings each server gets now, so that no standby ever has less than the leader needs.
///
/// A standby whose limits are below the leader's pauses replay, and does not start at all (PostgreSQL manual, "Hot
/// Standby"). So a limit is raised on standbys first and lowered on the leader first: whatever the leader runs with is
/// a floor for the standbys, and whatever the standbys run with a ceiling for the leader. Each reaches the wanted
/// value once the other side was restarted.
///
/// A limit that the specification does not name, or no more, is PostgreSQL's default, in the same order. A server that
/// somebody else made has its own values below those of the specification; what they are is not known here, so such a
/// leader gets none and such a standby what its leader runs with.
package struct SettingsRollout: Sendable {
    package var wanted: [String: String]
    package var leader: NodeName?
    package var members: [NodeName]
    /// Servers that somebody else made.
    package var adopted: Set<NodeName>
    /// The values of ``ManagedSettings/standbyLimits`` that each server runs with, where known.
    package var running: [NodeName: [String: Int]]

    package init(
        _ wanted: [String: String], leader: NodeName?, members: [NodeName], adopted: Set<NodeName> = [],
        running: [NodeName: [String: Int]]
    ) {
        self.wanted = wanted
        self.leader = leader
        self.members = members
        self.adopted = adopted
        self.running = running
    }

    /// What `node` has in the end.
    package func goal(for node: NodeName) -> [String: String] {
        guard self.adopted.contains(node) else {
            return ManagedSettings.standbyLimitDefaults.merging(self.wanted) { $1 }
        }
        guard let leader = self.leader, node != leader else { return self.wanted }
        return (self.running[leader] ?? [:]).mapValues(String.init).merging(self.wanted) { $1 }
    }

    /// What `node` gets now.
    package func settings(for node: NodeName) -> [String: String] {
        guard let leader = self.leader else { return self.wanted }
        var result = self.goal(for: node)
        for name in ManagedSettings.standbyLimits {
            guard let value = result[name].flatMap({ Int($0) }) else { continue }
            if node != leader {
                result[name] = "\(max(value, self.running[leader]?[name] ?? value))"
            } else if let own = self.running[node]?[name], own < value,
                !self.members.allSatisfy({ $0 == leader || (self.running[$0]?[name] ?? 0) >= value })
            {
                result[name] = "\(own)"
            }
        }
        return result
    }

    /// In words, for the settings that `node` does not get yet: what each waits for.
    package func waiting(for node: NodeName) -> [String] {
        let goal = self.goal(for: node)
        let now = self.settings(for: node)
        guard self.leader != nil else { return [] }
        return goal.keys.sorted().filter { now[$0] != goal[$0] }.map { name in
            let value = goal[name] ?? ""
            guard node == self.leader else {
                return "\(name) = \(value) waits until the leader was restarted with it"
            }
            let behind = self.members.filter { member in
                member != node && (self.running[member]?[name] ?? 0) < Int(value) ?? 0
            }
            return "\(name) = \(value) waits until \(behind.map(\.text).joined(separator: ", ")) has it"
        }
    }

    /// The limits that `node` is to have less of than it runs with: only a restart in place lowers a leader's.
    package func lowered(for node: NodeName) -> [String] {
        let goal = self.goal(for: node)
        return ManagedSettings.standbyLimits.filter { name in
            guard let value = goal[name].flatMap({ Int($0) }), let own = self.running[node]?[name] else { return false }
            return value < own
        }
    }
}
