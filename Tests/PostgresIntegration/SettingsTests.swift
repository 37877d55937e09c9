import PGHAClient
import PGHACommand
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

@Suite(.serialized, .enabled(if: ScratchCluster.unavailable == nil, "PostgreSQL and the built pgha are needed"))
struct SettingsTests {
    @Test func settingsReachEveryServerAndLimitsAreRaisedOnStandbysFirst() async throws {
        let cluster = try await ScratchCluster.start()
        defer { cluster.tearDown() }
        let leader = try await cluster.leader()
        let standbys = cluster.nodes.filter { $0.name != leader.name }
        _ = try await cluster.client.setConfig(
            ConfigPatch(postgres: ["work_mem": "8MB", "max_connections": "333"]))
        for node in cluster.nodes { try await self.wait(for: "work_mem", "8MB", on: node, of: cluster) }

        let waiting = try await cluster.wait(for: "the leader to wait for its standbys") { status in
            status[leader.name.text]?.problems.contains { $0.hasPrefix("max_connections = 333 waits until") } == true
                && standbys.allSatisfy { status[$0.name.text]?.problems.contains { $0.contains("restart") } == true }
        }
        #expect(waiting[leader.name.text]?.problems.contains { $0.hasPrefix("waits for a restart") } == false)
        _ = try await cluster.client.restart(RestartCommand())
        for node in standbys { try await self.wait(for: "max_connections", "333", on: node, of: cluster) }
        try await cluster.wait(for: "the leader's turn") { status in
            status[leader.name.text]?.problems.contains { $0.hasPrefix("waits for a restart: max_connections") } == true
        }
        let pending = try await cluster.client.config().pendingRestart
        #expect(pending.map(\.node) == [leader.name.text])
        #expect(pending.first?.reason?.contains("333 is set") == true)
        #expect(pending.first?.reason?.contains("pgha switchover") == true)
    }

