import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

@Suite("A pooler is replaced and reconfigured", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct HandOverTests {
    private static func rig(
        _ server: ScratchPostgres, port: UInt16, _ configure: (inout PoolerConfiguration) -> Void = { _ in }
    ) async throws -> PoolerRig {
        try await PoolerRig.start(server: server, poolSize: 3) {
            $0.listeners = [.init(host: "127.0.0.1", port: port)]
            $0.sharesPorts = true
            configure(&$0)
        }
    }

    @Test func aNewPoolerTakesThePortOverWhileTheOldOneServesItsClients() async throws {
        let server = try await ScratchPostgres.start()
        let old = try await Self.rig(server, port: 0)
        let clients = try (0..<4).map { _ in try old.client() }
        try clients[0].query("BEGIN")
        let new = try await Self.rig(server, port: old.port)
        old.pooler.drain(.waitForClients)
        try await PoolerRig.wait("the clients are there") { await old.pooler.statistics().clients == 4 }
        // Whoever comes now, comes to the new one; who is there stays.
        let late = try (0..<8).map { _ in try new.client() }
        #expect(await new.pooler.statistics().clients == 8)
        for client in clients + late { #expect(try client.value("SELECT 1") == "1") }
        old.pooler.drain(.waitForTransactions)
        for client in clients[1...] { #expect(try client.answers() == ["E:57P01"]) }
        #expect(try clients[0].query("SELECT 1").last == "Z:T")
        #expect(try clients[0].query("COMMIT") == ["C:COMMIT", "Z:I"])
        #expect(try clients[0].answers() == ["E:57P01"])
        for client in late { #expect(try client.value("SELECT 1") == "1") }
    }

    @Test func limitsChangeWhileClientsStay() async throws {
        let server = try await ScratchPostgres.start()
        var configuration = PoolerConfiguration()
        let rig = try await Self.rig(server, port: 0) {
            $0.limits.poolSize = 1
            configuration = $0
        }
        let (first, second) = (try rig.client(), try rig.client())
        try first.query("BEGIN")
        second.send { $0.query("SELECT 2") }
        try await PoolerRig.wait("a client waits") { await rig.pooler.statistics().pools[0].clientsWaiting == 1 }
        configuration.limits.poolSize = 2
        try rig.pooler.reload(configuration)
        // The larger pool helps the client that waits already.
        #expect(try second.answers().contains("D:2"))
        configuration.limits.maximumClients = 2
        try rig.pooler.reload(configuration)
        let third = try RawClient(port: rig.port)
        third.sendStartup(user: "postgres", database: "postgres")
        #expect(try third.answers() == ["E:53300"])
        configuration.timeouts.idleInTransaction = .milliseconds(100)
        try rig.pooler.reload(configuration)
        #expect(try first.answers() == ["E:25P03"])
        configuration.authentication.rules = .passwords
        try rig.pooler.reload(configuration)
        #expect(try second.value("SELECT 3") == "3")
        let fourth = try RawClient(port: rig.port)
        fourth.sendStartup(user: "postgres", database: "postgres")
        #expect(try fourth.read()?.text == "SCRAM-SHA-256")
    }

    @Test func filesThatCannotBeReadChangeNothing() async throws {
        let rig = try await Self.rig(try await ScratchPostgres.start(), port: 0)
        let client = try rig.client()
        var configuration = PoolerConfiguration()
        configuration.authentication.usersFile = "/nowhere/users"
        #expect(throws: PoolerFailure.self) { try rig.pooler.reload(configuration) }
        #expect(try client.value("SELECT 1") == "1")
        #expect(try rig.client().value("SELECT 1") == "1")
    }
}
