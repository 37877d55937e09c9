import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting
import PGHAWire
import Testing

@Suite("Reads go to standbys", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct ReadTests {
    private func node(_ name: String, _ server: ScratchPostgres, lag: UInt64 = 0) -> PoolTopology.Node {
        PoolTopology.Node(
            name: NodeName(name)!, host: server.socketDirectory, port: UInt16(server.port), lagBytes: lag)
    }

    @Test func aReadPortFollowsTheStandbys() async throws {
        let primary = try await ScratchPostgres.start()
        let standby = try await ScratchPostgres.standby(of: primary, name: "s")
        let rig = try await PoolerRig.start(server: primary, poolSize: 2) { configuration in
            configuration.listeners.append(.init(host: "127.0.0.1", port: 0, role: .read))
        }
        let leader = self.node("a", primary)
        rig.pooler.apply(PoolTopology(term: Term(1), leader: leader, standbys: [self.node("b", standby)]))
        let port = "SELECT current_setting('port')"
        let (writer, reader) = (try rig.client(), try RawClient.logIn(port: rig.pooler.ports[1]))
        #expect(writer.parameters["in_hot_standby"] == "off")
        #expect(reader.parameters["in_hot_standby"] == "on")
        #expect(try writer.value(port) == "\(primary.port)")
        #expect(try reader.value(port) == "\(standby.port)")
        // Too far behind: the leader is the last resort, and the standby comes back.
        rig.pooler.apply(
            PoolTopology(term: Term(1), leader: leader, standbys: [self.node("b", standby, lag: 1 << 30)]))
        #expect(try reader.value(port) == "\(primary.port)")
        rig.pooler.apply(PoolTopology(term: Term(1), leader: leader, standbys: [self.node("b", standby)]))
        #expect(try reader.value(port) == "\(standby.port)")
        // A read under way whose standby dies is answered by another server.
        reader.send { $0.query(ReadRig.sleepsOn(standby)) }
        try await standby.wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
        standby.kill()
        #expect(try reader.answers() == ["T", "D:\(primary.port)", "C:SELECT 1", "Z:I"])
    }

    @Test func aCommitThatNoStandbyHasIsNoSuccess() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("CREATE TABLE t (a int)")
        try await rig.server.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        try await rig.server.query("SELECT pg_reload_conf()")
        // Commits wait once the checkpointer has noticed, which it does before each checkpoint that it is asked for.
        try await rig.server.query("CHECKPOINT")
        client.send { $0.query("INSERT INTO t VALUES (1)") }
        try await rig.server.wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')")
        try await rig.server.query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
        #expect(try client.answers() == ["E:08007", "Z:I"])
        #expect(try client.value("SELECT count(*) FROM t") == "1")
    }
}
