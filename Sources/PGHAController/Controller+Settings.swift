import Logging
import PGHAClient
import PGHACore

// Brings the spec's settings to every server that has an agent, and again until each has them.

extension Controller {
    /// Between two looks at whether a server lacks something.
    private static let settingsInterval = Duration.seconds(1)
    /// Between two looks at the limits that servers run with, while nothing is to be changed: somebody may have
    /// restarted one by hand.
    private static let limitsInterval = Duration.seconds(15)

    /// What one node's agent was last given, and why it was not given more.
    struct AppliedSettings {
        var settings: ServerSettings?
        var failure: String?
        /// Values that wait for other servers, in words.
        var waiting: [String] = []
        /// The server's part of ``ManagedSettings/standbyLimits``, as last read.
        var running: [String: Int] = [:]
    }

    func keepSettingsForever() async {
        while !Task.isCancelled {
            await self.bringSettings()
            try? await Task.sleep(for: Self.settingsInterval)
        }
    }

    /// What `node` should be configured with now.
    func serverSettings(of node: NodeName) -> ServerSettings {
        let spec = self.specInForce
        return ServerSettings(
            postgres: self.rollout.settings(for: node), access: spec?.access ?? [.anyoneWithPassword],
            keepDiverged: (spec?.timings ?? Timings()).keepDiverged)
    }

    private var rollout: SettingsRollout {
        let spec = self.specInForce
        let adopted = self.coordinator.nodes.filter { $0.value.facts?.isAdopted == true }
        return SettingsRollout(
            spec?.postgres ?? [:], leader: self.coordinator.state?.rule?.leader, members: spec?.nodes.map(\.name) ?? [],
            adopted: Set(adopted.keys), running: self.applied.mapValues(\.running))
    }

    /// Only then a store that is older than its cluster has shown itself, by a pledge that it does not know.
    private func hasAskedEveryone(_ spec: ClusterSpec) -> Bool {
        let views = spec.nodes.map { self.coordinator.nodes[$0.name] }
        return views.allSatisfy { $0?.observation != nil || $0?.failure != nil }
            && views.contains { $0?.observation != nil }
    }

    private func bringSettings() async {
        // While servers are being made they are configured on the way.
        guard let spec = self.coordinator.state?.spec, let rule = self.coordinator.state?.rule,
            self.coordinator.halted == nil, self.hasAskedEveryone(spec)
        else { return }
        if self.isBehind(spec) || self.limitsReadAt.map({ self.now - $0 > Self.limitsInterval }) ?? true {
            await self.readRunningLimits()
        }
        // Unknown, it could be above any value that a standby would get.
        guard self.applied[rule.leader]?.running.isEmpty == false else { return }
        // The leader last: what needs no restart is then the same everywhere before anyone relies on it.
        let order = spec.nodes.filter { $0.agent != nil }.map(\.name)
            .sorted { ($0 == rule.leader ? 1 : 0, $0) < ($1 == rule.leader ? 1 : 0, $1) }
        for node in order { await self.bringSettings(to: node) }
    }

    /// Whether some server was not given everything yet.
    private func isBehind(_ spec: ClusterSpec) -> Bool {
        let rollout = self.rollout
        return spec.nodes.contains { node in
            node.agent != nil && self.applied[node.name]?.settings?.postgres != rollout.goal(for: node.name)
        }
    }

    private func readRunningLimits() async {
        self.limitsReadAt = self.now
        for (name, record) in self.nodes where self.coordinator.nodes[name]?.failure == nil {
            do throws(NodeFailure) {
                self.applied[name, default: .init()].running = try await record.access.runningLimits()
            } catch {
                // Unknown counts as too little: the leader waits.
                self.applied[name]?.running = [:]
            }
        }
    }

    private func bringSettings(to node: NodeName) async {
        let wanted = self.serverSettings(of: node)
        self.applied[node, default: .init()].waiting = self.rollout.waiting(for: node)
        guard self.applied[node]?.settings != wanted, let access = self.nodes[node]?.access,
            case .running? = self.coordinator.nodes[node]?.facts?.postmaster
        else { return }
        do {
            try await access.apply(wanted)
            let isFirst = self.applied[node]?.settings == nil
            self.applied[node]?.settings = wanted
            self.applied[node]?.failure = nil
            self.logger.log(
                level: isFirst ? .debug : .notice, "settings given to the agent", metadata: ["node": "\(node)"])
        } catch {
            let words = "\(error)"
            if self.applied[node]?.failure != words {
                self.logger.warning("settings not given", metadata: ["node": "\(node)", "error": "\(words)"])
            }
            self.applied[node]?.failure = words
        }
    }

    /// For the status: what a node does not have yet, and why.
    func settingsProblems(of node: NodeName) -> [String] {
        guard let applied = self.applied[node] else { return [] }
        return applied.waiting + (applied.failure.map { ["its settings were not changed: \($0)"] } ?? [])
    }

    func pendingRestarts() -> [ConfigReport.PendingRestart] {
        self.coordinator.nodes.sorted { $0.key < $1.key }.compactMap { name, view in
            let settings = view.observation?.pendingRestart ?? []
            guard !settings.isEmpty else { return nil }
            let rollout = self.rollout
            let wanted = rollout.goal(for: name), running = self.applied[name]?.running ?? [:]
            let values = settings.compactMap { setting in
                running[setting].flatMap { now in
                    wanted[setting].map { "\(setting): \($0) is set, it runs with \(now)" }
                }
            }
            let isLeader = name == self.coordinator.state?.rule?.leader
            let isLowered = !Set(rollout.lowered(for: name)).isDisjoint(with: settings)
            let step =
                switch (isLeader, isLowered) {
                case (false, _): "'pgha restart \(name)'"
                case (true, false): "'pgha switchover', then 'pgha restart \(name)'"
                // A standby must not have less than its leader, so a switchover would not lower it.
                case (true, true): "'pgha pause', 'pgha restart \(name)' (in place), 'pgha resume'"
                }
            let words = ["read only when a server starts"] + values + [step]
            return ConfigReport.PendingRestart(
                node: name.text, settings: settings, reason: words.joined(separator: "; "))
        }
    }
}
