import Glibc
import PGHAClient
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

extension RealClusters {
    @Suite struct SwitchoverTests {
        /// A query on the candidate holds a snapshot that replay conflicts with, for up to half a minute. A superuser's is the
        /// agent's to end.
        @Test(arguments: ["reader", ScratchCluster.user])
        func aLongQueryOnTheCandidateDoesNotHoldASwitchoverUp(role: String) async throws {
            try await RealClusters.underLoad(changes: 1) { cluster, recorder in
                let old = try await cluster.leader()
                let candidate = try await cluster.standbys()[0]
                try await cluster.query("CREATE ROLE reader LOGIN PASSWORD 'reader'", on: old)
                try await cluster.query("GRANT SELECT ON ids TO reader", on: old)
                try await cluster.wait(until: "EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader')", on: candidate)
                var parameters = cluster.parameters(candidate)
                parameters.user = role
                parameters.password = Secret(role)
                let reader = try await PostgresConnection.open(parameters)
                _ = try await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
                _ = try await reader.query("SELECT count(*) FROM ids")
                try await cluster.query("DELETE FROM ids WHERE id = -1", on: old)
                try await cluster.query(
                    "INSERT INTO ids SELECT -g, 'gone' FROM generate_series(1, 2000) AS g", on: old)
                try await cluster.query("DELETE FROM ids WHERE id < 0", on: old)
                try await cluster.query("VACUUM ids", on: old)
                try await cluster.wait(
                    until: """
                        EXISTS (SELECT FROM pg_stat_activity
                          WHERE backend_type = 'startup' AND wait_event LIKE 'RecoveryConflict%')
                        """, on: candidate)
                let asked = ContinuousClock.now
                try await cluster.switchover(to: candidate)
                let first = try await recorder.waitForAck(after: asked, notBy: old.name)
                let last = recorder.all.filter { $0.node == old.name }.map(\.acknowledged).max() ?? asked
                print("switchover to a candidate with a long query of \(role): gap \(first.acknowledged - last)")
                #expect(first.node == candidate.name)
                // PostgreSQL would wait half a minute for the query.
                #expect(first.acknowledged - last < .seconds(25))
                await reader.close()
                try await cluster.waitUntilComplete()
            }
        }

        /// Two copies are asked for and only two servers answer: the old leader comes back for its copy before it follows.
        /// In which order, and that nobody waits for the frozen server, is shown by `FrozenThirdServerTests`.
        @Test func aFrozenThirdServerDoesNotHoldASwitchoverUp() async throws {
            try await RealClusters.underLoad(changes: 1) { cluster, recorder in
                let old = try await cluster.leader()
                let (candidate, frozen) = (try await cluster.standbys()[0], try await cluster.standbys()[1])
                cluster.signalHost(frozen, SIGSTOP)
                try await cluster.wait(for: "the frozen server to be missed") {
                    $0[frozen.name.text]?.role != "standby"
                }
                let asked = ContinuousClock.now
                try await cluster.switchover(to: candidate)
                let first = try await recorder.waitForAck(after: asked, notBy: old.name)
                let last = recorder.all.filter { $0.node == old.name }.map(\.acknowledged).max() ?? asked
                print("switchover beside a frozen server: gap \(first.acknowledged - last)")
                #expect(first.node == candidate.name)
                let status = try await cluster.wait(for: "the new term") {
                    $0.leader == candidate.name.text && $0.phase == "steady"
                }
                #expect(Set(status.cohort) == [candidate.name.text, old.name.text])
                cluster.signalHost(frozen, SIGCONT)
                try await cluster.waitUntilComplete()
            }
        }

        @Test func aSwitchoverToAServerThatDoesNotStreamIsRefusedAndChangesNothing() async throws {
            try await RealClusters.withCluster { cluster in
                let target = try await cluster.standbys()[0]
                let before = try await cluster.status()
                cluster.killHost(target)
                try await cluster.wait(for: "the target to be shown as down") {
                    $0[target.name.text]?.role != "standby"
                }
                let code = await RealClusters.refusal {
                    _ = try await cluster.client.switchover(SwitchoverCommand(target: target.name.text))
                }
                #expect(code == "not_ready")
                let unknown = await RealClusters.refusal {
                    _ = try await cluster.client.switchover(SwitchoverCommand(target: "nobody"))
                }
                #expect(unknown == "unknown_node")
                try cluster.startAgent(target)
                let status = try await cluster.waitUntilComplete()
                #expect(status.leader == before.leader)
                #expect(status.term == before.term)
            }
        }
    }
}
