import Glibc
import PGHAClient
import PGHACore
import PGHATesting
import Testing

/// Two servers: the controller's store is the third vote.
extension RealClusters {
    @Suite struct TwoNodeTests {
        @Test func aLostStandbyMeansOneCopyAndItsReturnMeansTwo() async throws {
            var options = ScratchCluster.Options()
            options.nodes = 2
            options.onStandbyLoss = .degrade
            options.timings.standbyTimeout = .seconds(2)
            try await RealClusters.underLoad(options, changes: 1) { cluster, recorder in
                let leader = try await cluster.leader()
                let standby = try await cluster.standbys()[0]
                let killed = ContinuousClock.now
                cluster.killHost(standby)
                let alone = try await cluster.wait(for: "one copy") {
                    $0.durability.effectiveCopies == 1 && $0.phase == "steady"
                }
                #expect(alone.atRisk)
                #expect(alone.leader == leader.name.text)
                let next = try await recorder.waitForAck(
                    after: killed + options.timings.standbyTimeout, notBy: standby.name)
                print("commits went on with one copy \(next.acknowledged - killed) after the standby's death")
                // Only the leader holds what was just acknowledged: nobody else may be promoted.
                try cluster.startAgent(standby)
                try await cluster.wait(for: "two copies and no risk") {
                    $0.durability.effectiveCopies == 2 && $0.phase == "steady" && !$0.atRisk
                }
                try await cluster.waitUntilComplete()
                let gone = ContinuousClock.now
                cluster.killHost(leader)
                let first = try await recorder.waitForAck(after: gone, notBy: leader.name)
                print("the standby of two leads: first commit after \(first.acknowledged - gone)")
                try cluster.startAgent(leader)
                let status = try await cluster.waitUntilComplete()
                #expect(status.leader == standby.name.text)
                #expect(status.term == 2)
            }
        }
    }
}
