import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting
import PGHAWire
import Testing

@Suite("Servers of this host", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct SocketTests {
    private static let isLocal = "SELECT inet_server_addr() IS NULL"

    /// A pooler that may reach its server by both ways, with these rules for local connections.
    private static func start(_ rules: String, lookup: Bool = false) async throws -> LogInRig {
        let rig = try await LogInRig.start { configuration, _ in
            if !lookup { configuration.authentication.rules = .trust }
        }
        try await rig.server.query("CREATE ROLE guest LOGIN")
        try rig.server.write(
            "pg_hba.conf",
            """
            local all postgres scram-sha-256
            \(rules)
            host all pgha_pooler 127.0.0.1/32 scram-sha-256
            host all all 127.0.0.1/32 trust

            """)
        try await rig.server.query("SELECT pg_reload_conf()")
        let node = PoolTopology.Node(
            name: rig.node.name, host: "127.0.0.1", socket: rig.server.socketDirectory, port: rig.node.port)
        rig.pooler.apply(PoolTopology(term: Term(2), leader: node))
        return rig
    }

    @Test func areReachedOverTheirUnixSockets() async throws {
        let rig = try await Self.start("local all all trust")
        let client = try RawClient.logIn(port: rig.port, user: "guest", database: "postgres")
        #expect(try client.value(Self.isLocal) == "t")
        // A cancel request finds its way too.
        client.send { $0.query("SELECT pg_sleep(60)") }
        try await rig.server.wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
        let canceller = try RawClient(port: rig.port)
        canceller.send { $0.cancelRequest(CancelRequest(processID: client.processID, key: client.key)) }
        #expect(try client.answers().contains("E:57014"))
    }

    @Test func areReachedOverTCPByThoseTheyRefuseThere() async throws {
        let rig = try await Self.start("local all guest reject\nlocal all all trust")
        let guest = try RawClient.logIn(port: rig.port, user: "guest", database: "postgres")
        #expect(try guest.value(Self.isLocal) == "f")
        let app = try RawClient.logIn(port: rig.port, user: "app", database: "postgres")
        #expect(try app.value(Self.isLocal) == "t")
        // Once known, it is not tried for each connection.
        try guest.query("BEGIN")
        let second = try RawClient.logIn(port: rig.port, user: "guest", database: "postgres")
        #expect(try second.value(Self.isLocal) == "f")
        #expect(shell("grep -c 'rejects connection' \(rig.server.logFile)") == "1")
    }

    @Test func lookUsersUpEitherWay() async throws {
        let rig = try await Self.start("local all pgha_pooler reject\nlocal all all trust", lookup: true)
        #expect(rig.psql(asks: Self.isLocal) == "t")
        let sessions = "pg_stat_activity WHERE application_name = 'pgha pooler'"
        #expect(try await !rig.server.query("SELECT client_addr IS NULL AS local FROM \(sessions)")[0].bool("local"))
    }

    /// Who is refused both ways hears the server's own words.
    @Test func sayWhyNobodyGetsInEitherWay() async throws {
        let rig = try await Self.start("local all all reject")
        let client = try RawClient(port: rig.port)
        client.sendStartup(user: "nobody", database: "postgres")
        #expect(try client.answers() == ["E:28000"])
    }
}
