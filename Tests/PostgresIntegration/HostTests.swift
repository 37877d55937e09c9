import Glibc
import PGHAClient
import PGHACore
import PGHATesting
import Testing

/// Processes and hosts that end, alone and together.
extension RealClusters {
    @Suite struct HostTests {
        @Test func aHostWhoseProcessesAllDiedIsReplacedAndComesBackByItself() async throws {
            try await RealClusters.underLoad(changes: 1) { cluster, recorder in
                let old = try await cluster.leader()
                let killed = ContinuousClock.now
                cluster.killHost(old)
                let first = try await recorder.waitForAck(after: killed, notBy: old.name)
                print("host killed: first commit on \(first.node) after \(first.acknowledged - killed)")
                let returned = ContinuousClock.now
                try cluster.startAgent(old)
                try await cluster.wait(for: "the old leader to stream") {
                    $0[old.name.text]?.state == "streaming"
                }
                print("old leader streams again after \(ContinuousClock.now - returned)")
                try await cluster.waitUntilComplete()
                #expect(try await cluster.status().term == 2)
            }
        }

        @Test func anAgentsRestartLeavesItsServerAloneAndItsAbsenceDoesNotPreventAFailover() async throws {
            try await RealClusters.underLoad(changes: 1) { cluster, recorder in
                let leader = try await cluster.leader()
                let postmaster = try #require(cluster.postmasterPID(leader))
                cluster.killAgent(leader)
                try await RealClusters.always(cluster, for: .seconds(2)) { status in
                    status.term == 1 && !status.verdict.hasPrefix("replace")
                        ? nil : "term \(status.term), \(status.verdict)"
                }
                try await cluster.wait(for: "a healthy leader without an agent") {
                    $0.verdict == "healthy" && $0[leader.name.text]?.agentPID == nil
                }
                try cluster.startAgent(leader)
                try await cluster.wait(for: "the new agent to report the running server") { status in
                    status[leader.name.text]?.agentPID == cluster.agentPID(leader)
                        && status[leader.name.text]?.postmasterPID == postmaster
                }
                #expect(try await cluster.waitUntilComplete().term == 1)

                // Without an agent's word: connections are refused, and no standby receives any more.
                cluster.killAgent(leader)
                let killed = ContinuousClock.now
                cluster.killPostmaster(leader)
                let first = try await recorder.waitForAck(after: killed, notBy: leader.name)
                print("agent and postmaster killed: first commit on \(first.node) after \(first.acknowledged - killed)")
                try cluster.startAgent(leader)
                #expect(try await cluster.waitUntilComplete().term == 2)
            }
        }

        @Test func withoutAnyStandbyTheLeaderIsRestartedInPlace() async throws {
            try await RealClusters.underLoad(changes: 0) { cluster, recorder in
                let leader = try await cluster.leader()
                let standbys = try await cluster.standbys()
                let timeline = try #require(try await cluster.status()[leader.name.text]?.timeline)
                for standby in standbys { cluster.killHost(standby) }
                let before = try #require(cluster.postmasterPID(leader))
                // While one of them seems to answer, a failover would be begun instead.
                try await cluster.wait(for: "the risk to be said") { status in
                    status.atRisk && standbys.allSatisfy { status[$0.name.text]?.role != "standby" }
                }
                cluster.killPostmaster(leader)
                try await cluster.wait(for: "the leader to run again") { status in
                    guard let node = status[leader.name.text] else { return false }
                    return node.state == "leading" && node.postmasterPID.map { $0 != before } == true
                }
                for standby in standbys { try cluster.startAgent(standby) }
                let status = try await cluster.waitUntilComplete()
                #expect(status.term == 1)
                #expect(status[leader.name.text]?.timeline == timeline)
                _ = try await recorder.waitForAck(after: .now, notBy: NodeName("nobody")!)
            }
        }

        /// Two of three gone at once: a commit may be on those two alone.
        @Test func withTooFewServersNobodyIsPromotedUntilAnOperatorAcceptsTheLoss() async throws {
            try await RealClusters.withCluster { cluster in
                let leader = try await cluster.leader()
                let standbys = try await cluster.standbys()
                cluster.killHost(standbys[1])
                try await cluster.wait(for: "the lost standby to be shown") {
                    $0[standbys[1].name.text]?.role != "standby"
                }
                cluster.signalHost(leader, SIGSTOP)
                try await cluster.wait(for: "the reason to be said") { $0.waitingFor?.contains("too few") == true }
                #expect(try await cluster.status().term == 1)
                _ = try await cluster.client.failover(FailoverCommand())
                try await cluster.wait(for: "the refusal to name what is missing") { status in
                    status.phase == "sealing" && status.waitingFor?.contains(standbys[1].name.text) == true
                }
                let code = await RealClusters.refusal {
                    _ = try await cluster.client.failover(FailoverCommand(force: true))
                }
                #expect(code == "invalid")
                _ = try await cluster.client.failover(FailoverCommand(force: true, acceptDataLoss: true))
                // Only one server is left: with two copies asked for, nothing is acknowledged until another follows.
                try await cluster.wait(for: "the last server to lead", timeout: .seconds(60)) {
                    $0.leader == standbys[0].name.text || $0.phase == "promoting"
                }
                let history = try await cluster.client.history()
                #expect(history.entries.contains { $0.kind == "forced" })
                cluster.signalHost(leader, SIGCONT)
                try cluster.startAgent(standbys[1])
                let status = try await cluster.waitUntilComplete()
                #expect(status.leader == standbys[0].name.text)
            }
        }

        @Test(arguments: [[0, 1, 2], [2, 1, 0]])
        func afterAPowerLossTheClusterComesUpByItself(order: [Int]) async throws {
            try await RealClusters.underLoad { cluster, recorder in
                cluster.killController()
                for node in cluster.nodes { cluster.killHost(node) }
                for index in order { try cluster.startAgent(cluster.nodes[index]) }
                try cluster.startController()
                let started = ContinuousClock.now
                try await cluster.waitUntilComplete()
                print("complete \(ContinuousClock.now - started) after the power came back")
                _ = try await recorder.waitForAck(after: started, notBy: NodeName("nobody")!)
            }
        }

        @Test func threeFailoversInARowLoseNothingAndLeaveACompleteCluster() async throws {
            var options = ScratchCluster.Options()
            options.timings.failoverInterval = .milliseconds(100)
            try await RealClusters.underLoad(options, changes: 3) { cluster, recorder in
                for round in 1...3 {
                    let old = try await cluster.leader()
                    let killed = ContinuousClock.now
                    cluster.killHost(old)
                    let first = try await recorder.waitForAck(after: killed, notBy: old.name)
                    print("failover \(round): \(old.name) to \(first.node), gap \(first.acknowledged - killed)")
                    try cluster.startAgent(old)
                    let status = try await cluster.waitUntilComplete()
                    #expect(status.term == UInt64(round) + 1)
                }
                // Every member keeps a slot for each of its peers.
                for node in cluster.nodes {
                    try await cluster.wait(
                        until: """
                            SELECT count(*) = \(cluster.nodes.count - 1) FROM pg_replication_slots
                            WHERE restart_lsn IS NOT NULL
                            """, on: node)
                }
            }
        }
    }
}
