import PGHAClient
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

/// Servers that pgha did not make and that have no agent.
@Suite(.serialized, .enabled(if: ScratchCluster.unavailable == nil, "PostgreSQL and the built pgha are needed"))
struct AdoptionTests {
    @Test func runningServersAreTakenOverUnderLoadAndFailOverWithoutAgents() async throws {
        let servers = try await ForeignServers.start()
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        try await controller.start()
        let starts = try await servers.startTimes()
        let writers = ForeignWriters(servers)
        try await writers.waitForMore()
        try await servers.adopt(by: controller)
        try await controller.wait(for: "a complete cluster") { $0.phase == "steady" && $0.cohort.count == 3 }
        try await writers.waitForMore()
        print("adopted: longest pause \(writers.longestPause)")
        #expect(try await servers.startTimes() == starts)

        let killed = ContinuousClock.now
        servers.all[0].kill()
        let first = try await writers.firstAck(after: killed, notBy: 0)
        print("primary killed: first commit after \(first.at - killed)")
        let status = try await controller.wait(for: "a steady cluster") { $0.phase == "steady" && $0.term == 2 }
        await writers.stop()
        #expect(status.leader == servers.names[first.server].text)
        #expect(try await servers.lost(writers.acknowledged, on: first.server) == [])
    }

    @Test func whatStandsInTheWayIsListedAndNothingIsChanged() async throws {
        let servers = try await ForeignServers.start(settings: [
            "max_replication_slots": "1", "full_page_writes": "off",
        ])
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        try await controller.start()
        let refusal = await #expect(throws: ScratchFailure.self) { try await servers.adopt(by: controller) }
        let words = refusal?.description ?? ""
        #expect(words.contains("6 things stand in the way"))
        #expect(words.contains("a: max_replication_slots is 1: 2 are needed [restart]"))
        #expect(words.contains("c: full_page_writes is off"))
        #expect(try await controller.client.status().phase == "none")
        try await servers.expectUntouched()
    }

    @Test func standbysThatCouldNotFollowAreFoundBeforeThePrimaryIsFenced() async throws {
        let servers = try await ForeignServers.start()
        // The roles may connect, but not replicate.
        try servers.all[0].write(
            "pg_hba.conf",
            "host replication pgha_replica all reject\nlocal all all trust\nhost all all all trust\n"
                + "host replication all all trust\n")
        try await servers.all[0].query("SELECT pg_reload_conf()")
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        try await controller.start()
        let refusal = await #expect(throws: ScratchFailure.self) { try await servers.adopt(by: controller) }
        #expect(refusal?.description.contains("b cannot follow a") == true)
        try await servers.expectUntouched()
    }

    @Test func aLostStoreIsMadeAgainFromTheServers() async throws {
        let servers = try await ForeignServers.start()
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        try await controller.start()
        try await servers.adopt(by: controller)
        try await controller.wait(for: "a complete cluster") { $0.phase == "steady" && $0.cohort.count == 3 }
        servers.all[0].kill()
        let before = try await controller.wait(for: "another leader") { $0.term == 2 && $0.phase == "steady" }
        let leader = try #require(servers.names.firstIndex { $0.text == before.leader })
        controller.kill()

        try await controller.start(store: "another.db")
        let writers = ForeignWriters(servers)
        let refusal = await #expect(throws: ScratchFailure.self) { try await servers.adopt(by: controller) }
        #expect(refusal?.description.contains("a controller of pgha leads it") == true)
        try await controller.pgha("store", "adopt", "-f", servers.spec(in: controller), "--no-wait")
        let after = try await controller.wait(for: "the leader to lead again") {
            $0.leader == before.leader && $0.phase == "steady"
        }
        #expect(after.term == before.term + 1)
        try await writers.waitForMore()
        await writers.stop()
        #expect(try await servers.lost(writers.acknowledged, on: leader) == [])
    }

    @Test func aStoreThatIsOlderThanItsClusterHaltsAndLeadsAgainOnRequest() async throws {
        let servers = try await ForeignServers.start()
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        try await controller.start()
        try await servers.adopt(by: controller)
        try await controller.wait(for: "a complete cluster") { $0.phase == "steady" && $0.cohort.count == 3 }
        controller.kill()
        try await controller.copyStore(to: "old.db")
        try await controller.start()
        try await controller.wait(for: "the same leader") { $0.leader == "a" && $0.phase == "steady" }
        servers.all[0].kill()
        let before = try await controller.wait(for: "another leader") { $0.term == 2 && $0.phase == "steady" }
        let leader = try #require(servers.names.firstIndex { $0.text == before.leader })
        controller.kill()

        try await controller.start(store: "old.db")
        try await controller.wait(for: "the old store to stop") { $0.phase == "halted" }
        let writers = ForeignWriters(servers)
        try await writers.waitForMore()
        let refusal = await #expect(throws: ScratchFailure.self) { try await servers.adopt(by: controller) }
        #expect(refusal?.description.contains("this controller already leads cluster 'adopted'") == true)
        try await controller.pgha("store", "adopt", "--no-wait")
        let after = try await controller.wait(for: "the leader to lead again") {
            $0.leader == before.leader && $0.phase == "steady"
        }
        #expect(after.term == before.term + 1)
        try await writers.waitForMore()
        await writers.stop()
        #expect(try await servers.lost(writers.acknowledged, on: leader) == [])
    }
}
