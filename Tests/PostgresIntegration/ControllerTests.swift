import Glibc
import PGHAClient
import PGHACore
import PGHATesting
import Testing

/// Controllers that are killed, doubled, or given an old store.
extension RealClusters {
    @Suite struct ControllerTests {
        /// Ends the controller at `point` of a procedure that `begin` starts, starts another, and expects the end.
        private func interrupt(
            _ cluster: ScratchCluster, at point: String, _ begin: (ScratchCluster.Node) async throws -> Void
        ) async throws {
            let old = try await cluster.leader()
            let term = try await cluster.status().term
            cluster.killController()
            try cluster.startController(environment: ["PGHA_TEST_EXIT_AFTER": point])
            try await cluster.waitUntilComplete()
            try await begin(old)
            do {
                try await cluster.waitForControllerExit()
            } catch {
                throw ScratchFailure("\(point) was not reached: \(error)")
            }
            let restarted = ContinuousClock.now
            try cluster.startController()
            let status: StatusReport
            do {
                status = try await cluster.waitUntilComplete()
            } catch {
                throw ScratchFailure("not finished after \(point): \(error)")
            }
            print(
                "killed at \(point): complete \(ContinuousClock.now - restarted) after the restart, term \(status.term)"
            )
            // A claim whose end nobody saw may be taken again, under another term.
            #expect(status.term > term || status.leader == old.name.text)
            for node in status.nodes { #expect(node.role == (node.name == status.leader ? "primary" : "standby")) }
        }

        @Test func aFailoverIsFinishedWhereverItsControllerWasKilled() async throws {
            try await RealClusters.underLoad { cluster, _ in
                for point in [
                    "stored-sealing:1", "during-seal:1", "after-seal:2", "before-read_position:1", "stored-promoting:1",
                    "during-promote:1", "after-promote:1", "stored-promoting:2", "after-write_term_row:1",
                    "before-set_sync_list:1", "during-set_sync_list:1", "stored-steady:1",
                ] {
                    try await self.interrupt(cluster, at: point) { old in cluster.killPostmaster(old) }
                }
            }
        }

        @Test func aSwitchoverIsFinishedOrUndoneWhereverItsControllerWasKilled() async throws {
            try await RealClusters.underLoad { cluster, _ in
                for point in [
                    "before-checkpoint:1", "stored-sealing:1", "during-fence:1", "after-fence:1", "after-seal:1",
                    "stored-promoting:1", "during-promote:1", "before-set_sync_list:1", "stored-steady:1",
                ] {
                    try await self.interrupt(cluster, at: point) { _ in
                        // The controller may end before it has answered.
                        try? await cluster.switchover()
                    }
                }
            }
        }

        /// A rule change too: a standby leaves the cohort and comes back.
        @Test func aRuleChangeIsFinishedWhereverItsControllerWasKilled() async throws {
            var options = ScratchCluster.Options()
            options.timings.standbyTimeout = .seconds(1)
            try await RealClusters.underLoad(options, changes: 0) { cluster, _ in
                for point in [
                    "stored-changing_rule:1", "during-set_sync_list:1", "after-set_sync_list:2", "stored-steady:1",
                ] {
                    let standby = try await cluster.standbys()[0]
                    cluster.killController()
                    try cluster.startController(environment: ["PGHA_TEST_EXIT_AFTER": point])
                    try await cluster.waitUntilComplete()
                    cluster.killHost(standby)
                    do {
                        try await cluster.waitForControllerExit()
                    } catch {
                        throw ScratchFailure("\(point) was not reached: \(error)")
                    }
                    try cluster.startAgent(standby)
                    try cluster.startController()
                    #expect(try await cluster.waitUntilComplete().term == 1)
                }
            }
        }

        @Test func aSecondControllerOnTheSameStoreIsRefused() async throws {
            try await RealClusters.withCluster { cluster in
                let (status, output) = try await cluster.runSecondController()
                #expect(status != 0)
                #expect(output.contains("\(try #require(cluster.controllerPID))"))
                print(output)
                #expect(try await cluster.waitUntilComplete().term == 1)
            }
        }

        @Test func aStoreOlderThanItsClusterDoesNotLead() async throws {
            try await RealClusters.underLoad(changes: 1) { cluster, recorder in
                cluster.killController()
                try await cluster.copyStore(to: "old")
                try cluster.startController()
                try await cluster.waitUntilComplete()
                let first = try await cluster.leader()
                let killed = ContinuousClock.now
                cluster.killPostmaster(first)
                _ = try await recorder.waitForAck(after: killed, notBy: first.name)
                try await cluster.waitUntilComplete()
                cluster.killController()
                try await cluster.copyStore(to: "new")

                try await cluster.restoreStore(from: "old")
                let before = try await self.fingerprint(cluster)
                try cluster.startController()
                let status = try await cluster.wait(for: "the controller to halt") { $0.phase == "halted" }
                #expect(status.waitingFor?.contains("pgha store adopt") == true)
                #expect(!status.controller.leading)
                // Some of its ordinary rounds.
                try await RealClusters.always(cluster, for: .seconds(5)) { $0.phase == "halted" ? nil : $0.phase }
                let later = try await cluster.wait(for: "what it sees") { status in
                    status.nodes.allSatisfy { $0.role == "primary" || $0.role == "standby" }
                }
                #expect(later.phase == "halted")
                #expect(!later.nodes.contains { $0.state == "forked" })
                #expect(try await self.fingerprint(cluster) == before)
                let code = await RealClusters.refusal { _ = try await cluster.client.switchover(SwitchoverCommand()) }
                #expect(code == "halted")
                // Clients did not notice.
                _ = try await recorder.waitForAck(after: .now, notBy: NodeName("nobody")!)

                cluster.killController()
                try await cluster.restoreStore(from: "new")
                try cluster.startController()
                #expect(try await cluster.waitUntilComplete().term == 2)
            }
        }

        /// Everything that a controller changes on servers.
        private func fingerprint(_ cluster: ScratchCluster) async throws -> [String] {
            var result: [String] = []
            for node in cluster.nodes {
                let value = try await cluster.value(
                    """
                    SELECT concat_ws(' | ', current_setting('pgha.term'), current_setting('primary_conninfo'),
                      current_setting('synchronous_standby_names'), pg_is_in_recovery(), pg_postmaster_start_time(),
                      pg_conf_load_time(), (SELECT string_agg(slot_name, ',' ORDER BY slot_name) FROM pg_replication_slots)
                    ) AS value
                    """, on: node)
                result.append(value ?? "nil")
            }
            return result
        }
    }
}
