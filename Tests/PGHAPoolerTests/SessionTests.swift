import PGHAPooler
import PGHAPostgres
import PGHATesting
import PGHAWire
import Testing

@Suite("Sessions keep their state on whatever server", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct SessionTests {
    @Test func theFirstReportIsTheServersOwn() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        for name in ["server_version", "DateStyle", "TimeZone", "client_encoding", "integer_datetimes"] {
            #expect(try client.value("SHOW \(name)") == client.parameters[name], "\(name)")
        }
    }

    @Test func startupSettingsAreSpelledAsTheServerSpellsThem() async throws {
        let rig = try await PoolerRig.start()
        let first = try rig.client([
            ("datestyle", "iso"), ("application_name", "one"),
            ("options", "-c statement_timeout=5000 --search_path=a,b"),
        ])
        #expect(first.parameters["DateStyle"] == "ISO, MDY")
        #expect(first.parameters["application_name"] == "one")
        let second = try rig.client([("application_name", "two")])
        for _ in 1...2 {
            #expect(try first.value("SHOW statement_timeout") == "5s")
            #expect(try first.value("SHOW search_path") == "a,b")
            #expect(try first.value("SHOW application_name") == "one")
            #expect(try second.value("SHOW statement_timeout") == "0")
            #expect(try second.value("SHOW application_name") == "two")
        }
    }

    @Test func aSettingThatCannotBeIsRefusedAtLogIn() async throws {
        let rig = try await PoolerRig.start()
        #expect(throws: RawClient.Failure.self) { try rig.client([("statement_timeout", "nonsense")]) }
        #expect(try rig.client().value("SELECT 1") == "1")
    }

    @Test func aSetFollowsItsClientAndNobodyElse() async throws {
        let rig = try await PoolerRig.start()
        let (first, second) = (try rig.client(), try rig.client())
        try first.query("SET statement_timeout = '7s'")
        try first.query("SET search_path TO x, y")
        try first.query("SET my.own = 'it''s'")
        #expect(try second.value("SHOW statement_timeout") == "0")
        #expect(try second.value("SELECT current_setting('my.own', true)") == "")
        #expect(try first.value("SHOW statement_timeout") == "7s")
        #expect(try first.value("SHOW search_path") == "x, y")
        #expect(try first.value("SHOW my.own") == "it's")
        try first.query("RESET statement_timeout")
        #expect(try second.value("SHOW search_path") == "\"$user\", public")
        #expect(try first.value("SHOW statement_timeout") == "0")
        #expect(try first.value("SHOW search_path") == "x, y")
    }

    @Test func aRolledBackSetIsGone() async throws {
        let rig = try await PoolerRig.start()
        let (first, second) = (try rig.client(), try rig.client())
        try first.query("BEGIN")
        try first.query("SET statement_timeout = '7s'")
        try first.query("ROLLBACK")
        try first.query("BEGIN; SET LOCAL lock_timeout = '3s'; SET TimeZone = 'Asia/Tokyo'; COMMIT")
        #expect(first.parameters["TimeZone"] == "Asia/Tokyo")
        #expect(try second.value("SHOW TimeZone") != "Asia/Tokyo")
        #expect(try first.value("SHOW TimeZone") == "Asia/Tokyo")
        #expect(try first.value("SHOW statement_timeout") == "0")
        #expect(try first.value("SHOW lock_timeout") == "0")
    }

    @Test func aRoleDoesNotLeak() async throws {
        let rig = try await PoolerRig.start()
        try await rig.server.query("CREATE ROLE guest")
        let (first, second) = (try rig.client(), try rig.client())
        try first.query("SET ROLE guest")
        #expect(try second.value("SELECT current_user") == "postgres")
        #expect(try first.value("SELECT current_user") == "guest")
    }

    @Test func aPreparedSetIsSeenToo() async throws {
        let rig = try await PoolerRig.start()
        let (first, second) = (try rig.client(), try rig.client())
        first.send { buffer in
            buffer.parse("", "SET statement_timeout = '9s'")
            buffer.bind("")
            buffer.execute()
            buffer.sync()
        }
        #expect(try first.answers() == ["1", "2", "C:SET", "Z:I"])
        #expect(try second.value("SHOW statement_timeout") == "0")
        #expect(try first.value("SHOW statement_timeout") == "9s")
    }

    @Test(arguments: [
        "LISTEN news", "SELECT pg_advisory_lock(1)", "CREATE TEMP TABLE t (a int)", "PREPARE p AS SELECT 1",
        "BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT",
    ])
    func whatCannotMoveKeepsItsServerUntilItIsDiscarded(statement: String) async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let (first, second) = (try rig.client(), try rig.client())
        try first.query(statement)
        let pid = try first.value("SELECT pg_backend_pid()")
        #expect(try second.value("SELECT pg_backend_pid()") != pid)
        try first.query("DISCARD ALL")
        #expect(try second.value("SELECT pg_backend_pid()") != nil)
        let free = Set(try (1...2).map { _ in try first.value("SELECT pg_backend_pid()") })
        #expect(free.count == 1)
    }

    @Test func aPinnedServerIsCleanForTheNextClient() async throws {
        let rig = try await PoolerRig.start()
        var first: RawClient? = try rig.client()
        try first?.query("CREATE TEMP TABLE t (a int)")
        try first?.query("SELECT pg_advisory_lock(1); SET statement_timeout = '7s'")
        let pid = try first?.value("SELECT pg_backend_pid()")
        first = nil
        let second = try rig.client()
        #expect(try second.value("SELECT pg_backend_pid()") == pid)
        #expect(try second.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0")
        #expect(try second.value("SELECT to_regclass('pg_temp.t') IS NULL") == "t")
        #expect(try second.value("SHOW statement_timeout") == "0")
    }

    @Test func sessionModeKeepsTheServerToTheEnd() async throws {
        let rig = try await PoolerRig.start(poolSize: 2) { $0.mode = .session }
        let (first, second) = (try rig.client(), try rig.client())
        let pid = try first.value("SELECT pg_backend_pid()")
        #expect(try second.value("SELECT pg_backend_pid()") != pid)
        try first.query("SET statement_timeout = '7s'")
        #expect(try first.value("SHOW statement_timeout") == "7s")
        #expect(try first.value("SELECT pg_backend_pid()") == pid)
    }

    @Test func statementModeRefusesTransactionBlocks() async throws {
        let rig = try await PoolerRig.start { $0.mode = .statement }
        let client = try rig.client()
        #expect(try client.query("SELECT 1; SELECT 2").last == "Z:I")
        #expect(try client.query("BEGIN").last == "E:0A000")
        #expect(try rig.client().value("SELECT 1") == "1")
    }

    @Test func replicationConnectionsArePassedOnOneToOne() async throws {
        let rig = try await PoolerRig.start()
        var walsender: RawClient? = try rig.client([("replication", "true"), ("options", "-c wal_sender_timeout=7s")])
        #expect(try walsender?.value("SHOW wal_sender_timeout") == "7s")
        let second = try rig.client([("replication", "true")])
        #expect(try second.query("IDENTIFY_SYSTEM").last == "Z:I")
        let position = try await rig.server.query("SELECT pg_current_wal_lsn()::text AS p")[0].string("p")
        walsender?.send { $0.query("START_REPLICATION PHYSICAL \(position)") }
        #expect(try walsender?.read()?.type == "W")
        try rig.client().query("CREATE TABLE t (a int)")
        var type: Character?
        repeat { type = try walsender?.read()?.type } while type != "d" && type != nil
        #expect(type == "d")
        walsender?.send { $0.emptyMessage(FrontendMessage.copyDone) }
        #expect(try walsender?.answers().last == "Z:I")
        walsender = nil
        try await rig.server.wait(
            until: "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender') = 1")
    }
}
