import Glibc
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

/// Expects a `PostgresError` and returns it.
func postgresError(_ body: () async throws(PostgresError) -> some Sendable) async -> PostgresError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

@Suite(.serialized, .enabled(if: ScratchPostgres.unavailable == nil, "needs PostgreSQL's server programs"))
struct ConnectionTests {
    @Test func aStatementWithValuesGivesTypedRows() async throws {
        let server = try await ScratchPostgres.start()
        let connection = try await server.connect()
        let rows = try await connection.query(
            "SELECT $1::text AS text, 7::bigint AS number, true AS flag, '16/B374D848'::pg_lsn AS lsn, NULL::int AS none",
            ["it's \\ ok"])
        let row = try #require(rows.first)
        #expect(try row.string("text") == "it's \\ ok")
        #expect(try row.int64("number") == 7)
        #expect(try row.bool("flag"))
        #expect(try row.lsn("lsn").description == "16/B374D848")
        #expect(try row.int64IfPresent("none") == nil)
        #expect(throws: PostgresError.self) { try row.int64("none") }
        #expect(throws: PostgresError.self) { try row.int64("text") }
        #expect(throws: PostgresError.self) { try row.int64("missing") }
        await connection.close()
        #expect(
            await postgresError { () throws(PostgresError) in try await connection.query("SELECT 1") }?.kind == .closed)
    }

    @Test func aPortWithoutServerRefuses() async throws {
        let parameters = ConnectionParameters(host: "127.0.0.1", port: try freePort(), user: "nobody")
        let error = await postgresError { () throws(PostgresError) in try await PostgresConnection.open(parameters) }
        #expect(error?.kind == .refused)
        #expect(error?.probeFailure == .refused)
        let named = ConnectionParameters(host: "localhost", port: parameters.port, user: "nobody")
        let second = await postgresError { () throws(PostgresError) in try await PostgresConnection.open(named) }
        #expect(second?.kind == .refused)
        let socket = ConnectionParameters(host: "/nonexistent", port: 5, user: "nobody")
        let third = await postgresError { () throws(PostgresError) in try await PostgresConnection.open(socket) }
        #expect(third?.kind == .refused)
    }

    @Test func aNameThatDoesNotResolveIsSaidToBeThat() async throws {
        let parameters = ConnectionParameters(host: "no-such-host.invalid", port: 1, user: "nobody")
        let error = await postgresError { () throws(PostgresError) in try await PostgresConnection.open(parameters) }
        #expect(error?.kind == .cannotResolve)
    }

    @Test func aFrozenServerTimesOut() async throws {
        let server = try await ScratchPostgres.start()
        let open = try await server.connect()
        server.freeze()
        defer { server.thaw() }
        var parameters = server.parameters(tcp: true)
        parameters.connectTimeout = .milliseconds(200)
        let began = ContinuousClock.now
        let error = await postgresError { () throws(PostgresError) in try await PostgresConnection.open(parameters) }
        #expect(error?.kind == .timedOut)
        #expect(ContinuousClock.now - began < .seconds(30), "it would hang for as long as the server is frozen")
        // PQcancel would hang for as long as the server is frozen; the session is given up instead.
        let late = await postgresError { () throws(PostgresError) in
            try await open.query("SELECT 1", timeout: .milliseconds(100))
        }
        #expect(late?.kind == .timedOut)
        #expect(ContinuousClock.now - began < .seconds(30))
        #expect(await !open.isUsable)
    }

    @Test func aWrongPasswordIsAnAuthenticationFailureOfALivingServer() async throws {
        var options = ScratchPostgres.Options()
        options.authentication = "scram-sha-256"
        let server = try await ScratchPostgres.start(options)
        let error = await postgresError { () throws(PostgresError) in
            try await PostgresConnection.open(server.parameters(password: "wrong-secret", tcp: true))
        }
        #expect(error?.kind == .authentication)
        #expect(error?.sqlstate == "28P01")
        #expect(error?.probeFailure.provesLife == true)
        #expect(error?.message.contains("wrong-secret") == false)
        var without = server.parameters(tcp: true)
        without.password = nil
        without.passfile = "/nonexistent"
        let second = await postgresError { () throws(PostgresError) in try await PostgresConnection.open(without) }
        #expect(second?.kind == .authentication)
        #expect("\(without)".contains("scratch") == false)
        #expect("\(server.parameters())".contains(ScratchPostgres.superuserPassword) == false)
    }

    @Test func tlsThatTheServerLacksIsATLSFailure() async throws {
        let server = try await ScratchPostgres.start()
        var parameters = server.parameters(tcp: true)
        parameters.sslMode = .require
        let error = await postgresError { () throws(PostgresError) in try await PostgresConnection.open(parameters) }
        #expect(error?.kind == .tls)
        #expect(error?.probeFailure.provesLife == true)
    }

    @Test func aLateStatementIsCancelledAndTheSessionGoesOn() async throws {
        let server = try await ScratchPostgres.start()
        let connection = try await server.connect()
        let late = await postgresError { () throws(PostgresError) in
            try await connection.query("SELECT pg_sleep(30)", timeout: .milliseconds(50))
        }
        #expect(late?.kind == .timedOut)
        #expect(await connection.isUsable)
        #expect(try await connection.query("SELECT 1 AS one")[0].int("one") == 1)
    }

    @Test func aCancelledTaskEndsItsStatement() async throws {
        let server = try await ScratchPostgres.start()
        let connection = try await server.connect()
        let task = Task {
            await postgresError { () throws(PostgresError) in try await connection.query("SELECT pg_sleep(30)") }
        }
        try await server.wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
        task.cancel()
        #expect(await task.value?.kind == .cancelled)
        try await server.wait(until: "NOT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
    }

    @Test func statementsOfOneSessionWaitForEachOther() async throws {
        let server = try await ScratchPostgres.start()
        let connection = try await server.connect()
        let sum = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 1...20 {
                group.addTask { try await connection.query("SELECT $1::int AS n", ["\(number)"])[0].int("n") }
            }
            return try await group.reduce(0, +)
        }
        #expect(sum == 210)
    }

    @Test func anErrorKeepsItsSQLStateAndTheSession() async throws {
        let server = try await ScratchPostgres.start()
        let connection = try await server.connect()
        let error = await postgresError { () throws(PostgresError) in try await connection.query("SELECT 1/0") }
        #expect(error?.kind == .server)
        #expect(error?.sqlstate == "22012")
        #expect(try await connection.results("SELECT 1 AS a; SELECT 2 AS b").map(\.count) == [1, 1])
    }

    @Test func aSessionThatTheServerEndedIsNoticedAtOnce() async throws {
        let server = try await ScratchPostgres.start()
        let connection = try await server.connect()
        let watch = Task { await connection.waitUntilLost() }
        #expect(try await connection.query("SELECT 1 AS one").count == 1)
        server.signalPostmaster(SIGKILL)
        let began = ContinuousClock.now
        #expect(await watch.value)
        #expect(ContinuousClock.now - began < .seconds(30), "nobody asks: it would not be noticed at all")
        let error = await postgresError { () throws(PostgresError) in try await connection.query("SELECT 1") }
        #expect(error?.probeFailure == .reset)
        #expect(await !connection.isUsable)
    }

    @Test func aSessionThatWeCloseIsNotLost() async throws {
        let server = try await ScratchPostgres.start()
        let connection = try await server.connect()
        let watch = Task { await connection.waitUntilLost() }
        try await connection.query("SELECT 1")
        await connection.close()
        #expect(await !watch.value)
    }

    @Test func startupSettingsHoldFromTheFirstStatement() async throws {
        let server = try await ScratchPostgres.start()
        var parameters = server.parameters()
        parameters.settings = ["synchronous_commit": "local", "pgha.note": "a b\\c 'd'"]
        let connection = try await PostgresConnection.open(parameters)
        let row = try await connection.query(
            "SELECT current_setting('synchronous_commit') AS a, current_setting('pgha.note') AS b")[0]
        #expect(try row.string("a") == "local")
        #expect(try row.string("b") == "a b\\c 'd'")
    }

    @Test(arguments: ["plain", "it's", "back\\slash", "\\'; DROP TABLE x; --", "'\u{301}x", "\"\u{301}y", "ä 漢 \n\t"])
    func quotedTextComesBackAsItWas(text: String) async throws {
        let server = try await ScratchPostgres.start()
        let connection = try await server.connect()
        for standard in ["on", "off"] {
            try await connection.query("SET standard_conforming_strings = \(standard)")
            let row = try await connection.query(
                "SELECT \(quoteLiteral(text)) AS \(quoteIdentifier("c\(text)"))")[0]
            #expect(try row.string("c\(text)") == text)
        }
    }

    @Test func connectionStringsQuoteWhatNeedsIt() {
        let text = conninfo([("host", "/a b"), ("user", "o'neil\\x"), ("port", "5432"), ("password", "")])
        #expect(text == "host='/a b' user='o\\'neil\\\\x' port=5432 password=''")
    }
}
