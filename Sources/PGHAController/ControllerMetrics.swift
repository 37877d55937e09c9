package import PGHAClient
package import PGHACore
import PGHAObservability

/// What `GET /metrics` shows. Gauges are made from the status when they are asked for, so that they are as old as the
/// status says and nothing that left the cluster stays; counters and histograms are counted where things happen.
package struct ControllerMetrics: Sendable {
    private static let verdicts = ["healthy", "suspect", "inconclusive", "replace"]
    private static let roles: [ClusterStatus.Node.Role] = [.primary, .standby, .down, .unknown]
    private static let phaseNames = [
        "none", "steady", "bootstrap", "preparing", "sealing", "promoting", "changing_rule", "halted",
    ]

    private let metrics = Metrics()
    private let probes: Histogram
    private let orders: Histogram
    private let writes: Histogram
    private let failovers: Counter
    private let failoverDuration: Histogram
    private let switchovers: Counter
    private let switchoverDuration: Histogram
    private let phases: Histogram
    private let certificates: CertificateMetrics
    private let process: ProcessMetrics

    package init() {
        self.probes = self.metrics.histogram(
            "pgha_probe_duration_seconds", "Time of a probe that was answered.", labels: ["node"])
        self.orders = self.metrics.histogram(
            "pgha_order_duration_seconds", "Time of an order to a server or an agent.", labels: ["command", "outcome"])
        self.writes = self.metrics.histogram("pgha_store_write_duration_seconds", "Time of a write to the store.")
        self.failovers = self.metrics.counter(
            "pgha_failovers_total", "Failovers that have ended, by what began them.", labels: ["reason"])
        self.failoverDuration = self.metrics.histogram(
            "pgha_failover_duration_seconds", "From the decision to the open rule.")
        self.switchovers = self.metrics.counter("pgha_switchovers_total", "Switchovers that have ended.")
        self.switchoverDuration = self.metrics.histogram(
            "pgha_switchover_duration_seconds", "From the claim to the open rule.")
        self.phases = self.metrics.histogram(
            "pgha_procedure_phase_duration_seconds", "How long procedures spent in each phase.", labels: ["phase"])
        self.certificates = CertificateMetrics(self.metrics)
        self.process = ProcessMetrics(self.metrics)
        for reason in ["automatic", "requested", "forced"] { self.failovers.increment([reason], by: 0) }
    }

    // MARK: - What happened

    package func probed(_ node: NodeName, took: Duration) { self.probes.observe(took.inSeconds, [node.text]) }

    package func ordered(_ command: NodeCommand, failed: Bool, took: Duration) {
        self.orders.observe(took.inSeconds, [command.label, failed ? "failed" : "done"])
    }

    package func wrote(took: Duration) { self.writes.observe(took.inSeconds) }

    /// A procedure has left a phase.
    package func left(phase: String, after: Duration) { self.phases.observe(after.inSeconds, [phase]) }

    /// A change of leader has ended, with its entry in the history.
    package func led(_ kind: Failover.Kind, took: Duration) {
        switch kind {
        case .automatic: self.failedOver("automatic", took)
        case .requested(_, let force): self.failedOver(force ? "forced" : "requested", took)
        case .planned:
            self.switchovers.increment()
            self.switchoverDuration.observe(took.inSeconds)
        case .adopt: break
        }
    }

    private func failedOver(_ reason: String, _ took: Duration) {
        self.failovers.increment([reason])
        self.failoverDuration.observe(took.inSeconds)
    }

    // MARK: - How it is now

    /// The text for Prometheus.
    package func text(_ status: ClusterStatus, leading: Bool, details: Details = Details()) -> String {
        self.setCluster(status, leading: leading)
        self.setDetails(status, details)
        self.setNodes(status.nodes)
        self.certificates.update(details.certificates)
        self.process.update()
        return self.metrics.text()
    }

    /// What is no part of the status.
    package struct Details: Sendable {
        package var risk: ClusterRisk?
        /// How long the procedure under way has been in its phase; nil when there is none.
        package var phaseAge: Duration?
        package var slots: [SlotStatus]
        /// What a failover would do now; nil without a cluster.
        package var plan: FailoverPlan?
        /// See ``CertificateMetrics/update(_:)``.
        package var certificates: [String: Int]

        package init(
            risk: ClusterRisk? = nil, phaseAge: Duration? = nil, slots: [SlotStatus] = [], plan: FailoverPlan? = nil,
            certificates: [String: Int] = [:]
        ) {
            self.risk = risk
            self.phaseAge = phaseAge
            self.slots = slots
            self.plan = plan
            self.certificates = certificates
        }
    }

    private func setDetails(_ status: ClusterStatus, _ details: Details) {
        self.metrics.gauge(
            "pgha_cluster_info", "The cluster's name and durability.", labels: ["cluster", "durability"]
        )
        .replace(
            status.cluster.map { [(labelValues: [$0, status.durability?.mode.rawValue ?? ""], value: 1)] } ?? [])
        self.metrics.gauge("pgha_cluster_risk", "1 for what puts the cluster at risk.", labels: ["reason"])
            .replace(ClusterRisk.codes.map { (labelValues: [$0], value: details.risk?.code == $0 ? 1 : 0) })
        self.metrics.gauge("pgha_leader_verdict", "1 for the judgement of the leader.", labels: ["verdict"])
            .replace(Self.verdicts.map { (labelValues: [$0], value: status.verdict.hasPrefix($0) ? 1 : 0) })
        self.gauge("pgha_cluster_waiting", "Whether something that is due waits.", status.waitingFor == nil ? 0 : 1)
        self.gauge(
            "pgha_procedure_phase_age_seconds", "How long the procedure under way has been in its phase.",
            details.phaseAge?.inSeconds ?? 0)
        self.gauge(
            "pgha_failover_possible", "Whether a standby could take over now.",
            details.plan.map { $0.winner == nil ? 0 : 1 })
        self.gauge(
            "pgha_failover_predicted_seconds", "How long a failover would take, by this cluster's last ones.",
            details.plan?.expectedMilliseconds.map { Double($0) / 1000 })
        self.gauge(
            "pgha_failover_bytes_at_risk", "WAL that may be lost if the leader is replaced now.",
            details.plan?.bytesAtRisk.map { Double($0) })
        self.setSlots(details.slots)
    }

    private func setSlots(_ slots: [SlotStatus]) {
        func gauge(_ name: String, _ help: String, _ value: (SlotStatus) -> Double?) {
            self.metrics.gauge(name, help, labels: ["node", "slot"]).replace(
                slots.compactMap { slot in value(slot).map { (labelValues: [slot.node.text, slot.slot], value: $0) } })
        }
        gauge("pgha_slot_active", "Whether somebody streams from the slot.") { $0.active ? 1 : 0 }
        gauge("pgha_slot_lost", "Whether the slot was given up.") { $0.lost ? 1 : 0 }
        gauge("pgha_slot_retained_bytes", "WAL that is kept for the slot.") { $0.retainedBytes.map { Double($0) } }
    }

    private func gauge(_ name: String, _ help: String, _ value: Double?) {
        let gauge = self.metrics.gauge(name, help)
        gauge.replace(value.map { [(labelValues: [], value: $0)] } ?? [])
    }

    private func setCluster(_ status: ClusterStatus, leading: Bool) {
        self.gauge("pgha_controller_leading", "Whether this controller decides.", leading ? 1 : 0)
        self.gauge("pgha_cluster_term", "The term in force.", Double(status.term.number))
        self.gauge(
            "pgha_cluster_rule_version", "The rule's version within its term.",
            status.rule.map { Double($0.number.version) })
        self.gauge(
            "pgha_cluster_copies", "Copies that make a commit durable under the rule in force.",
            status.effectiveCopies.map { Double($0) })
        self.gauge(
            "pgha_cluster_copies_wanted", "Copies that the specification asks for.",
            status.durability.map { Double($0.copies) })
        self.gauge(
            "pgha_cluster_at_risk", "Whether one more loss would leave the cluster without a leader.",
            status.atRiskReason == nil ? 0 : 1)
        self.gauge("pgha_cluster_paused", "Whether automatic failover is paused.", status.paused ? 1 : 0)
        self.metrics.gauge("pgha_cluster_phase", "1 for the phase of the procedure under way.", labels: ["phase"])
            .replace(Self.phaseNames.map { (labelValues: [$0], value: $0 == status.phase ? 1 : 0) })
    }

    private func setNodes(_ nodes: [ClusterStatus.Node]) {
        func gauge(_ name: String, _ help: String, _ value: (ClusterStatus.Node) -> Double?) {
            self.metrics.gauge(name, help, labels: ["node"]).replace(
                nodes.compactMap { node in value(node).map { (labelValues: [node.spec.name.text], value: $0) } })
        }
        gauge("pgha_node_up", "Whether the server answers.") { $0.role == .primary || $0.role == .standby ? 1 : 0 }
        gauge("pgha_node_leads", "Whether the server leads.") { $0.state == "leading" ? 1 : 0 }
        gauge("pgha_node_streams", "Whether the standby streams from the leader.") { $0.state == "streaming" ? 1 : 0 }
        gauge("pgha_node_in_cohort", "Whether its acknowledgement may count.") { $0.sync == .observer ? 0 : 1 }
        gauge("pgha_node_timeline", "The server's timeline.") { $0.timeline.map { Double($0.number) } }
        gauge("pgha_node_lag_bytes", "WAL that the leader has and this server has not.") {
            $0.lagBytes.map { Double($0) }
        }
        gauge("pgha_node_lag_seconds", "How long ago the last replayed commit was made.") { $0.lagSeconds }
        gauge("pgha_node_evidence_age_seconds", "Age of the newest evidence.") { $0.evidenceAge?.inSeconds }
        gauge("pgha_node_agent_up", "Whether the node's agent answers; only for nodes with one.") { node in
            node.spec.agent == nil ? nil : node.agentPID == nil ? 0 : 1
        }
        gauge("pgha_node_problems", "Problems that the status shows.") { Double($0.problems.count) }
        self.metrics.gauge("pgha_node_role", "1 for the server's role.", labels: ["node", "role"]).replace(
            nodes.flatMap { node in
                Self.roles.map { (labelValues: [node.spec.name.text, $0.rawValue], value: node.role == $0 ? 1 : 0) }
            })
    }
}

extension Duration {
    var inSeconds: Double {
        Double(self.components.seconds) + Double(self.components.attoseconds) / 1e18
    }
}
