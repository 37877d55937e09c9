import Glibc
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

/// What a client of the pooler is told.
extension Faults {
    @Suite struct PooledTests {
        @Test func s23_aCommitInFlightIsNoLieAndAnOpenTransactionIsToldTheTruth() async throws {
            try await Drill.run("23", changes: 1) { drill in
                let old = try await drill.leader()
                try drill.cluster.startPooler()
                let committing = try await drill.pooled()
                let open = try await drill.pooled()
                try await open.query("BEGIN")
                try await open.query("INSERT INTO ids VALUES (-2, 'open')")
                for standby in try await drill.standbys() {
                    try await drill.cluster.cut(.node(old), from: .node(standby))
                }
                async let outcome = Result(catching: {
                    try await committing.query("INSERT INTO ids VALUES (-1, 'in flight')", timeout: .seconds(60))
                })
                try await drill.cluster.wait(
                    until:
                        "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%in flight%')",
                    on: old)
                let killed = ContinuousClock.now
                drill.cluster.killHost(old)
                let told = await outcome
                drill.say("COMMIT in flight: \(told) after \(ContinuousClock.now - killed)")
                let first = try await drill.gap("postmaster killed", since: killed, notBy: old)
                let present =
                    try await drill.cluster.value(
                        "SELECT count(*)::text AS value FROM ids WHERE id = -1", on: drill.cluster.node(first.node.text)
                    ) == "1"
                switch told {
                case .success: #expect(present, "acknowledged and not there")
                case .failure(let error): #expect((error as? PostgresError)?.sqlstate == "08007")
                }
                let next = await Result(catching: { try await open.query("SELECT 1") })
                drill.say("open transaction: \(next)")
                if case .failure(let error) = next {
                    #expect(["40001", "08006"].contains((error as? PostgresError)?.sqlstate ?? ""))
                } else {
                    Issue.record("an open transaction survived its server")
                }
                try await drill.cluster.mendNetwork()
                try drill.start(old)
            }
        }

        /// PostgreSQL shows a commit that waited for its standby once its server has restarted.
        @Test func s16_afterARestartNobodySeesACommitThatIsNotDurable() async throws {
            try await Drill.run("16", changes: 0) { drill in
                let leader = try await drill.leader()
                let standbys = try await drill.standbys()
                try drill.cluster.startPooler()
                try await drill.pooled().close()
                try await drill.forbidPromotion(of: standbys)
                for standby in standbys { try await drill.cluster.cut(.node(leader), from: .node(standby)) }
                let doubtful = try await drill.pooled()
                async let outcome = Result(catching: {
                    try await doubtful.query("INSERT INTO ids VALUES (-1, 'in doubt')", timeout: .seconds(60))
                })
                try await drill.cluster.wait(
                    until:
                        "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%in doubt%')",
                    on: leader)
                drill.cluster.killPostmaster(leader)
                _ = await outcome
                try await drill.cluster.wait(until: "NOT pg_is_in_recovery()", on: leader)
                let restarted = ContinuousClock.now
                var seen = 0
                while ContinuousClock.now - restarted < .seconds(5) {
                    guard let session = try? await drill.pooled(within: .seconds(1)) else { continue }
                    let rows = try? await session.query("SELECT id FROM ids WHERE id = -1", timeout: .seconds(1))
                    seen += rows?.count ?? 0
                    await session.close()
                }
                #expect(seen == 0, "a commit without its copies was shown \(seen) times")
                try await drill.cluster.mendNetwork()
                let mended = ContinuousClock.now
                var isVisible = false
                while !isVisible {
                    try #require(ContinuousClock.now - mended < .seconds(60))
                    guard let session = try? await drill.pooled() else { continue }
                    let rows = try? await session.query("SELECT id FROM ids WHERE id = -1", timeout: .seconds(10))
                    isVisible = rows?.isEmpty == false
                    await session.close()
                }
                drill.say("visible \(ContinuousClock.now - mended) after its copies could be made")
            }
        }

        @Test func aPoolerThatTheControllerCannotReachGoesOn() async throws {
            try await Drill.run("pooler cut from the controller", changes: 0) { drill in
                try drill.cluster.startPooler()
                let session = try await drill.pooled()
                try await drill.cluster.cut(.controller, from: .pooler)
                let cut = ContinuousClock.now
                var longest = Duration.zero
                while ContinuousClock.now - cut < .seconds(12) {
                    let sent = ContinuousClock.now
                    try await session.query("SELECT count(*) FROM ids", timeout: .seconds(5))
                    longest = max(longest, ContinuousClock.now - sent)
                    try await Task.sleep(for: .milliseconds(20))
                }
                drill.say("longest statement \(longest)")
            }
        }
    }
}
