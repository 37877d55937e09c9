import Glibc
import PGHAClient
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

/// `pgha status` says what is known, and no more (P7).
extension RealClusters { @Suite struct StatusTests {
    private static let healthy: Set<String> = ["leading", "streaming"]
    /// The freshness limit, and what a probe and a look at the status take on a busy machine.
    private static let stale = Timings().freshness + .milliseconds(700)

    /// From `since` on, `node` may be shown as healthy until the freshness limit, never later.
    private func neverHealthyLater(
        _ cluster: ScratchCluster, _ nodes: [ScratchCluster.Node], since: ContinuousClock.Instant
    ) async throws {
        try await RealClusters.always(cluster, for: since + Self.stale + .seconds(2) - .now) { status in
            for node in status.nodes where Self.healthy.contains(node.state) {
                if let age = node.evidenceAgeMilliseconds, age >= Timings().freshness.milliseconds {
                    return "\(node.name) is '\(node.state)' on evidence of \(age) ms ago"
                }
                if .now - since > Self.stale, nodes.contains(where: { $0.name.text == node.name }) {
                    return "\(node.name) is still '\(node.state)' \(ContinuousClock.now - since) after it was stopped"
                }
            }
            return nil
        }
    }

    @Test func whatDoesNotAnswerIsShownAsUnknownAndNeverAsHealthy() async throws {
        try await RealClusters.withCluster { cluster in
            let standby = try await cluster.standbys()[0]
            let name = standby.name.text

            // A frozen host: nothing is known of it.
            cluster.signalHost(standby, SIGSTOP)
            try await self.neverHealthyLater(cluster, [standby], since: .now)
            let frozen = try #require(try await cluster.status()[name])
            #expect(frozen.role == "unknown")
            #expect(frozen.state == "unreachable")
            #expect(frozen.lagBytes == nil)
            #expect(frozen.problems.contains { $0.contains("agent") })
            cluster.signalHost(standby, SIGCONT)
            try await cluster.waitUntilComplete()

            // A killed agent: the server is as before, and the missing agent is said.
            cluster.killAgent(standby)
            try await cluster.wait(for: "the agent's absence to show") { status in
                status[name].map { $0.agentPID == nil && $0.problems.contains { $0.contains("agent") } } == true
            }
            #expect(try await cluster.status()[name]?.state == "streaming")
            // Then its server as well: refused, so down.
            cluster.killPostmaster(standby)
            try await cluster.wait(for: "the server to be shown as down") { $0[name]?.role == "down" }
            try cluster.startAgent(standby)
            try await cluster.waitUntilComplete()
        }
    }

    /// Paused, so that nothing is done about it: what the status says of a dead leader and its standbys.
    @Test func theStandbysOfAFrozenLeaderAreNotShownAsStreaming() async throws {
        try await RealClusters.withCluster { cluster in
            _ = try await cluster.client.pause()
            try await cluster.wait(for: "the pause") { $0.paused }
            let leader = try await cluster.leader()
            let serversOnly = cluster.serverPIDs(leader)
            for pid in serversOnly { kill(pid, SIGSTOP) }
            try await self.neverHealthyLater(cluster, cluster.nodes, since: .now)
            let status = try await cluster.status()
            #expect(status.verdict.hasPrefix("replace") || status.verdict.hasPrefix("inconclusive"))
            #expect(status[leader.name.text]?.role == "unknown")
            #expect(status.leader == leader.name.text)
            try await cluster.wait(for: "the reason to be said") { $0.waitingFor?.contains("paused") == true }
            for pid in serversOnly { kill(pid, SIGCONT) }
            try await cluster.wait(for: "a healthy leader") { $0.verdict == "healthy" }
            _ = try await cluster.client.resume()
            try await cluster.waitUntilComplete()
            #expect(try await cluster.status().term == 1)
        }
    }

    /// A server that refuses us is alive.
    @Test func aRefusedPasswordIsSaidAndIsNoReasonToFailOver() async throws {
        try await RealClusters.withCluster { cluster in
            let leader = try await cluster.leader()
            try await cluster.query("ALTER ROLE pgha_control PASSWORD 'another'", on: leader)
            try await self.endSessions(cluster, on: cluster.nodes)
            try await cluster.wait(for: "the refusal to show") { status in
                status[leader.name.text]?.problems.contains { $0.contains("28P01") } == true
            }
            try await RealClusters.always(cluster, for: .seconds(6)) { status in
                if status.term != 1 || status.phase != "steady" { return "term \(status.term), \(status.phase)" }
                if status.verdict.hasPrefix("replace") { return status.verdict }
                let claimsToKnow = status.nodes.first { node in
                    Self.healthy.contains(node.state) && node.problems.contains { $0.contains("28P01") }
                }
                return claimsToKnow.map { "\($0)" }
            }
            try await cluster.query("ALTER ROLE pgha_control PASSWORD 'control'", on: leader)
            try await cluster.waitUntilComplete()
            #expect(try await cluster.status().term == 1)
        }
    }

    @Test func aPrimaryWithoutFreeConnectionsIsAliveAndTheReasonIsSaid() async throws {
        var options = ScratchCluster.Options()
        options.postgres = ["max_connections": "25"]
        try await RealClusters.withCluster(options) { cluster in
            let leader = try await cluster.leader()
            var held: [PostgresConnection] = []
            // Until nobody gets in; then our own sessions end and their places are taken too.
            for _ in 0..<3 {
                while let session = try? await cluster.connect(leader) { held.append(session) }
                _ = try await held[0].query(Self.endControlSessions)
            }
            try await cluster.wait(for: "the missing connections to show") { status in
                status[leader.name.text]?.problems.contains { $0.contains("53300") } == true
            }
            try await RealClusters.always(cluster, for: .seconds(6)) { status in
                if status.term != 1 || status.phase != "steady" { return "term \(status.term), \(status.phase)" }
                return status.verdict.hasPrefix("replace") ? status.verdict : nil
            }
            for session in held { await session.close() }
            try await cluster.waitUntilComplete()
            #expect(try await cluster.status().term == 1)
        }
    }

    private static let endControlSessions =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pgha_control'"

    private func endSessions(_ cluster: ScratchCluster, on nodes: [ScratchCluster.Node]) async throws {
        for node in nodes { try await cluster.query(Self.endControlSessions, on: node) }
    }
} }
