import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

@Suite(.enabled(if: ScratchPostgres.unavailable == nil, "needs PostgreSQL's server programs"))
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
    }
}
