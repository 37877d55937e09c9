import PGHAClient
import Testing

// A status is made by the coordinator alone, so its initialisers are its module's own.
@testable import PGHACore

/// Statuses to show.
enum Sample {
    static func node(_ name: String, _ port: Int = 15_432) throws -> NodeSpec {
        NodeSpec(name: try #require(NodeName(name)), host: "127.0.0.1", port: port, agent: "http://127.0.0.1:18433")
    }

    static func healthy() throws -> StatusReport { StatusReport(try self.status(), store: "sqlite", leading: true) }

    static func status() throws -> ClusterStatus {
        let rule = Rule(
            number: RuleNumber(term: Term(3), version: 1), nonce: 7, leader: try self.name("a"),
            cohort: [try self.name("b"), try self.name("c")], copies: 2)
        return ClusterStatus(
            cluster: "demo", term: Term(3), leader: rule.leader, rule: rule, phase: "steady", durability: Durability(),
            effectiveCopies: 2, atRiskReason: nil, verdict: "healthy", waitingFor: nil, paused: false,
            nodes: [
                try self.standing("a", .primary, "leading", .leader, age: 120),
                try self.standing("b", .standby, "streaming", .quorum, lag: 0, age: 80),
                try self.standing("c", .standby, "streaming", .quorum, lag: 3 << 20, seconds: 4.2, age: 90),
            ])
    }

    /// The leader is gone, nobody else can lead yet, one agent is silent.
    static func degraded() throws -> StatusReport {
        var status = try self.status()
        status.phase = "sealing"
        status.effectiveCopies = 1
        status.waitingFor = "c has not answered"
        status.atRiskReason = "1 of 2 standbys stream; 2 are needed to replace a"
        status.verdict = "replace: its agent saw the postmaster exit"
        status.paused = true
        status.nodes[0] = try self.standing("a", .down, "stopped", .leader, age: 310)
        status.nodes[2] = ClusterStatus.Node(
            spec: try self.node("c"), role: .unknown, state: "unreachable", timeline: nil, position: nil, lagBytes: nil,
            lagSeconds: nil, sync: .quorum, postmasterPID: nil, agentPID: nil, evidenceAge: nil,
            problems: ["its agent does not answer"])
        return StatusReport(status, store: "sqlite", leading: true)
    }

    static func empty() -> StatusReport {
        StatusReport(
            ClusterStatus(
                cluster: nil, term: .zero, leader: nil, rule: nil, phase: "none", durability: nil, effectiveCopies: nil,
                atRiskReason: nil, verdict: "suspect: not asked yet", waitingFor: nil, paused: false, nodes: []),
            store: "sqlite", leading: true)
    }

    private static func standing(
        _ name: String, _ role: ClusterStatus.Node.Role, _ state: String, _ sync: ClusterStatus.Node.Sync,
        lag: UInt64? = nil, seconds: Double = 0, age: Int
    ) throws -> ClusterStatus.Node {
        ClusterStatus.Node(
            spec: try self.node(name), role: role, state: state, timeline: TimelineID(3),
            position: LSN(0x16_B374_D848), lagBytes: lag, lagSeconds: lag.map { _ in seconds }, sync: sync,
            postmasterPID: 4711, agentPID: 4700, evidenceAge: .milliseconds(age), problems: [])
    }

    static func name(_ text: String) throws -> NodeName { try #require(NodeName(text)) }
}
