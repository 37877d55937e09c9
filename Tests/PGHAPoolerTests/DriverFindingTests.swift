import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

/// What drivers' own test suites found.
@Suite(.serialized, .enabled(if: ScratchPostgres.unavailable == nil, "PostgreSQL is needed"))
struct DriverFindingTests {
    private func run(_ buffer: inout WireBuffer, _ text: String, _ values: [String] = []) {
        buffer.parse("", text)
        buffer.bind("", values)
        buffer.execute()
    }

    /// The Parse in the failing part is skipped by the server, though it comes ahead of the one that counts on it.
    @Test func aStatementIsPreparedAgainBehindTheSyncThatEndsAnError() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("CREATE TABLE numbers (n int)")
        client.send { buffer in
            self.run(&buffer, "INSERT INTO numbers VALUES ($1)", ["1"])
            self.run(&buffer, "SELECT no_such_function($1)", ["1"])
            self.run(&buffer, "INSERT INTO numbers VALUES ($1)", ["2"])
            buffer.sync()
            self.run(&buffer, "INSERT INTO numbers VALUES ($1)", ["3"])
            buffer.sync()
        }
        #expect(
            try client.answers(ready: 2) == [
                "1", "2", "C:INSERT 0 1", "E:42883", "Z:I", "1", "2", "C:INSERT 0 1", "Z:I",
            ])
        #expect(try client.value("SELECT string_agg(n::text, ',') FROM numbers") == "3")
    }

    /// All is well: nothing is prepared twice, and the answers keep their order.
    @Test func pipelinesOfManyPartsRunOneStatementInAll() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        for _ in 0..<3 {
            client.send { buffer in
                for number in 0..<50 {
                    self.run(&buffer, "SELECT $1::int + 1", ["\(number)"])
                    buffer.sync()
                }
            }
            let rows = try client.answers(ready: 50).filter { $0.hasPrefix("D:") }
            #expect(rows == (1...50).map { "D:\($0)" })
        }
    }

    @Test func aTypeThatIsMadeAnewIsSeenByStatementsWithoutAName() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        for _ in 0..<4 {
            try client.query("DROP TYPE IF EXISTS pair; CREATE TYPE pair AS (a text, b text)")
            client.send { buffer in
                self.run(&buffer, "SELECT $1::pair", ["(x,y)"])
                buffer.sync()
            }
            #expect(try client.answers().contains("D:(x,y)"))
        }
        try client.query("DROP TYPE pair")
        for _ in 0..<4 {
            try client.query("BEGIN; CREATE TYPE pair AS (a text, b text)")
            client.send { buffer in
                self.run(&buffer, "SELECT $1::pair", ["(x,y)"])
                buffer.sync()
            }
            #expect(try client.answers().contains("D:(x,y)"))
            try client.query("ROLLBACK")
        }
    }

    @Test(arguments: [PoolerConfiguration.Mode.transaction, .session])
    func aSettingMayBeNamedByAParameterUnlessItIsAGuardedOne(mode: PoolerConfiguration.Mode) async throws {
        let rig = try await PoolerRig.start { $0.mode = mode }
        let client = try rig.client()
        func set(_ name: String, _ value: String) throws -> [String] {
            client.send { buffer in
                self.run(&buffer, "SELECT set_config($1, $2, false)", [name, value])
                buffer.sync()
            }
            return try client.answers()
        }
        for _ in 0..<3 { #expect(try set("work_mem", "5MB") == ["1", "2", "D:5MB", "C:SELECT 1", "Z:I"]) }
        #expect(try client.value("SHOW work_mem") == "5MB")
        #expect(try set("Synchronous_Commit", "off") == ["1", "2", "E:42501", "Z:I"])
        #expect(try client.value("SHOW synchronous_commit") == "on")
        #expect(try set("work_mem", "6MB").contains("D:6MB"))
        #expect(try client.query("PREPARE p AS SELECT set_config($1, 'off', false)").first == "E:42501")
    }

    /// How a backslash is read is known from the server, so that it is no reason to fear the worst.
    @Test func textsWithBackslashesAreNotRefused() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        #expect(try client.value(#"SELECT set_config('search_path', 'a\b', false)"#) == #"a\b"#)
        try client.query("SET standard_conforming_strings = off; SET escape_string_warning = off")
        #expect(try client.value(#"SELECT set_config('search_path', 'a\\b', false)"#) == #"a\b"#)
        // With escapes this is one string; without, the second call is seen.
        #expect(
            try client.query(#"SELECT '\'', set_config('synchronous_commit', 'off', false), '\''"#).first == "E:42501")
    }
}
