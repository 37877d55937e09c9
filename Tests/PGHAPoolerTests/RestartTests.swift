import Foundation
import PGHACore
import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

@Suite("Commits without their standby are not shown", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct RestartTests {
    /// A primary whose commits wait for a standby.
    static func pair(_ settings: [String: String] = [:]) async throws -> (ScratchPostgres, ScratchPostgres) {
        var options = ScratchPostgres.Options()
        options.settings = settings
        options.fsync = false
        let primary = try await ScratchPostgres.start(options)
        let standby = try await ScratchPostgres.standby(
            of: primary, name: "s", settings: ["wal_retrieve_retry_interval": "100ms"])
        try await primary.wait(until: "EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")
        try await Self.waitFor("s", primary)
        return (primary, standby)
    }

    static func waitFor(_ names: String, _ server: ScratchPostgres) async throws {
        try await server.query("ALTER SYSTEM SET synchronous_standby_names = '\(names)'")
        try await server.query("SELECT pg_reload_conf()")
        // Commits wait once the checkpointer has noticed, which it does before each checkpoint that it is asked for.
        try await server.query("CHECKPOINT")
    }

    private static let someCommitWaits = "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')"

    /// Without the proof the hole is there: what only one server has is read, and a failover would lose it.
    @Test(arguments: [false, true]) func aRestartedPrimaryIsEnteredOnceItsStandbyHasCaughtUp(
        isProved: Bool
    ) async throws {
        let (primary, standby) = try await Self.pair()
        let rig = try await PoolerRig.start(server: primary, poolSize: 3) {
            $0.provesRestarts = isProved
            $0.hold.notice = .milliseconds(50)
        }
        let (writer, reader) = (try rig.client(), try rig.client())
        // A standby whose receiver does not start at once asks for it again after 10 s (WALRCV_STARTUP_TIMEOUT of
        // PostgreSQL's walreceiverfuncs.c).
        reader.wait(upTo: 60)
        try writer.query("CREATE TABLE t (a int)")
        standby.freeze()
        writer.send { $0.query("INSERT INTO t VALUES (1)") }
        try await primary.wait(until: Self.someCommitWaits)
        primary.kill()
        #expect(try writer.answers() == ["E:08007", "Z:I"])
        try await primary.launch()
        reader.send { $0.query("SELECT count(*) FROM t") }
        if isProved {
            #expect(try reader.read()?.text.contains("restarted") == true)
            try await primary.wait(until: Self.someCommitWaits)
            standby.thaw()
        }
        #expect(try reader.answers() == ["T", "D:1", "C:SELECT 1", "Z:I"])
        standby.thaw()
    }

    @Test func aLostConnectionAmongOthersIsNoRestart() async throws {
        let (primary, standby) = try await Self.pair()
        let rig = try await PoolerRig.start(server: primary, poolSize: 2)
        let (first, second) = (try rig.client(), try rig.client())
        try first.query("BEGIN")
        let pid = try #require(try second.value("SELECT pg_backend_pid()"))
        standby.freeze()
        try await primary.query("SELECT pg_terminate_backend(\(pid))")
        try await primary.wait(until: "NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = \(pid))")
        // Reads go on although no commit can.
        #expect(try second.value("SELECT pg_backend_pid()") != pid)
        #expect(try first.query("ROLLBACK").last == "Z:I")
        standby.thaw()
    }

    /// An autocommit write, a COMMIT, and the second half of a prepared transaction.
    @Test(arguments: [
        ([], "INSERT INTO t VALUES (1)", "C:INSERT 0 1", false),
        ([], "INSERT INTO t VALUES (1)", "C:INSERT 0 1", true),
        (["BEGIN", "INSERT INTO t VALUES (1)"], "COMMIT", "C:COMMIT", false),
        (
            ["BEGIN", "INSERT INTO t VALUES (1)", "PREPARE TRANSACTION 'x'"], "COMMIT PREPARED 'x'",
            "C:COMMIT PREPARED", false
        ),
    ])
    func aCommitThatWaitsForItsStandbyIsNotCancelled(
        before: [String], statement: String, tag: String, resolves: Bool
    ) async throws {
        var options = ScratchPostgres.Options()
        options.settings = ["max_prepared_transactions": "2"]
        let rig = try await PoolerRig.start(server: try await ScratchPostgres.start(options)) {
            $0.resolvesCommits = resolves
        }
        let client = try rig.client()
        try client.query("CREATE TABLE t (a int)")
        for text in before { try client.query(text) }
        try await Self.waitFor("nobody", rig.server)
        client.send { $0.query(statement) }
        try await rig.server.wait(until: Self.someCommitWaits)
        let canceller = try RawClient(port: rig.port)
        canceller.send { $0.cancelRequest(CancelRequest(processID: client.processID, key: client.key)) }
        #expect(try canceller.read() == nil)
        // The client hears why nothing happens; the wait goes on.
        #expect(try client.read()?.type == "N")
        #expect(try await rig.server.query("SELECT 1 FROM t").isEmpty)
        try await rig.server.query("ALTER SYSTEM RESET synchronous_standby_names")
        try await rig.server.query("SELECT pg_reload_conf()")
        #expect(try client.answers() == [tag, "Z:I"])
        #expect(try client.value("SELECT count(*) FROM t") == "1")
    }

    /// Nobody hears of its commit; others must not see it before its standby has it.
    @Test func aClientThatVanishesDoesNotEndTheWaitOfItsCommit() async throws {
        var options = ScratchPostgres.Options()
        options.settings = ["log_connections": "on"]
        let rig = try await PoolerRig.start(server: try await ScratchPostgres.start(options), poolSize: 2)
        var client: RawClient? = try rig.client()
        try client?.query("CREATE TABLE t (a int)")
        try await Self.waitFor("nobody", rig.server)
        client?.send { $0.query("INSERT INTO t VALUES (1)") }
        try await rig.server.wait(until: Self.someCommitWaits)
        client = nil
        // The pooler looks at what it left behind, in a session that ends when it has seen the wait.
        while !readLog(rig.server).contains("application_name=pgha pooler") {
            try await Task.sleep(for: .milliseconds(10))
        }
        try await rig.server.wait(
            until: "(SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgha pooler') = 0")
        #expect(try await rig.server.query("SELECT 1 FROM t").isEmpty)
        try await rig.server.wait(until: Self.someCommitWaits)
    }

    @Test func aStatementThatWritesIsCancelledWhileItRuns() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("CREATE TABLE t (a int)")
        client.send { $0.query("WITH x AS (SELECT pg_sleep(60)) INSERT INTO t SELECT 1 FROM x") }
        try await rig.server.wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
        let canceller = try RawClient(port: rig.port)
        canceller.send { $0.cancelRequest(CancelRequest(processID: client.processID, key: client.key)) }
        #expect(try client.answers() == ["E:57014", "Z:I"])
    }
}

private func readLog(_ server: ScratchPostgres) -> String {
    (try? String(contentsOfFile: server.logFile, encoding: .utf8)) ?? ""
}
