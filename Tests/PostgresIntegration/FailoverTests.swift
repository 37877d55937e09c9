import Glibc
import PGHAClient
import PGHACore
import PGHATesting
import Testing

extension RealClusters {
    @Suite struct FailoverTests {
        @Test func aKilledPrimaryIsReplacedNothingIsLostAndItComesBack() async throws {
            let cluster = try await ScratchCluster.start()
            defer { cluster.tearDown() }
            let recorder = AckRecorder(cluster)
            recorder.start()
            let old = try await cluster.leader()
            _ = try await recorder.waitForAck(after: .now, notBy: NodeName("nobody")!)
            let killed = ContinuousClock.now
            cluster.killPostmaster(old)
            let first = try await recorder.waitForAck(after: killed, notBy: old.name)
            let complete = try await cluster.waitUntilComplete()
            await recorder.stop()
            let new = try await cluster.leader()
            print("postmaster killed: first commit on \(first.node) after \(first.acknowledged - killed)")
            #expect(new.name == first.node)
            #expect(complete.term == 2)
            #expect(try await recorder.lost(on: new) == [])
            #expect(recorder.changesOfServer() == 1)
        }

        @Test func aFrozenHostIsReplacedAndAcknowledgesNothingAfterItsThaw() async throws {
            let cluster = try await ScratchCluster.start()
            defer { cluster.tearDown() }
            let recorder = AckRecorder(cluster)
            recorder.start()
            let old = try await cluster.leader()
            _ = try await recorder.waitForAck(after: .now, notBy: NodeName("nobody")!)
            let frozen = ContinuousClock.now
            cluster.signalHost(old, SIGSTOP)
            let first = try await recorder.waitForAck(after: frozen, notBy: old.name)
            print("host frozen: first commit on \(first.node) after \(first.acknowledged - frozen)")
            try await cluster.wait(for: "a steady cluster without the frozen node") {
                $0.phase == "steady" && $0.leader == first.node.text
            }
            cluster.signalHost(old, SIGCONT)
            try await cluster.waitUntilComplete()
            await recorder.stop()
            #expect(try await recorder.lost(on: cluster.leader()) == [])
            #expect(recorder.changesOfServer() == 1)
        }

        @Test func switchingOverThereAndBackThreeTimesLosesNothing() async throws {
            let cluster = try await ScratchCluster.start()
            defer { cluster.tearDown() }
            let recorder = AckRecorder(cluster)
            recorder.start()
            for round in 1...6 {
                let old = try await cluster.leader()
                let target = cluster.nodes[round % 2 == 1 ? 1 : 0]
                let asked = ContinuousClock.now
                try await cluster.switchover(to: target)
                let first = try await recorder.waitForAck(after: asked, notBy: old.name)
                let last = recorder.all.filter { $0.node == old.name }.map(\.acknowledged).max() ?? asked
                print("switchover \(round): gap \(first.acknowledged - last)")
                #expect(first.node == target.name)
                try await cluster.waitUntilComplete()
            }
            await recorder.stop()
            #expect(try await recorder.lost(on: cluster.leader()) == [])
            #expect(recorder.changesOfServer() == 6)
        }
    }
}
