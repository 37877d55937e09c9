/// The value of `synchronous_standby_names`, rendered and never pasted together elsewhere.
package enum SyncList: Hashable, Sendable {
    /// A name that no server bears: nothing is acknowledged.
    case fence
    /// The leader acknowledges alone (a rule with one copy).
    case none
    /// `ANY count (names)`.
    case any(Int, [ReplicationName])
    /// `FIRST count (pgha_marker, names)`: as strict as `any`, and each walsender that has reloaded shows a
    /// priority of 2 or more in `pg_stat_replication`.
    case marked(Int, [ReplicationName])

    package var setting: String {
        switch self {
        case .fence: "ANY 1 (pgha_fence)"
        case .none: ""
        case .any(let count, let names): "ANY \(count) (\(Self.list(names)))"
        case .marked(let count, let names): "FIRST \(count) (pgha_marker, \(Self.list(names)))"
        }
    }

    /// The list that `rule` asks of its leader, followers replicating under `names`.
    package init(_ rule: Rule, names: [NodeName: ReplicationName]) {
        let listed = rule.followers.compactMap { names[$0] }
        if rule.copies == 1 {
            self = .none
        } else if listed.count < rule.copies - 1 {
            self = .fence
        } else {
            self = .any(rule.copies - 1, listed)
        }
    }

    private static func list(_ names: [ReplicationName]) -> String {
        names.sorted().map { "\"\($0)\"" }.joined(separator: ", ")
    }
}
