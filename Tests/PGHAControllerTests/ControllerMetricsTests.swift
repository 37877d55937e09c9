import PGHAClient
import PGHAController
import PGHACore
import Testing

@Suite struct ControllerMetricsTests {
    private static func status() -> ClusterStatus {
        let a = NodeName("a")!
        let b = NodeName("b")!
        func node(_ name: NodeName, _ role: ClusterStatus.Node.Role, _ state: String) -> ClusterStatus.Node {
            ClusterStatus.Node(
                spec: NodeSpec(name: name, host: "h", port: 5432, agent: "http://h:8433"), role: role, state: state,
                timeline: TimelineID(2), position: LSN(100), lagBytes: nil, lagSeconds: nil,
                sync: role == .primary ? .leader : .quorum, postmasterPID: 1, agentPID: 2,
                evidenceAge: .milliseconds(120), problems: [])
        }
        var standby = node(b, .standby, "streaming")
        standby.lagBytes = 64
        standby.lagSeconds = 0.5
        standby.agentPID = nil
        standby.problems = ["its agent does not answer"]
        let rule = Rule(
            number: RuleNumber(term: Term(3), version: 1), nonce: 1, leader: a, cohort: [a, b], copies: 2)
        return ClusterStatus(
            cluster: "demo", term: Term(3), leader: a, rule: rule, phase: "steady", durability: Durability(),
            effectiveCopies: 2, atRiskReason: "a change of rule is not confirmed yet", verdict: "healthy",
            waitingFor: nil, paused: false, nodes: [node(a, .primary, "leading"), standby])
    }

