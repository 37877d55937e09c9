import Glibc
import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting
import PGHAWire
import Testing

@Suite("Clients outlive their servers", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct AvailabilityTests {
    private func terminate(_ pid: String?, _ rig: PoolerRig) async throws {
        try await rig.server.query("SELECT pg_terminate_backend(\(try #require(pid)))")
        try await rig.server.wait(until: "NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = \(pid ?? ""))")
    }

    // MARK: - In a transaction

    @Test func aLostTransactionFailsAndIsRolledBackByItsClient() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("CREATE TABLE t (a int)")
        try client.query("BEGIN")
        try client.query("INSERT INTO t VALUES (1)")
        try await self.terminate(try client.value("SELECT pg_backend_pid()"), rig)
        #expect(try client.query("INSERT INTO t VALUES (2)") == ["E:40001", "Z:E"])
        #expect(try client.query("SELECT 1") == ["E:25P02", "Z:E"])
        #expect(try client.query("ROLLBACK TO s") == ["E:25P02", "Z:E"])
        #expect(try client.query("ROLLBACK") == ["C:ROLLBACK", "Z:I"])
        #expect(try client.value("SELECT count(*) FROM t") == "0")
    }

    @Test func aCommitOfALostTransactionIsAnErrorAndEndsIt() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("BEGIN")
        try await self.terminate(try client.value("SELECT pg_backend_pid()"), rig)
        #expect(try client.query("COMMIT") == ["E:40001", "Z:I"])
        #expect(try client.value("SELECT 1") == "1")
        // Told before, the COMMIT is what it would be for PostgreSQL.
        try client.query("BEGIN")
        try await self.terminate(try client.value("SELECT pg_backend_pid()"), rig)
        #expect(try client.query("SELECT 1") == ["E:40001", "Z:E"])
        #expect(try client.query("COMMIT") == ["C:ROLLBACK", "Z:I"])
    }

    @Test func aStatementInALostTransactionIsAnsweredAtOnce() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("BEGIN")
        let pid = try client.value("SELECT pg_backend_pid()")
        client.send { $0.query("SELECT pg_sleep(60)") }
        try await rig.server.wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
        try await self.terminate(pid, rig)
        #expect(try client.answers() == ["T", "E:40001", "Z:E"])
        #expect(try client.query("ROLLBACK") == ["C:ROLLBACK", "Z:I"])
    }

    @Test func preparedStatementsLeaveAFailedBlockToo() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        client.send {
            $0.parse("r", "ROLLBACK")
            $0.parse("s", "SELECT 1")
            $0.sync()
        }
        #expect(try client.answers() == ["1", "1", "Z:I"])
        try client.query("BEGIN")
        try await self.terminate(try client.value("SELECT pg_backend_pid()"), rig)
        client.send {
            $0.bind("s")
            $0.execute()
            $0.sync()
        }
        #expect(try client.answers() == ["E:40001", "Z:E"])
        client.send {
            $0.bind("r")
            $0.execute()
            $0.sync()
        }
        #expect(try client.answers() == ["2", "C:ROLLBACK", "Z:I"])
        client.send {
            $0.bind("s")
            $0.execute()
            $0.sync()
        }
        #expect(try client.answers() == ["2", "D:1", "C:SELECT 1", "Z:I"])
    }

    // MARK: - Commits under way

    @Test func anAutocommitWriteUnderWayIsUnknown() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("CREATE TABLE t (a int)")
        client.send { $0.query("WITH x AS (SELECT pg_sleep(60)) INSERT INTO t SELECT 1 FROM x") }
        try await rig.server.wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
        // SIGKILL of one backend makes the others leave: nobody says why.
        let pid = try await rig.server.query("SELECT pid::text AS p FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        kill(try #require(Int32(try pid[0].string("p"))), SIGKILL)
        #expect(try client.answers() == ["E:08007", "Z:I"])
        // The server starts anew; whoever got a connection just before that loses it too.
        var count: String?
        for _ in 0..<100 where count == nil { count = try client.value("SELECT count(*) FROM t") }
        #expect(count == "0")
    }

    @Test func aStatementThatTheServerRefusedGoesToTheNext() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("CREATE TABLE t (a int)")
        let blocker = try await rig.server.connect()
        try await blocker.script("BEGIN; LOCK TABLE t IN SHARE MODE")
        client.send { $0.query("INSERT INTO t VALUES (1)") }
        let blocked = "pg_stat_activity WHERE wait_event_type = 'Lock'"
        try await rig.server.wait(until: "EXISTS (SELECT FROM \(blocked))")
        // FATAL 57P01: rolled back for certain, so it may run again.
        try await rig.server.query("SELECT pg_terminate_backend(pid) FROM \(blocked)")
        try await blocker.script("COMMIT")
        #expect(try client.answers() == ["C:INSERT 0 1", "Z:I"])
        #expect(try client.value("SELECT count(*) FROM t") == "1")
    }

    // MARK: - Changes of leader

    @Test func heldTransactionsWaitAndGoOn() async throws {
        let rig = try await PoolerRig.start(poolSize: 3) { $0.hold.notice = .milliseconds(50) }
        let (running, waiting) = (try rig.client(), try rig.client())
        try running.query("BEGIN")
        rig.pooler.apply(PoolTopology(term: Term(1), leader: rig.node, claim: Term(2)))
        waiting.send { $0.query("SELECT 'late'") }
        let notice = try #require(try waiting.read())
        #expect(notice.type == "N")
        // What has begun goes on, and is reported when it has ended.
        #expect(try running.query("SELECT 1").last == "Z:T")
        var claims = rig.pooler.drained.makeAsyncIterator()
        #expect(try running.query("COMMIT") == ["C:COMMIT", "Z:I"])
        #expect(await claims.next() == Term(2))
        rig.apply(term: 2)
        #expect(try waiting.answers() == ["T", "D:late", "C:SELECT 1", "Z:I"])
        #expect(try running.value("SELECT 1") == "1")
    }

    @Test func aHoldThatIsCalledOffReleasesTheSameConnections() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        let pid = try client.value("SELECT pg_backend_pid()")
        rig.pooler.apply(PoolTopology(term: Term(1), leader: rig.node, claim: Term(2)))
        client.send { $0.query("SELECT pg_backend_pid()") }
        var claims = rig.pooler.drained.makeAsyncIterator()
        #expect(await claims.next() == Term(2))
        rig.apply(term: 1)
        // On a slow machine a notice says first why it waits.
        #expect(try client.answers().contains("D:\(pid ?? "")"))
    }

    @Test func whoIsHeldTooLongIsTold() async throws {
        let rig = try await PoolerRig.start { $0.hold.longest = .milliseconds(300) }
        let (first, second) = (try rig.client(), try rig.client())
        rig.pooler.apply(PoolTopology(term: Term(1), leader: rig.node, claim: Term(2)))
        first.send { $0.query("SELECT 1") }
        #expect(try first.answers() == ["E:57P03"])
        rig.pooler.apply(PoolTopology(term: Term(1), leader: nil))
        second.send { $0.query("SELECT 1") }
        #expect(try second.answers() == ["E:25006"])
    }

    @Test func aServerInRecoveryGetsNoTransaction() async throws {
        let primary = try await ScratchPostgres.start()
        let standby = try await ScratchPostgres.standby(of: primary, name: "s")
        let rig = try await PoolerRig.start(server: primary)
        let client = try rig.client()
        #expect(client.parameters["in_hot_standby"] == "off")
        rig.pooler.apply(
            PoolTopology(
                term: Term(2),
                leader: .init(name: NodeName("b")!, host: standby.socketDirectory, port: UInt16(standby.port))))
        // Answered behind it: the new view is taken over.
        _ = await rig.pooler.statistics()
        client.send { $0.query("CREATE TABLE t (a int)") }
        try await Task.sleep(for: .milliseconds(300))
        try await standby.query("SELECT pg_promote()")
        let answers = try client.answers()
        #expect(answers == ["C:CREATE TABLE", "Z:I"])
    }
}
