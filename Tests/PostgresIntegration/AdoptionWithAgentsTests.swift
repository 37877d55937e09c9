import PGHAClient
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

/// Servers that pgha did not make, with an agent beside each.
@Suite(.serialized, .enabled(if: ScratchCluster.unavailable == nil, "PostgreSQL and the built pgha are needed"))
struct AdoptionWithAgentsTests {
    @Test func runningServersAreTakenOverWithoutARestartAndTheKilledPrimaryComesBackByItself() async throws {
        let servers = try await ForeignServers.start()
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        try await controller.start()
        let agents = try await servers.startAgents(by: controller)
        let starts = try await servers.startTimes()
        let writers = ForeignWriters(servers)
        try await writers.waitForMore()
        // Neither a superuser's password nor a role of pgha's is there: the agents make do.
        try await controller.pgha("init", "--adopt", "-f", servers.spec(in: controller, agents: agents))
        try await controller.wait(for: "a complete cluster") { $0.phase == "steady" && $0.cohort.count == 3 }
        try await writers.waitForMore()
        print("adopted with agents: longest pause \(writers.longestPause)")
        #expect(try await servers.startTimes() == starts)
        let rules = servers.all[0].read("pg_hba.conf") ?? ""
        #expect(rules.contains("host all pgha_control,pgha_replica all scram-sha-256"))
        // Who else may connect stays the administrator's business.
        #expect(!rules.contains("host all all all"))

        let killed = ContinuousClock.now
        servers.all[0].kill()
        let first = try await writers.firstAck(after: killed, notBy: 0)
        try await controller.wait(for: "a complete cluster again", timeout: .seconds(120)) {
            $0.phase == "steady" && $0.cohort.count == 3 && $0["a"]?.state == "streaming"
        }
        print("first commit after \(first.at - killed), the old primary back after \(ContinuousClock.now - killed)")
        await writers.stop()
        let leader = first.server
        #expect(try await servers.lost(writers.acknowledged, on: leader) == [])
        try await servers.all[0].wait(until: "pg_is_in_recovery()")

        // The agent runs it as it was run: same port, same socket; and brings settings to it.
        _ = try await controller.client.setConfig(ConfigPatch(postgres: ["work_mem": "7MB"]))
        for server in servers.all { try await server.wait(until: "current_setting('work_mem') = '7MB'") }
        try await controller.pgha("switchover", "a")
        try await controller.wait(for: "a to lead") { $0.leader == "a" && $0.phase == "steady" }
    }

    @Test func aConfigurationOutsideTheDataDirectoryStaysThereAndWhatNeedsARestartIsListed() async throws {
        var options = ScratchPostgres.Options()
        options.hasSeparateConfiguration = true
        let servers = try await ForeignServers.start(options: options)
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        try await controller.start()
        let agents = try await servers.startAgents(by: controller)
        try await controller.pgha("init", "--adopt", "-f", servers.spec(in: controller, agents: agents))
        _ = try await controller.client.setConfig(ConfigPatch(postgres: ["shared_buffers": "20MB"]))
        let status = try await controller.wait(for: "what waits for a restart") { status in
            status.nodes.allSatisfy { $0.problems.contains("waits for a restart: shared_buffers") }
        }
        #expect(status.phase == "steady")
        try await controller.pgha("restart", "b")
        try await controller.wait(for: "b without anything that waits") { status in
            status["b"]?.state == "streaming" && status["b"]?.problems.isEmpty == true
        }
        let row = try await servers.all[1].query(
            "SELECT current_setting('config_file') AS file, current_setting('shared_buffers') AS buffers")[0]
        #expect(try row.string("file") == "\(servers.all[1].configurationDirectory)/postgresql.conf")
        #expect(try row.string("buffers") == "20MB")
        #expect(servers.all[1].read("pg_hba.conf")?.contains("pgha begin") != true)
    }

    @Test func theAgentOfAnotherNodeIsRefusedBeforeAnythingIsChanged() async throws {
        let servers = try await ForeignServers.start()
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        try await controller.start()
        let d = try #require(NodeName("d"))
        var agents: [NodeName: String] = [:]
        for (name, server) in zip(servers.names, servers.all) {
            agents[name] = try await controller.startAgent(name.text == "b" ? d : name, data: server.dataDirectory)
        }
        let spec = try servers.spec(in: controller, agents: agents)
        let refusal = await #expect(throws: ScratchFailure.self) {
            try await controller.pgha("init", "--adopt", "-f", spec)
        }
        #expect(refusal?.description.contains("b: the agent at its address is node d's") == true)
        try await servers.expectUntouched()
        #expect(servers.all.allSatisfy { $0.read("pg_hba.conf")?.contains("pgha") == false })
    }

    @Test func aSecondAgentForTheSameDataOrOtherDataThanBeforeIsRefused() async throws {
        let server = try await ScratchPostgres.start()
        let other = try await ScratchPostgres.start()
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        let a = try #require(NodeName("a")), b = try #require(NodeName("b"))
        _ = try await controller.startAgent(a, data: server.dataDirectory)
        let second = await #expect(throws: ScratchFailure.self) {
            _ = try await controller.startAgent(b, data: server.dataDirectory)
        }
        #expect(second?.description.contains("Another agent runs for \(server.dataDirectory)") == true)
        controller.killAgents()
        let moved = await #expect(throws: ScratchFailure.self) {
            _ = try await controller.startAgent(a, data: other.dataDirectory)
        }
        #expect(moved?.description.contains("This agent took over \(server.dataDirectory)") == true)
        let none = await #expect(throws: ScratchFailure.self) {
            _ = try await controller.startAgent(b, data: "/tmp")
        }
        #expect(none?.description.contains("/tmp is no data directory") == true)
    }
}
