import Logging
package import PGHAClient
import PGHAConfiguration
package import PGHACore
import PGHAStore

/// What the HTTP routes ask of the controller; every answer is one of PGHAClient's wire types.
extension Controller {
    package func status() -> ClusterStatus {
        var status = self.coordinator.status(at: self.now)
        for index in status.nodes.indices {
            status.nodes[index].problems += self.settingsProblems(of: status.nodes[index].spec.name)
        }
        return status
    }

    /// For Prometheus. `certificates`: seconds since 1970 at which they expire, by setting.
    package func metricsText(certificates: [String: Int]) async -> String {
        var details = ControllerMetrics.Details(
            risk: self.coordinator.risk(at: self.now), slots: self.coordinator.slots(at: self.now),
            plan: try? await self.plan(target: nil), certificates: certificates)
        let phase = self.past.phase
        if !RecentPast.isResting(phase.name) { details.phaseAge = self.now - phase.since }
        return self.metrics.text(self.status(), leading: self.coordinator.halted == nil, details: details)
    }

    /// Measures how long procedures take in each of their phases.
    func notePhase() {
        guard let ended = self.past.note(phase: self.coordinator.phase, at: self.now) else { return }
        self.metrics.left(phase: ended.name, after: ended.took)
    }

    package func statusReport() -> StatusReport {
        StatusReport(self.status(), store: self.storeKind, leading: self.coordinator.halted == nil)
    }

    package func topology() -> TopologyReport {
        switch self.coordinator.activity {
        case .failover(let machine):
            return TopologyReport(
                self.status(), claim: machine.claim.term, successor: machine.successor, terms: self.termStarts)
        case .idle, .preparing, .bootstrap, .ruleChange:
            return TopologyReport(self.status(), terms: self.termStarts)
        }
    }

    private var termStarts: [PoolTopology.TermStart] {
        self.coordinator.state?.timelines.termStarts(forced: self.coordinator.forcedTerm) ?? []
    }

    /// With the number of the last event that it takes account of.
    func numberedTopology() -> (TopologyReport, UInt64) { (self.topology(), self.changes) }

    package func historyReport(limit: Int) async throws(ControllerRefusal) -> HistoryReport {
        do {
            return HistoryReport(try await self.store.history(limit: limit).reversed())
        } catch {
            throw ControllerRefusal(
                code: "store", message: "the store cannot be read: \(error)", hint: "See the controller's log.")
        }
    }

    package func plan(target: NodeName?) async throws(ControllerRefusal) -> FailoverPlan {
        if let refusal = self.coordinator.withoutLeader { throw ControllerRefusal(refusal) }
        guard let preview = self.coordinator.previewFailover(to: target, at: self.now),
            let state = self.coordinator.state
        else {
            throw ControllerRefusal(
                code: "no_cluster", message: "there is no cluster yet", hint: "Run 'pgha init -f FILE'.")
        }
        let status = self.status()
        let furthest = status.nodes.compactMap(\.position).max()
        let candidates = status.nodes.map { node in
            let seen = preview.candidates.first { $0.node == node.spec.name }
            let reason = node.spec.name == preview.leader ? "it leads now" : seen?.obstacle
            return FailoverPlan.Candidate(
                name: node.spec.name.text, reason: reason, timeline: node.timeline?.number,
                lsn: node.position?.description,
                behindBytes: furthest.flatMap { end in node.position.map { end.bytesAhead(of: $0) } },
                priority: node.spec.priority, sync: node.sync.rawValue)
        }
        return FailoverPlan(
            leader: preview.leader.text, term: state.term.next.number, winner: preview.winner?.text,
            obstacle: preview.blocked,
            bytesAtRisk: preview.blocked == nil && (state.rule?.copies ?? 1) > 1 ? 0 : preview.bytesBehind,
            expectedMilliseconds: preview.winner == nil ? nil : await self.expectedMilliseconds(),
            candidates: candidates)
    }

    /// The median of this cluster's last failovers; before the first, what a quiet two-core machine needed.
    private func expectedMilliseconds() async -> Int64 {
        let recent = (try? await self.store.history(limit: 200)) ?? []
        let durations = recent.filter { $0.kind == "failover" }.compactMap(\.milliseconds).sorted()
        return durations.isEmpty ? Self.measuredFailover : durations[durations.count / 2]
    }

    // MARK: - Changes

    /// Refuses a specification that no cluster can have.
    nonisolated package func requireSound(_ spec: ClusterSpec) throws(ControllerRefusal) {
        guard let problem = SpecCheck.problem(in: spec) else { return }
        throw ControllerRefusal(code: problem.code, message: problem.message, hint: problem.hint)
    }

    package func accept(_ request: OperatorRequest, _ message: String) throws(ControllerRefusal) -> Accepted {
        let term = self.status().term.number
        do {
            try self.request(request)
        } catch {
            throw ControllerRefusal(error)
        }
        return Accepted(message: message, term: term)
    }

    package func currentSpec() throws(ControllerRefusal) -> ClusterSpec {
        if let spec = self.coordinator.latestSpec { return spec }
        throw ControllerRefusal(
            code: "no_cluster", message: "there is no cluster yet", hint: "Run 'pgha init -f FILE'.")
    }

    package func configReport() throws(ControllerRefusal) -> ConfigReport {
        ConfigReport(try self.currentSpec(), pendingRestart: self.pendingRestarts())
    }

    package func patchConfig(_ patch: ConfigPatch) throws(ControllerRefusal) -> ConfigReport {
        let spec = try patch.applied(to: try self.currentSpec())
        try self.requireSound(spec)
        _ = try self.accept(.setSpec(spec), "configuration changed")
        return ConfigReport(spec, pendingRestart: try self.configReport().pendingRestart)
    }

    /// Standbys one after the other; a leader in place only while the cluster is paused, or it would be replaced.
    package func restart(_ node: NodeName?) throws(ControllerRefusal) -> Accepted {
        let status = self.status()
        let leader = status.leader
        if let node, node == leader, !status.paused {
            throw ControllerRefusal(
                code: "invalid", message: "\(node) is the leader",
                hint: "Run 'pgha switchover' first, then restart it; or 'pgha pause' first, to restart it in place.")
        }
        let targets = self.nodes.keys.filter { (name: NodeName) in node == nil ? name != leader : name == node }
            .sorted()
        guard !targets.isEmpty else {
            throw ControllerRefusal(
                code: "unknown_node", message: "there is no such node", hint: "See 'pgha node list'.")
        }
        let accesses = targets.compactMap { self.nodes[$0]?.access }
        self.start { [logger = self.logger] in
            for (name, access) in zip(targets, accesses) {
                do {
                    try await access.restart()
                    logger.notice("restarted", metadata: ["node": "\(name)"])
                } catch {
                    logger.error("restart failed", metadata: ["node": "\(name)", "error": "\(error)"])
                    return
                }
            }
        }
        return Accepted(
            message: "restarting \(targets.map(\.text).joined(separator: ", "))", term: status.term.number)
    }
}