    /// Samples without the buckets of histograms.
    private func samples(_ text: String) -> [String] {
        text.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") && !$0.contains("_bucket{") }
    }

    private static let expected = """
        pgha_cluster_at_risk 1
        pgha_cluster_copies 2
        pgha_cluster_copies_wanted 2
        pgha_cluster_info{cluster="demo",durability="quorum"} 1
        pgha_cluster_paused 0
        pgha_cluster_phase{phase="bootstrap"} 0
        pgha_cluster_phase{phase="changing_rule"} 0
        pgha_cluster_phase{phase="halted"} 0
        pgha_cluster_phase{phase="none"} 0
        pgha_cluster_phase{phase="preparing"} 0
        pgha_cluster_phase{phase="promoting"} 0
        pgha_cluster_phase{phase="sealing"} 0
        pgha_cluster_phase{phase="steady"} 1
        pgha_cluster_risk{reason="namesakes"} 0
        pgha_cluster_risk{reason="no_candidate"} 0
        pgha_cluster_risk{reason="one_copy"} 0
        pgha_cluster_risk{reason="too_few_standbys"} 0
        pgha_cluster_risk{reason="unconfirmed_rule"} 1
        pgha_cluster_rule_version 1
        pgha_cluster_term 3
        pgha_cluster_waiting 0
        pgha_controller_leading 1
        pgha_failover_bytes_at_risk 0
        pgha_failover_duration_seconds_sum 0.375
        pgha_failover_duration_seconds_count 2
        pgha_failover_possible 1
        pgha_failover_predicted_seconds 0.125
        pgha_failovers_total{reason="automatic"} 1
        pgha_failovers_total{reason="forced"} 1
        pgha_failovers_total{reason="requested"} 0
        pgha_leader_verdict{verdict="healthy"} 1
        pgha_leader_verdict{verdict="inconclusive"} 0
        pgha_leader_verdict{verdict="replace"} 0
        pgha_leader_verdict{verdict="suspect"} 0
        pgha_node_agent_up{node="a"} 1
        pgha_node_agent_up{node="b"} 0
        pgha_node_evidence_age_seconds{node="a"} 0.12
        pgha_node_evidence_age_seconds{node="b"} 0.12
        pgha_node_in_cohort{node="a"} 1
        pgha_node_in_cohort{node="b"} 1
        pgha_node_lag_bytes{node="b"} 64
        pgha_node_lag_seconds{node="b"} 0.5
        pgha_node_leads{node="a"} 1
        pgha_node_leads{node="b"} 0
        pgha_node_problems{node="a"} 0
        pgha_node_problems{node="b"} 1
        pgha_node_role{node="a",role="down"} 0
        pgha_node_role{node="a",role="primary"} 1
        pgha_node_role{node="a",role="standby"} 0
        pgha_node_role{node="a",role="unknown"} 0
        pgha_node_role{node="b",role="down"} 0
        pgha_node_role{node="b",role="primary"} 0
        pgha_node_role{node="b",role="standby"} 1
        pgha_node_role{node="b",role="unknown"} 0
        pgha_node_streams{node="a"} 0
        pgha_node_streams{node="b"} 1
        pgha_node_timeline{node="a"} 2
        pgha_node_timeline{node="b"} 2
        pgha_node_up{node="a"} 1
        pgha_node_up{node="b"} 1
        pgha_order_duration_seconds_sum{command="checkpoint",outcome="done"} 0.02
        pgha_order_duration_seconds_count{command="checkpoint",outcome="done"} 1
        pgha_probe_duration_seconds_sum{node="a"} 0.002
        pgha_probe_duration_seconds_count{node="a"} 1
        pgha_procedure_phase_age_seconds 0.5
        pgha_procedure_phase_duration_seconds_sum{phase="sealing"} 0.025
        pgha_procedure_phase_duration_seconds_count{phase="sealing"} 1
        pgha_slot_active{node="a",slot="pgha_b"} 1
        pgha_slot_lost{node="a",slot="pgha_b"} 0
        pgha_slot_retained_bytes{node="a",slot="pgha_b"} 4096
        pgha_store_write_duration_seconds_sum 0.005
        pgha_store_write_duration_seconds_count 1
        pgha_switchover_duration_seconds_sum 0.5
        pgha_switchover_duration_seconds_count 1
        pgha_switchovers_total 1
        pgha_tls_certificate_expiry_timestamp_seconds{setting="http_tls_ca_file"} 1900000000
        pgha_tls_certificate_expiry_timestamp_seconds{setting="http_tls_cert_file"} 1800000000
        """

    @Test func theTextShowsTheStatusAndWhatHappened() {
        let metrics = ControllerMetrics()
        metrics.probed(NodeName("a")!, took: .milliseconds(2))
        metrics.ordered(.checkpoint, failed: false, took: .milliseconds(20))
        metrics.wrote(took: .milliseconds(5))
        metrics.led(.automatic, took: .milliseconds(125))
        metrics.led(.requested(target: nil, force: true), took: .milliseconds(250))
        metrics.led(.planned(candidate: NodeName("b")!), took: .milliseconds(500))
        metrics.led(.adopt(leader: NodeName("b")!), took: .milliseconds(500))
        metrics.left(phase: "sealing", after: .milliseconds(25))
        let details = ControllerMetrics.Details(
            risk: .unconfirmedRule, phaseAge: .milliseconds(500),
            slots: [SlotStatus(node: NodeName("a")!, slot: "pgha_b", active: true, lost: false, retainedBytes: 4096)],
            plan: FailoverPlan(
                leader: "a", term: 4, winner: "b", obstacle: nil, bytesAtRisk: 0, expectedMilliseconds: 125,
                candidates: []),
            certificates: ["http_tls_cert_file": 1_800_000_000, "http_tls_ca_file": 1_900_000_000])
        let text = metrics.text(Self.status(), leading: true, details: details)
        #expect(
            self.samples(text).filter { !$0.hasPrefix("process_") }
                == Self.expected.split(separator: "\n").map(String.init))
    }

    @Test func aNodeThatLeftIsNoLongerShown() {
        let metrics = ControllerMetrics()
        var status = Self.status()
        _ = metrics.text(status, leading: true)
        status.nodes.removeLast()
        #expect(!metrics.text(status, leading: true).contains("node=\"b\""))
    }
}
