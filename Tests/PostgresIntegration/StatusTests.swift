import Glibc
import PGHAClient
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

/// `pgha status` says what is known, and no more (P7).
extension RealClusters {
    @Suite struct StatusTests {
        private static let healthy: Set<String> = ["leading", "streaming"]
        /// Phases of a failover.
        private static let replacing: Set<String> = ["sealing", "promoting"]
        /// The freshness limit, and ample time for a probe and a look at the status on a busy machine.
        private static let stale = Timings().freshness + .seconds(12)

        /// Waits until none of `nodes`, which were just stopped, is shown as healthy, and sees that it stays so. What is shown
        /// as healthy meanwhile rests on evidence within the freshness limit.
        private func becomeUnknownForGood(_ cluster: ScratchCluster, _ nodes: [ScratchCluster.Node]) async throws {
            try await cluster.wait(for: "none of them to be shown as healthy", timeout: Self.stale) { status in
                if let broken = self.claimOnOldEvidence(status) { Issue.record("\(broken)") }
                return self.shownAsHealthy(status, of: nodes) == nil
            }
            try await RealClusters.always(cluster, for: .seconds(2)) { status in
                self.claimOnOldEvidence(status) ?? self.shownAsHealthy(status, of: nodes)
            }
        }

        private func claimOnOldEvidence(_ status: StatusReport) -> String? {
            for node in status.nodes where Self.healthy.contains(node.state) {
                if let age = node.evidenceAgeMilliseconds, age >= Timings().freshness.milliseconds {
                    return "\(node.name) is '\(node.state)' on evidence of \(age) ms ago"
                }
            }
            return nil
        }

        private func shownAsHealthy(_ status: StatusReport, of nodes: [ScratchCluster.Node]) -> String? {
            let names = nodes.map(\.name.text)
            return status.nodes.first { names.contains($0.name) && Self.healthy.contains($0.state) }
                .map { "\($0.name) is '\($0.state)'" }
        }

        @Test func whatDoesNotAnswerIsShownAsUnknownAndNeverAsHealthy() async throws {
            try await RealClusters.withCluster { cluster in
                let standby = try await cluster.standbys()[0]
                let name = standby.name.text

                // A frozen host: nothing is known of it.
                cluster.signalHost(standby, SIGSTOP)
                try await self.becomeUnknownForGood(cluster, [standby])
                let frozen = try await cluster.wait(for: "the missing agent to be said") { status in
                    status[name]?.problems.contains { $0.contains("agent") } == true
                }
                #expect(frozen[name]?.role == "unknown")
                #expect(frozen[name]?.state == "unreachable")
                #expect(frozen[name]?.lagBytes == nil)
                cluster.signalHost(standby, SIGCONT)
                try await cluster.waitUntilComplete()

                // A killed agent: the server is as before, and the missing agent is said.
                cluster.killAgent(standby)
                try await cluster.wait(for: "the agent's absence to show") { status in
                    status[name].map { node in
                        node.agentPID == nil && node.state == "streaming"
                            && node.problems.contains { $0.contains("agent") }
                    } == true
                }
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
                try await self.becomeUnknownForGood(cluster, cluster.nodes)
                let status = try await cluster.wait(for: "the judgement") {
                    $0.verdict.hasPrefix("replace") || $0.verdict.hasPrefix("inconclusive")
                }
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
                    if status.term != 1 || Self.replacing.contains(status.phase) {
                        return "term \(status.term), \(status.phase)"
                    }
                    if status.verdict.hasPrefix("replace") { return status.verdict }
                    let claimsToKnow = status.nodes.first { node in
                        Self.healthy.contains(node.state) && node.problems.contains { $0.contains("28P01") }
                    }
                    return claimsToKnow.map { "\($0)" }
                }
                let password = try #require(ScratchCluster.passwords["pgha_control"])
                try await cluster.query("ALTER ROLE pgha_control PASSWORD '\(password)'", on: leader)
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
                // Until nobody gets in; then our own sessions end and their places are taken too, until that shows.
                let deadline = ContinuousClock.now + .seconds(60)
                var isShown = false
                while !isShown, ContinuousClock.now < deadline {
                    while let session = try? await cluster.connect(leader) { held.append(session) }
                    _ = try await held[0].query(Self.endControlSessions)
                    isShown =
                        try await cluster.status()[leader.name.text]?.problems.contains { $0.contains("53300") } == true
                }
                #expect(isShown)
                try await RealClusters.always(cluster, for: .seconds(6)) { status in
                    if status.term != 1 || Self.replacing.contains(status.phase) {
                        return "term \(status.term), \(status.phase)"
                    }
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
    }
}
