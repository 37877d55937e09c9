/// One setting: everything that errors, `pgha config --print-defaults` and the reference page say about it.
package struct Setting: Hashable, Sendable {
    /// Which file, and which part of it, a setting belongs to.
    package enum Place: String, Hashable, Sendable, CaseIterable {
        /// The cluster's specification, as `pgha init -f` takes it.
        case cluster
        /// An item of `nodes` in the specification.
        case node
        /// The section `controller` of the configuration file.
        case controller
        /// The section `agent` of the configuration file.
        case agent
        /// The section `pooler` of the configuration file.
        case pooler
    }

    package enum Default: Hashable, Sendable {
        case value(String)
        /// What happens without the setting.
        case unset(String)
        case required
    }

    package let place: Place
    /// Within its place: `timings.probe_interval`, `host`.
    package let key: String
    package let kind: SettingKind
    package let fallback: Default
    /// Why the setting exists and its default is what it is. One sentence or two.
    package let reason: String

    /// As errors name it: `timings.probe_interval`, `controller.listen`, `nodes.host`.
    package var fullKey: String {
        switch self.place {
        case .cluster: self.key
        case .node: "nodes.\(self.key)"
        case .controller, .agent, .pooler: "\(self.place.rawValue).\(self.key)"
        }
    }

    /// `PGHA_CONTROLLER_TOKEN_FILE`; nil for what belongs to the cluster and not to a process.
    package var environmentVariable: String? {
        switch self.place {
        case .cluster, .node: nil
        case .controller, .agent, .pooler: "PGHA_\(self.place.rawValue)_\(self.key)".uppercased()
        }
    }

    /// `--token-file`; nil for what belongs to the cluster and not to a process.
    package var flag: String? {
        switch self.place {
        case .cluster, .node: nil
        case .controller, .agent, .pooler: "--" + self.key.split(separator: "_").joined(separator: "-")
        }
    }
}
