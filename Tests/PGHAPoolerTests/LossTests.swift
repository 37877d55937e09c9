import PGHAPooler
import PGHAPostgres
import PGHATesting
import PGHAWire
import Testing

@Suite("Whoever vanishes harms nobody else", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct LossTests {
    @Test func aClientThatVanishesInATransactionIsRolledBack() async throws {
        let rig = try await PoolerRig.start()
        var first: RawClient? = try rig.client()
        let pid = try first?.value("SELECT pg_backend_pid()")
        try first?.query("CREATE TABLE t (a int)")
        try first?.query("BEGIN; INSERT INTO t VALUES (1)")
        first = nil
        let second = try rig.client()
        #expect(try second.value("SELECT count(*) FROM t") == "0")
        #expect(try second.value("SELECT pg_backend_pid()") == pid)
    }

    @Test func aClientThatVanishesInAQueryCostsTheServer() async throws {
        let rig = try await PoolerRig.start()
        var first: RawClient? = try rig.client()
        let pid = try first?.value("SELECT pg_backend_pid()")
        first?.send { $0.query("SELECT pg_sleep(60)") }
        try await rig.server.wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
        first = nil
        #expect(try rig.client().value("SELECT pg_backend_pid()") != pid)
        // Cancelled, not left to sleep on.
        try await rig.server.wait(until: "NOT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
    }

    @Test func aServerThatDiesBetweenTransactionsIsReplaced() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        let pid = try #require(try client.value("SELECT pg_backend_pid()"))
        try await rig.server.query("SELECT pg_terminate_backend(\(pid))")
        try await rig.server.wait(until: "NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = \(pid))")
        #expect(try client.value("SELECT pg_backend_pid()") != pid)
    }

    @Test func aServerThatDiesInAQueryLeavesItsOutcomeOpen() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        client.send { $0.query("SELECT pg_terminate_backend(pg_backend_pid())") }
        // A row went out before, so the statement cannot be sent to another server unnoticed.
        let answers = try client.answers()
        #expect(answers == ["T", "D:t", "E:08007", "Z:I"])
        #expect(try client.value("SELECT 1") == "1")
    }

    @Test func aCancelRequestHitsItsClientsQueryOnly() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let (first, second) = (try rig.client(), try rig.client())
        let holder = try await rig.server.connect()
        try await holder.query("SELECT pg_advisory_lock(7)")
        first.send { $0.query("SELECT pg_sleep(60)") }
        second.send { $0.query("SELECT 'done' FROM pg_advisory_xact_lock(7)") }
        try await rig.server.wait(
            until: "(SELECT count(*) FROM pg_stat_activity WHERE wait_event IN ('PgSleep', 'advisory')) = 2")
        let wrong = try RawClient(port: rig.port)
        wrong.send { $0.cancelRequest(CancelRequest(processID: second.processID, key: first.key)) }
        #expect(try wrong.read() == nil)
        let canceller = try RawClient(port: rig.port)
        canceller.send { $0.cancelRequest(CancelRequest(processID: first.processID, key: first.key)) }
        #expect(try canceller.read() == nil)
        #expect(try first.answers() == ["T", "E:57014", "Z:I"])
        await holder.close()
        #expect(try second.answers() == ["T", "D:done", "C:SELECT 1", "Z:I"])
        #expect(try first.value("SELECT 1") == "1")
    }

    @Test func whoWaitsTooLongIsTold() async throws {
        let rig = try await PoolerRig.start { $0.timeouts.queryWait = .milliseconds(200) }
        let (first, second) = (try rig.client(), try rig.client())
        try first.query("BEGIN")
        second.send { $0.query("SELECT 1") }
        #expect(try second.answers() == ["E:53300"])
        #expect(try first.query("COMMIT") == ["C:COMMIT", "Z:I"])
    }

    @Test func timeLimitsEndTransactions() async throws {
        let rig = try await PoolerRig.start { configuration in
            configuration.timeouts.idleInTransaction = .milliseconds(200)
            configuration.timeouts.query = .milliseconds(600)
        }
        let idle = try rig.client()
        try idle.query("BEGIN")
        #expect(try idle.answers() == ["E:25P03"])
        let slow = try rig.client()
        slow.send { $0.query("SELECT pg_sleep(60)") }
        #expect(try slow.answers().last == "E:57014")
        #expect(try rig.client().value("SELECT 1") == "1")
    }

    @Test func anOlderTermsServersAreClosed() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let (idle, busy) = (try rig.client(), try rig.client())
        try busy.query("BEGIN")
        let pid = try idle.value("SELECT pg_backend_pid()")
        rig.apply(term: 2)
        #expect(try busy.query("SELECT 1") == ["E:40001", "Z:E"])
        #expect(try busy.query("ROLLBACK") == ["C:ROLLBACK", "Z:I"])
        #expect(try idle.value("SELECT pg_backend_pid()") != pid)
        try await rig.server.wait(
            until: "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') = 2")
        // A late message from before changes nothing.
        rig.apply(term: 1)
        #expect(try idle.value("SELECT 1") == "1")
    }

    @Test func aSlowReaderStopsItsServerAndNothingElse() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let (slow, other) = (try rig.client(), try rig.client())
        slow.send { $0.query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)") }
        // The server cannot send 100 MB to somebody who reads nothing.
        try await rig.server.wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'ClientWrite')")
        #expect(try other.value("SELECT 1") == "1")
        #expect(try slow.answers().count == 100_003)
        #expect(try slow.value("SELECT 1") == "1")
    }

    @Test func limitsOnClientsAreKept() async throws {
        let rig = try await PoolerRig.start { $0.limits.maximumClients = 2 }
        let clients = [try rig.client(), try rig.client()]
        let third = try RawClient(port: rig.port)
        third.sendStartup(user: "postgres", database: "postgres")
        #expect(try third.answers() == ["E:53300"])
        #expect(try clients[0].value("SELECT 1") == "1")
    }

    @Test func aDatabaseThatIsNotThereIsRefusedAtOnce() async throws {
        let rig = try await PoolerRig.start()
        let client = try RawClient(port: rig.port)
        client.sendStartup(user: "postgres", database: "nowhere")
        #expect(try client.answers() == ["E:3D000"])
    }

    @Test func startupPacketsComeInPiecesAndMayAskForTooMuch() async throws {
        let rig = try await PoolerRig.start()
        let client = try RawClient(port: rig.port)
        var buffer = WireBuffer()
        buffer.sslRequest()
        client.send(buffer.array)
        #expect(try client.readByte() == UInt8(ascii: "N"))
        buffer.removeAll()
        buffer.startupMessage(
            version: ProtocolVersion(major: 3, minor: 9999),
            parameters: [.init("user", "postgres"), .init("database", "postgres"), .init("_pq_.x", "1")])
        for byte in buffer.array { client.send([byte]) }
        let messages = try client.readToReady()
        #expect(messages.first?.type == "v")
        #expect(messages.last?.type == "Z")
        #expect(try client.value("SELECT 1") == "1")
    }

    @Test func theServerAsksForAPassword() async throws {
        let server = try await ScratchPostgres.start(
            {
                var options = ScratchPostgres.Options()
                options.authentication = "scram-sha-256"
                return options
            }())
        let rig = try await PoolerRig.start(server: server) { configuration in
            configuration.passwords["postgres"] = Secret(Array(ScratchPostgres.superuserPassword.utf8))
        }
        #expect(try rig.client().value("SELECT 1") == "1")
    }
}
