import Glibc
import PGHAPostgres
import PGHATesting
import Testing

/// `pgha pooler` as operators run it: files and signals.
@Suite(
    "The pooler's process", .serialized,
    .enabled(if: ScratchCluster.unavailable == nil, "\(ScratchCluster.unavailable ?? "")"), .timeLimit(.minutes(5)))
struct PoolerProcessTests {
    private static func accepts(_ pooler: ScratchPooler, _ password: String) async -> Bool {
        guard let session = try? await PostgresConnection.open(pooler.parameters(password)) else { return false }
        await session.close()
        return true
    }

    private static func wait(
        for what: String, _ pooler: ScratchPooler, _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + .seconds(90)
        while try await !condition() {
            guard ContinuousClock.now < deadline else { throw ScratchFailure("not in time: \(what)\n\(pooler.log)") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    @Test func aReloadChangesWhoMayLogInAndNobodyIsDisconnected() async throws {
        let server = try await ScratchPostgres.start()
        let pooler = try await ScratchPooler.start(server, password: "first")
        try await Self.wait(for: "the pooler to listen", pooler) { await Self.accepts(pooler, "first") }
        let session = try await PostgresConnection.open(pooler.parameters("first"))
        // The controller says where the socket is, and the pooler runs on the same host.
        let local = try await session.query("SELECT inet_server_addr() IS NULL AS local")
        #expect(try local[0].bool("local"))

        try pooler.setPassword("second")
        pooler.signal(SIGHUP)
        try await Self.wait(for: "the new password", pooler) { await Self.accepts(pooler, "second") }
        #expect(await !Self.accepts(pooler, "first"))
        _ = try await session.query("SELECT 1")

        try pooler.spoilUsers()
        pooler.signal(SIGHUP)
        try await Self.wait(for: "the complaint", pooler) { pooler.log.contains("settings not changed") }
        #expect(await Self.accepts(pooler, "second"))

        // The console does the same.
        try pooler.setPassword("third")
        try await PostgresConnection.open(pooler.parameters("second", database: "pgha")).script("RELOAD")
        try await Self.wait(for: "the third password", pooler) { await Self.accepts(pooler, "third") }
        _ = try await session.query("SELECT 1")
        #expect(pooler.status == nil)
    }

    @Test func askedToEndItLetsTransactionsFinish() async throws {
        let server = try await ScratchPostgres.start()
        try await server.query("CREATE TABLE t (a int)")
        let pooler = try await ScratchPooler.start(server, password: "secret")
        try await Self.wait(for: "the pooler to listen", pooler) { await Self.accepts(pooler, "secret") }
        let idle = try await PostgresConnection.open(pooler.parameters("secret"))
        let open = try await PostgresConnection.open(pooler.parameters("secret"))
        try await open.script("BEGIN")
        pooler.signal(SIGTERM)
        #expect(await idle.waitUntilLost())
        try await open.script("INSERT INTO t VALUES (1)")
        #expect(await !Self.accepts(pooler, "secret"))
        #expect(pooler.status == nil)
        try await open.script("COMMIT")
        #expect(await open.waitUntilLost())
        try await Self.wait(for: "the end", pooler) { pooler.status != nil }
        #expect(pooler.status == 0)
        #expect(pooler.log.contains("ended"))
        #expect(try await server.query("SELECT count(*)::text AS n FROM t")[0].string("n") == "1")
    }
}
