import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

@Suite("Server connections stay within their limits", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct LimitTests {
    private func logIn(_ rig: PoolerRig, user: String = "postgres", database: String = "postgres") throws -> RawClient {
        try RawClient.logIn(port: rig.port, user: user, database: database)
    }

    @Test func theReserveIsForClientsThatHaveWaited() async throws {
        let rig = try await PoolerRig.start {
            $0.limits.reserveSize = 1
            $0.limits.reserveAfter = .milliseconds(300)
        }
        let (first, second, third) = (try rig.client(), try rig.client(), try rig.client())
        try first.query("BEGIN")
        let begin = ContinuousClock.now
        #expect(try second.query("BEGIN") == ["C:BEGIN", "Z:T"])
        #expect(begin.duration(to: .now) >= .milliseconds(300))
        // There is no more than that.
        third.send { $0.query("SELECT pg_backend_pid()") }
        let pid = try second.value("SELECT pg_backend_pid() FROM pg_sleep(0.6)")
        #expect(try await rig.sessions() == "2")
        try second.query("COMMIT")
        #expect(try third.answers()[1] == "D:\(pid ?? "")")
        try first.query("COMMIT")
    }

    @Test func aUsersServersAreLimitedOverAllDatabases() async throws {
        let rig = try await PoolerRig.start(poolSize: 3) { $0.limits.maximumServersPerUser = 1 }
        try await rig.server.query("CREATE DATABASE other")
        let first = try self.logIn(rig)
        try first.query("BEGIN")
        let second = try RawClient(port: rig.port)
        second.sendStartup(user: "postgres", database: "other")
        #expect(try first.value("SELECT 1 FROM pg_sleep(0.3)") == "1")
        #expect(try await rig.sessions() == "1")
        try first.query("COMMIT")
        // The idle server of the one pool makes room for the other.
        #expect(try second.readToReady().last?.type == "Z")
        #expect(try second.value("SELECT current_database()") == "other")
        #expect(try first.value("SELECT current_database()") == "postgres")
        try await rig.server.wait(
            until: """
                (SELECT count(*) FROM pg_stat_activity
                 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) = 1
                """)
    }

    @Test func aDatabasesServersAreLimitedOverAllUsers() async throws {
        let rig = try await PoolerRig.start(poolSize: 3) { $0.limits.maximumServersPerDatabase = 2 }
        try await rig.server.query("CREATE ROLE guest LOGIN")
        let (first, second, guest) = (try rig.client(), try rig.client(), try self.logIn(rig, user: "guest"))
        try first.query("BEGIN")
        try second.query("BEGIN")
        guest.send { $0.query("SELECT current_user") }
        #expect(try first.value("SELECT 1 FROM pg_sleep(0.3)") == "1")
        #expect(try await rig.sessions("usename = 'guest'") == "0")
        try first.query("COMMIT")
        #expect(try guest.answers()[1] == "D:guest")
        try second.query("COMMIT")
    }

    /// The first server of a pool says how it greets; the one that waited for that needs no second one.
    @Test func aFirstLogInOpensOneServer() async throws {
        let session = try await PoolerRig.start(poolSize: 3) { $0.mode = .session }
        let first = try session.client()
        #expect(await session.pooler.statistics().pools[0].servers == 1)
        #expect(try first.value("SELECT 1") == "1")
        let transaction = try await PoolerRig.start(server: session.server, poolSize: 3)
        let other = try transaction.client([("statement_timeout", "7000")])
        #expect(await transaction.pooler.statistics().pools[0].servers == 1)
        #expect(try other.value("SHOW statement_timeout") == "7s")
    }

    @Test func moreThreadsThanServersDoNotMakeMoreServers() async throws {
        let rig = try await PoolerRig.start { $0.threads = 4 }
        let clients = try (1...12).map { _ in try rig.client() }
        for client in clients { #expect(try client.value("SELECT 1") == "1") }
        #expect(try await rig.sessions() == "1")
    }

    @Test func limitsOfTimeAreKept() async throws {
        let rig = try await PoolerRig.start(poolSize: 2) {
            $0.timeouts.clientLogIn = .seconds(60)
            $0.timeouts.transaction = .milliseconds(400)
            $0.timeouts.clientIdle = .milliseconds(1500)
        }
        let begin = ContinuousClock.now
        let (idle, open) = (try rig.client(), try rig.client())
        try open.query("BEGIN")
        #expect(try open.answers() == ["E:25P04"])
        #expect(begin.duration(to: .now) >= .milliseconds(400))
        #expect(try idle.answers() == ["E:57P05"])
        #expect(begin.duration(to: .now) >= .milliseconds(1500))
    }
}
