import PGHAClient
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

    private func wait(
        for name: String, _ value: String, on node: ScratchCluster.Node, of cluster: ScratchCluster
    ) async throws {
        let deadline = ContinuousClock.now + .seconds(30)
        var last = "nothing"
        while ContinuousClock.now < deadline {
            if let session = try? await cluster.connect(node) {
                last = (try? await session.query("SELECT current_setting($1) AS value", [name]))
                    .flatMap { try? $0.first?.string("value") } ?? "nothing"
                await session.close()
            }
            if last == value { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ScratchFailure("\(node.name) shows \(name) = \(last)\n\(cluster.log("controller.log").suffix(3000))")
    }
}
