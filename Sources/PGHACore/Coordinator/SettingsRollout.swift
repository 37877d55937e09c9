/// Which settings each server gets now, so that no standby ever has less than the leader needs.
///
/// A standby whose limits are below the leader's pauses replay, and does not start at all (PostgreSQL manual, "Hot
/// Standby"). So a limit is raised on standbys first and lowered on the leader first: whatever the leader runs with is
/// a floor for the standbys, and whatever the standbys run with a ceiling for the leader. Each reaches the wanted
/// value once the other side was restarted.
package enum SettingsRollout {
    /// `running`: the values of ``ManagedSettings/standbyLimits`` that each server runs with, where known.
    package static func settings(
        _ wanted: [String: String], for node: NodeName, leader: NodeName?, members: [NodeName],
        running: [NodeName: [String: Int]]
    ) -> [String: String] {
        guard let leader else { return wanted }
        var result = wanted
        for name in ManagedSettings.standbyLimits {
            guard let value = wanted[name].flatMap({ Int($0) }) else { continue }
            if node != leader {
                result[name] = "\(max(value, running[leader]?[name] ?? value))"
            } else if let own = running[node]?[name], own < value,
                !members.allSatisfy({ $0 == leader || (running[$0]?[name] ?? 0) >= value })
            {
                result[name] = "\(own)"
            }
        }
        return result
    }

    /// In words, for the settings that `node` does not get yet: what each waits for.
    package static func waiting(
        _ wanted: [String: String], for node: NodeName, leader: NodeName?, members: [NodeName],
        running: [NodeName: [String: Int]]
    ) -> [String] {
        let now = self.settings(wanted, for: node, leader: leader, members: members, running: running)
        return wanted.keys.sorted().filter { now[$0] != wanted[$0] }.map { name in
            let value = wanted[name] ?? ""
            guard node == leader else {
                return "\(name) = \(value) waits until the leader was restarted with it"
            }
            let behind = members.filter { member in
                member != node && (running[member]?[name] ?? 0) < Int(value) ?? 0
            }
            return "\(name) = \(value) waits until \(behind.map(\.text).joined(separator: ", ")) has it"
        }
    }
}
