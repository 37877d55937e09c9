import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

@Suite("The console", .serialized, .enabled(if: ScratchPostgres.unavailable == nil)) struct ConsoleTests {
    private static func rig(threads: Int = 1) async throws -> PoolerRig {
        try await PoolerRig.start(poolSize: 2) { configuration in
            configuration.threads = threads
            configuration.console.administrators = ["postgres"]
            configuration.console.observers = ["looker"]
        }
    }

    private static func console(_ rig: PoolerRig, user: String = "postgres") throws -> RawClient {
        try RawClient.logIn(port: rig.port, user: user, database: "pgbouncer")
    }

    @Test(arguments: [1, 2]) func showsWhatAllLoopsDo(threads: Int) async throws {
        let rig = try await Self.rig(threads: threads)
        let client = try rig.client()
        try client.query("SELECT 1")
        let console = try Self.console(rig)
        #expect(try console.query("SHOW POOLS").filter { $0.hasPrefix("D:") } == ["D:postgres"])
        #expect(try console.query("SHOW CLIENTS;").filter { $0.hasPrefix("D:") } == ["D:C"])
        #expect(try console.query("show servers").filter { $0.hasPrefix("D:") } == ["D:S"])
        for table in ["STATS", "STATS_TOTALS", "STATS_AVERAGES", "DATABASES", "USERS", "LISTS", "VERSION", "MEM", "HELP"] {
            let answer = try console.query("SHOW \(table)")
            #expect(answer.first == "T" && answer.contains { $0.hasPrefix("D:") } && answer.last == "Z:I", "\(table)")
        }
        #expect(try console.query("SHOW NOTHING") == ["E:42601", "Z:I"])
    }

    @Test func pauseWaitsForTransactionsAndHoldsTheNext() async throws {
        let rig = try await Self.rig()
        let client = try rig.client()
        try client.query("BEGIN")
        let console = try Self.console(rig)
        console.send { $0.query("PAUSE") }
        while await !rig.pooler.statistics().pools.contains(where: \.isHeld) { await Task.yield() }
        #expect(try client.query("COMMIT").last == "Z:I")
        #expect(try console.answers() == ["C:PAUSE", "Z:I"])
        #expect(await rig.pooler.statistics().servers == 0)
        client.send { $0.query("SELECT 7") }
        while await rig.pooler.statistics().pools.allSatisfy({ $0.clientsWaiting == 0 }) { await Task.yield() }
        #expect(try console.query("RESUME").first == "C:RESUME")
        #expect(try client.answers().contains("D:7"))
    }

    @Test func killEndsClientsAndDisableRefusesNewOnes() async throws {
        let rig = try await Self.rig()
        let client = try rig.client()
        let console = try Self.console(rig)
        #expect(try console.query("KILL postgres").first == "C:KILL")
        #expect(try client.answers() == ["E:57P01"])
        #expect(throws: RawClient.Failure.self) { try rig.client() }
        #expect(try console.query("RESUME postgres").first == "C:RESUME")
        #expect(try console.query("DISABLE postgres").first == "C:DISABLE")
        #expect(throws: RawClient.Failure.self) { try rig.client() }
        #expect(try console.query("ENABLE postgres").first == "C:ENABLE")
        #expect(try rig.client().value("SELECT 1") == "1")
    }

    @Test func reconnectReplacesServers() async throws {
        let rig = try await Self.rig()
        let client = try rig.client()
        let before = try client.value("SELECT pg_backend_pid()")
        #expect(try Self.console(rig).query("RECONNECT").first == "C:RECONNECT")
        #expect(try client.value("SELECT pg_backend_pid()") != before)
    }

    @Test func onlyAdministratorsChangeThingsAndStrangersSeeNothing() async throws {
        let rig = try await Self.rig()
        let looker = try Self.console(rig, user: "looker")
        #expect(try looker.query("SHOW VERSION").last == "Z:I")
        #expect(try looker.query("PAUSE") == ["E:42501", "Z:I"])
        #expect(throws: RawClient.Failure.self) { try Self.console(rig, user: "stranger") }
    }
}
