import Glibc
import PGHACore
import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

@Suite(
    "Clients that keep their server see the leader change", .serialized,
    .enabled(if: ScratchPostgres.unavailable == nil))
struct PinnedTests {
    private static func hold(_ rig: PoolerRig) {
        rig.pooler.apply(PoolTopology(term: Term(1), leader: rig.node, claim: Term(2)))
    }

    /// Until the loop has taken over what was applied before.
    private static func settle(_ rig: PoolerRig) async { _ = await rig.pooler.statistics() }

    @Test func sessionsInSessionModeMoveWithTheirSettings() async throws {
        let rig = try await PoolerRig.start(poolSize: 3) {
            $0.mode = .session
            $0.hold.notice = .milliseconds(50)
        }
        let (plain, running) = (try rig.client(), try rig.client())
        try plain.query("SET work_mem = '7MB'")
        try plain.query("SET application_name = 'Zoe''s'")
        let pid = try plain.value("SELECT pg_backend_pid()")
        try running.query("BEGIN")
        Self.hold(rig)
        plain.send { $0.query("SELECT current_setting('work_mem') || current_setting('application_name')") }
        #expect(try plain.read()?.text.contains("the primary is being replaced") == true)
        #expect(try running.value("SELECT 2") == "2")
        var claims = rig.pooler.drained.makeAsyncIterator()
        #expect(try running.query("COMMIT").last == "Z:I")
        #expect(await claims.next() == Term(2))
        rig.apply(term: 2)
        #expect(try plain.answers() == ["T", "D:7MBZoe's", "C:SELECT 1", "Z:I"])
        #expect(try plain.value("SELECT pg_backend_pid()") != pid)
        #expect(try running.value("SELECT 3") == "3")
    }

    /// A temporary table, in either mode.
    @Test(arguments: [PoolerConfiguration.Mode.session, .transaction])
    func stateThatCannotMoveEndsTheSessionBetweenTransactions(mode: PoolerConfiguration.Mode) async throws {
        let rig = try await PoolerRig.start(poolSize: 3) { $0.mode = mode }
        let (calledOff, moved) = (try rig.client(), try rig.client())
        for client in [calledOff, moved] {
            try client.query("CREATE TEMP TABLE x (a int)")
            try client.query("BEGIN")
        }
        Self.hold(rig)
        // What has begun goes on; the next one waits.
        #expect(try calledOff.query("COMMIT").last == "Z:I")
        #expect(try moved.query("COMMIT").last == "Z:I")
        calledOff.send { $0.query("INSERT INTO x VALUES (1)") }
        rig.apply(term: 1)
        #expect(try calledOff.answers() == ["C:INSERT 0 1", "Z:I"])
        Self.hold(rig)
        await Self.settle(rig)
        moved.send { $0.query("INSERT INTO x VALUES (1)") }
        rig.apply(term: 2)
        #expect(try moved.answers() == ["E:57P01"])
        #expect(try calledOff.answers() == ["E:57P01"])
        #expect(try rig.client().value("SELECT 1") == "1")
    }

    @Test func aPreparedStatementOfASessionIsStateToo() async throws {
        let rig = try await PoolerRig.start(poolSize: 2) { $0.mode = .session }
        let client = try rig.client()
        client.send {
            $0.parse("s", "SELECT 1")
            $0.sync()
        }
        #expect(try client.answers() == ["1", "Z:I"])
        Self.hold(rig)
        rig.apply(term: 2)
        #expect(try client.answers() == ["E:57P01"])
    }

    @Test func aSessionWithoutStateOutlivesItsServer() async throws {
        let rig = try await PoolerRig.start(poolSize: 2) { $0.mode = .session }
        let client = try rig.client()
        try client.query("SET work_mem = '7MB'")
        let number = try #require(try client.value("SELECT pg_backend_pid()"))
        let pid = try #require(Int32(number))
        // The server ends all its processes, and begins anew.
        kill(pid, SIGKILL)
        try await PoolerRig.wait("the process is gone") { kill(pid, 0) != 0 }
        #expect(try client.query("SHOW work_mem") == ["T", "D:7MB", "C:SHOW", "Z:I"])
        try client.query("CREATE TEMP TABLE x (a int)")
        let second = try #require(try client.value("SELECT pg_backend_pid()"))
        try await rig.server.query("SELECT pg_terminate_backend(\(second))")
        #expect(try client.answers() == ["E:57P01"])
    }

    /// As without a pooler; it knows the number of its process.
    @Test func aSessionInSessionModeIsEndedByItsProcess() async throws {
        let rig = try await PoolerRig.start(poolSize: 3) { $0.mode = .session }
        let (idle, running, other) = (try rig.client(), try rig.client(), try rig.client())
        try running.query("BEGIN")
        for victim in [idle, running] {
            #expect(try other.value("SELECT pg_terminate_backend(\(victim.processID))") == "t")
            #expect(try victim.answers() == ["E:57P01"])
        }
        let itself = try rig.client()
        #expect(try itself.query("SELECT pg_terminate_backend(pg_backend_pid())").last == "E:57P01")
        #expect(try other.value("SELECT 1") == "1")
    }

    @Test(arguments: [1, 2]) func whoConnectsAgainGetsAnotherProcessIfThereMayBeOne(poolSize: Int) async throws {
        let rig = try await PoolerRig.start(poolSize: poolSize) { $0.mode = .session }
        let first = try await self.processThatIsLeft(by: "postgres", rig)
        #expect(try (rig.client().processID == first) == (poolSize == 1))
    }

    /// The server lets nobody else in; whoever waits for that gets what there is.
    @Test func whoConnectsAgainGetsTheSameProcessIfNoOtherCanBeHad() async throws {
        let rig = try await PoolerRig.start(poolSize: 2) { $0.mode = .session }
        try await rig.server.query("CREATE ROLE app LOGIN CONNECTION LIMIT 1")
        let first = try await self.processThatIsLeft(by: "app", rig)
        #expect(try RawClient.logIn(port: rig.port, user: "app").processID == first)
    }

    private func processThatIsLeft(by user: String, _ rig: PoolerRig) async throws -> UInt32 {
        let process = try RawClient.logIn(port: rig.port, user: user).processID
        try await PoolerRig.wait("the server is idle") { await rig.pooler.statistics().pools[0].serversIdle > 0 }
        return process
    }

    @Test func aDeallocationThatIsSentAgainSucceeds() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        client.send {
            $0.parse("s", "SELECT 1")
            $0.sync()
        }
        #expect(try client.answers() == ["1", "Z:I"])
        let number = try #require(try client.value("SELECT pg_backend_pid()"))
        let pid = try #require(Int32(number))
        // It does not read any more, so the pooler learns from the system that nobody did.
        kill(pid, SIGSTOP)
        let before = await rig.pooler.statistics().pools[0].bytesReceived
        client.send { $0.query("DEALLOCATE s") }
        try await PoolerRig.wait("the text is there") {
            await rig.pooler.statistics().pools[0].bytesReceived != before
        }
        kill(pid, SIGKILL)
        let answers = try client.answers()
        #expect(answers == ["C:DEALLOCATE", "Z:I"])
        client.send {
            $0.bind("s")
            $0.sync()
        }
        #expect(try client.answers() == ["E:26000", "Z:I"])
    }
}
