package import PGHACore

/// Why a specification, though well formed, cannot be a cluster's.
package enum SpecProblem: Error, Hashable, Sendable {
    case badClusterName(String)
    case noNodes
    case duplicateName(NodeName)
    /// `address` is `host:port`.
    case duplicateAddress(NodeName, NodeName, address: String)
    case duplicateAgent(NodeName, NodeName, agent: String)
    /// Mode `async` is not complete.
    case asyncUnsupported
    /// `voters` is the number of nodes that may be in a cohort.
    case copiesOutOfRange(Int, voters: Int)
    /// No node may be promoted.
    case noCandidate
    /// The cluster's procedures set this setting of PostgreSQL themselves.
    case managedSetting(String)
    case badSettingName(String)
    /// The guarantees need this setting at `needed`.
    case unsafeSetting(String, value: String, needed: String)
    case confirmsTooSoon(probeInterval: Duration, confirmAfter: Duration)

    /// The key in the specification that is to be changed; ``ConfigurationError`` finds its line by it.
    var key: String {
        switch self {
        case .badClusterName: "cluster"
        case .noNodes, .noCandidate: "nodes"
        case .duplicateName(let name), .duplicateAddress(_, let name, _), .duplicateAgent(_, let name, _):
            "nodes/\(name)"
        case .asyncUnsupported: "durability.mode"
        case .copiesOutOfRange: "durability.copies"
        case .managedSetting(let name), .badSettingName(let name), .unsafeSetting(let name, _, _):
            "postgresql.settings.\(name)"
        case .confirmsTooSoon: "timings.confirm_after"
        }
    }

    package var code: String {
        switch self {
        case .badClusterName: "spec_bad_cluster_name"
        case .noNodes: "spec_no_nodes"
        case .duplicateName: "spec_duplicate_name"
        case .duplicateAddress: "spec_duplicate_address"
        case .duplicateAgent: "spec_duplicate_agent"
        case .asyncUnsupported: "spec_async_unsupported"
        case .copiesOutOfRange: "spec_copies_out_of_range"
        case .noCandidate: "spec_no_candidate"
        case .managedSetting: "spec_managed_setting"
        case .badSettingName: "spec_bad_setting_name"
        case .unsafeSetting: "spec_unsafe_setting"
        case .confirmsTooSoon: "spec_confirms_too_soon"
        }
    }

    package var message: String {
        switch self {
        case .badClusterName(let name): "'\(name)' is no name for a cluster."
        case .noNodes: "The cluster has no nodes."
        case .duplicateName(let name): "Two nodes are called '\(name)'."
        case .duplicateAddress(let a, let b, let address):
            "The nodes '\(a)' and '\(b)' have the same address \(address)."
        case .duplicateAgent(let a, let b, let agent): "The nodes '\(a)' and '\(b)' have the same agent \(agent)."
        case .asyncUnsupported: "The durability mode 'async' is not supported yet."
        case .copiesOutOfRange(let copies, let voters):
            "\(copies) copies cannot be made: \(voters) nodes may acknowledge commits."
        case .noCandidate: "No node may lead: each has nofailover or nosync."
        case .managedSetting(let name): "'\(name)' is set by pgha itself."
        case .badSettingName(let name): "'\(name)' is no name of a setting of PostgreSQL."
        case .unsafeSetting(let name, let value, _): "'\(name) = \(value)' would lose acknowledged commits."
        case .confirmsTooSoon(let interval, let after):
            "A server cannot be confirmed dead in \(DurationValue.text(after)) by probes "
                + "\(DurationValue.text(interval)) apart."
        }
    }

    /// The next step.
    package var hint: String {
        switch self {
        case .badClusterName: "Use letters, digits, _, - and ., at most 63."
        case .noNodes: "List at least one under 'nodes', with its name and host."
        case .duplicateName: "Rename one."
        case .duplicateAddress, .duplicateAgent: "Correct one, or remove it."
        case .asyncUnsupported: "Use 'quorum'."
        case .copiesOutOfRange(_, let voters):
            "Set durability.copies to \(max(1, min(2, voters))), or add nodes without nosync."
        case .noCandidate: "Take both from at least one node."
        case .managedSetting: "Remove it."
        case .badSettingName: "Use a name as in the manual of PostgreSQL."
        case .unsafeSetting(let name, _, let needed): "Remove it, or set \(name) to \(needed)."
        case .confirmsTooSoon: "Set timings.confirm_after to at least twice timings.probe_interval."
        }
    }
}