    @Test func aLimitThatIsTakenOutOfTheSpecificationIsLoweredOnTheLeaderFirst() async throws {
        var options = ScratchCluster.Options()
        options.postgres = ["max_connections": "150"]
        let cluster = try await ScratchCluster.start(options)
        defer { cluster.tearDown() }
        let leader = try await cluster.leader()
        let standbys = cluster.nodes.filter { $0.name != leader.name }
        for node in cluster.nodes { try await self.wait(for: "max_connections", "150", on: node, of: cluster) }
        _ = try await cluster.client.setConfig(ConfigPatch(postgres: ["max_connections": nil]))
        let waiting = try await cluster.wait(for: "the leader to wait for a restart") { status in
            status[leader.name.text]?.problems.contains("waits for a restart: max_connections") == true
        }
        for node in standbys {
            #expect(waiting[node.name.text]?.problems.contains { $0.contains("waits for a restart") } == false)
        }
        let pending = try await cluster.client.config().pendingRestart
        #expect(pending.first?.reason?.contains("max_connections: 100 is set, it runs with 150") == true)
        #expect(pending.first?.reason?.contains("'pgha pause'") == true)

        let refused = await #expect(throws: ControllerFailure.self) {
            _ = try await cluster.client.restart(RestartCommand(node: leader.name.text))
        }
        #expect("\(String(describing: refused))".contains("pgha pause"))
        _ = try await cluster.client.pause()
        try await cluster.wait(for: "the pause") { $0.paused }
        _ = try await cluster.client.restart(RestartCommand(node: leader.name.text))
        try await self.wait(for: "max_connections", "100", on: leader, of: cluster)
        _ = try await cluster.client.resume()
        try await cluster.wait(for: "the standbys' turn") { status in
            status.leader == leader.name.text && status.term == 1
                && standbys.allSatisfy { node in
                    status[node.name.text]?.problems.contains("waits for a restart: max_connections") == true
                }
        }
        _ = try await cluster.client.restart(RestartCommand())
        for node in standbys { try await self.wait(for: "max_connections", "100", on: node, of: cluster) }
    }

    @Test func anAgentMovesToAnotherAddressAndNobodyElsesIsTakenForIt() async throws {
        var options = ScratchCluster.Options()
        options.nodes = 2
        let cluster = try await ScratchCluster.start(options)
        defer { cluster.tearDown() }
        let (node, other) = (cluster.nodes[1], cluster.nodes[0])
        let free = try freePort()
        func move(to address: String) async -> String? {
            await RealClusters.refusal { _ = try await cluster.client.setNode(node.name, NodePatch(agent: address)) }
        }
        #expect(await move(to: "http://localhost:\(other.agentPort)") == "other_agent")
        #expect(await move(to: "http://127.0.0.1:\(other.agentPort)") == "spec_duplicate_agent")
        #expect(await move(to: "http://127.0.0.1:\(free)") == "no_agent")
        // Another name of the same place.
        let address = "http://localhost:\(node.agentPort)"
        #expect(await move(to: address) == nil)
        try await cluster.wait(for: "the agent at its new address") { status in
            status[node.name.text]?.agent == address && status[node.name.text]?.agentPID != nil
        }
        try await cluster.waitUntilComplete()
        try await self.moveUnheard(node, to: free, cluster)
    }

    /// The agent comes back elsewhere, to a controller that never heard it before, after a change of leader of which it may
    /// have heard nothing itself: servers are sealed over SQL.
    private func moveUnheard(_ node: ScratchCluster.Node, to port: Int, _ cluster: ScratchCluster) async throws {
        try await cluster.switchover()
        try await cluster.wait(for: "another leader") { $0.term == 2 && $0.phase == "steady" }
        try await cluster.waitUntilComplete()
        cluster.killAgent(node)
        cluster.killController()
        try cluster.startController()
        try cluster.startAgent(node, port: port)
        try await cluster.wait(for: "the next controller") { $0.term == 2 && $0.phase == "steady" }
        let patch = NodePatch(agent: "http://127.0.0.1:\(port)")
        let deadline = ContinuousClock.now + .seconds(60)
        var message = "", refused: String?
        repeat {
            try await Task.sleep(for: .milliseconds(50))
            refused = await RealClusters.refusal {
                message = try await cluster.client.setNode(node.name, patch).message
            }
        } while refused == "no_agent" && ContinuousClock.now < deadline
        #expect(refused == nil && message.contains("never heard"), "\(refused ?? message)")
        try await cluster.waitUntilComplete()
        // A change that leaves nobody to lead is none.
        let others = cluster.nodes.filter { $0.name != node.name }
        for other in others { _ = try await cluster.client.setNode(other.name, NodePatch(nofailover: true)) }
        try await cluster.wait(for: "the change to be stored") { status in
            others.allSatisfy { status[$0.name.text]?.nofailover == true }
        }
        let last = await RealClusters.refusal {
            _ = try await cluster.client.setNode(node.name, NodePatch(nofailover: true))
        }
        #expect(last == "spec_no_candidate")
    }

    @Test func whoMayConnectIsChangedOnEveryServerAndTheClusterGoesOn() async throws {
        let cluster = try await ScratchCluster.start()
        defer { cluster.tearDown() }
        let leader = try await cluster.leader()
        try await cluster.query("CREATE ROLE app LOGIN PASSWORD 'app'", on: leader)
        #expect(try await self.lets("app", in: cluster.nodes, of: cluster, until: true))
        let rules = "access=host all \(ScratchCluster.user) samehost scram-sha-256; host all all all reject"
        _ = try await cluster.client.setConfig(ConfigKeys.patch([rules]))
        #expect(try await self.lets("app", in: cluster.nodes, of: cluster, until: false))
        #expect(try await cluster.client.config().access?.count == 2)
        // Streaming, probes and a switchover do not depend on the rules for clients.
        try await cluster.switchover()
        try await cluster.wait(for: "another leader") { $0.term == 2 && $0.phase == "steady" }
        try await cluster.waitUntilComplete()
        #expect(try await self.lets("app", in: cluster.nodes, of: cluster, until: false))
        // A rule that no server understands changes nothing.
        await #expect(throws: ControllerFailure.self) {
            _ = try await cluster.client.setConfig(
                ConfigPatch(access: [
                    AccessRule(type: "host", database: "all", user: "all", address: nil, method: "md5")
                ]))
        }
    }

    /// Whether each server lets the role in, or none does: polled until `wanted` holds.
    private func lets(
        _ role: String, in nodes: [ScratchCluster.Node], of cluster: ScratchCluster, until wanted: Bool
    ) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            var answers: Set<Bool> = []
            for node in nodes {
                var parameters = cluster.parameters(node)
                parameters.user = role
                parameters.database = "postgres"
                parameters.password = Secret(role)
                let session = try? await PostgresConnection.open(parameters)
                answers.insert(session != nil)
                await session?.close()
            }
            if answers == [wanted] { return true }
            try await Task.sleep(for: .milliseconds(50))
        }
        return false
    }

    private func wait(
        for name: String, _ value: String, on node: ScratchCluster.Node, of cluster: ScratchCluster
    ) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        var last = "nothing"
        while ContinuousClock.now < deadline {
            if let session = try? await cluster.connect(node) {
                last =
                    (try? await session.query("SELECT current_setting($1) AS value", [name]))
                    .flatMap { try? $0.first?.string("value") } ?? "nothing"
                await session.close()
            }
            if last == value { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ScratchFailure("\(node.name) shows \(name) = \(last)\n\(cluster.log("controller.log").suffix(3000))")
    }
}
