import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

@Suite(
    "A client sees in pg_prepared_statements what it has prepared", .serialized,
    .enabled(if: ScratchPostgres.unavailable == nil))
struct OwnNamesTests {
    private static let look =
        "SELECT coalesce(string_agg(name, ',' ORDER BY prepare_time), '') FROM pg_prepared_statements"

    private func prepare(_ client: RawClient, _ name: String, _ text: String) throws {
        client.send { buffer in
            buffer.parse(name, text)
            buffer.sync()
        }
        #expect(try client.answers() == ["1", "Z:I"])
    }

    private func run(_ client: RawClient, _ name: String) throws -> [String] {
        client.send { buffer in
            buffer.bind(name)
            buffer.execute()
            buffer.sync()
        }
        return try client.answers()
    }

    @Test func itsOwnAndNobodyElses() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let (client, other) = (try rig.client(), try rig.client())
        try self.prepare(other, "theirs", "SELECT 'theirs'")
        #expect(try self.run(other, "theirs")[1] == "D:theirs")
        for (name, text) in [("b", "SELECT 'b'"), ("a", "SELECT 'a'")] { try self.prepare(client, name, text) }
        try client.query("BEGIN")
        #expect(try client.value(Self.look) == "b,a")
        #expect(try client.query("COMMIT").last == "Z:I")
        #expect(try self.run(client, "b")[1] == "D:b")
        // From now on the server knows the names.
        try self.prepare(client, "c", "SELECT 'c'")
        client.send { buffer in
            buffer.closeStatement("b")
            buffer.sync()
        }
        #expect(try client.answers() == ["3", "Z:I"])
        #expect(try client.value(Self.look) == "a,c")
        #expect(try client.value("EXECUTE c") == "c")
        #expect(try client.query("DEALLOCATE a") == ["C:DEALLOCATE", "Z:I"])
        #expect(try self.run(client, "a").contains("E:26000"))
        #expect(try self.run(other, "theirs")[1] == "D:theirs")
    }

    @Test func theServerIsClearedWhenItsClientLeavesOrDiscardsAll() async throws {
        let rig = try await PoolerRig.start()
        for leaves in [true, false] {
            let client = try rig.client()
            try self.prepare(client, "mine", "SELECT 1")
            #expect(try client.value(Self.look) == "mine")
            if !leaves {
                try client.query("DISCARD ALL")
                try self.prepare(client, "mine", "SELECT 2")
                #expect(try self.run(client, "mine")[1] == "D:2")
                // The only server is free for others.
                let left = "SELECT count(*) FROM pg_prepared_statement() WHERE name = 'mine'"
                #expect(try rig.client().value(left) == "0")
                #expect(try self.run(client, "mine")[1] == "D:2")
            }
        }
        #expect(try rig.client().value(Self.look) == "")
    }

    @Test func inAPipeline() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        client.send { buffer in
            buffer.parse("s", "SELECT 1")
            buffer.bind("s")
            buffer.execute()
            for _ in 0..<2 {
                buffer.parse("", Self.look)
                buffer.bind("")
                buffer.execute()
            }
            buffer.sync()
        }
        let one = ["1", "2", "D:s", "C:SELECT 1"]
        #expect(try client.answers() == ["1", "2", "D:1", "C:SELECT 1"] + one + one + ["Z:I"])
    }

    /// The server skips what should have given the client its names.
    @Test func inAPipelineThatFails() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let client = try rig.client()
        try self.prepare(client, "s", "SELECT 's'")
        for _ in 0..<2 {
            client.send { buffer in
                buffer.parse("", "SELECT no_such_function()")
                buffer.parse("", Self.look)
                buffer.bind("")
                buffer.execute()
                buffer.sync()
            }
            #expect(try client.answers() == ["E:42883", "Z:I"])
            #expect(try self.run(client, "s") == ["2", "D:s", "C:SELECT 1", "Z:I"])
        }
        #expect(try client.value(Self.look) == "s")
        #expect(try self.run(client, "s")[1] == "D:s")
    }

    @Test(arguments: [true, false]) func whatCannotBePreparedFailsTheLookUntilItIsGone(isPrepared: Bool) async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("CREATE TABLE t (a int)")
        for name in ["a", "pgha_last"] { try self.prepare(client, name, "SELECT 'it'") }
        try self.prepare(client, "gone", "TABLE t")
        try self.prepare(client, "z", "SELECT 'z'")
        try client.query("DROP TABLE t")
        for _ in 0..<2 {
            let answers = isPrepared ? try self.lookPrepared(client) : try client.query(Self.look)
            #expect(answers.first == "E:42P01" && answers.last == "Z:I")
            #expect(try self.run(client, "a")[1] == "D:it")
        }
        #expect(try client.query("DEALLOCATE gone").last == "Z:I")
        let answers = isPrepared ? try self.lookPrepared(client) : try client.query(Self.look)
        #expect(answers.contains("D:a,pgha_last,z"))
        #expect(try self.run(client, "z")[1] == "D:z")
    }

    private func lookPrepared(_ client: RawClient) throws -> [String] {
        client.send { buffer in
            buffer.parse("", Self.look)
            buffer.bind("")
            buffer.execute()
            buffer.sync()
        }
        return try client.answers()
    }

    /// One that has no name stays what it was, whatever looks.
    @Test func theStatementWithoutANameStaysOne() async throws {
        let rig = try await PoolerRig.start()
        for isThere in [true, false] {
            let client = try rig.client()
            if isThere { try self.prepare(client, "", "SELECT 'none'") }
            try self.prepare(client, "look", Self.look)
            #expect(try self.run(client, "look")[1] == "D:look")
            let answers = try self.run(client, "")
            #expect(isThere ? answers[1] == "D:none" : answers == ["E:26000", "Z:I"])
        }
    }

    @Test func aNameThatIsLongerThanTheRoomThereIsEndsTheSession() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        for name in ["a", String(repeating: "b", count: 40_000)] { try self.prepare(client, name, "SELECT 1") }
        #expect(try client.query(Self.look) == ["E:54000"])
        #expect(try rig.client().value(Self.look) == "")
    }

    @Test func aFailedTransactionFailsAsItWould() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try self.prepare(client, "s", "SELECT 's'")
        try client.query("BEGIN")
        #expect(try client.query("SELECT 1 / 0").first == "E:22012")
        #expect(try client.query(Self.look) == ["E:25P02", "Z:E"])
        #expect(try client.query("ROLLBACK").last == "Z:I")
        #expect(try self.run(client, "s")[1] == "D:s")
        #expect(try client.value(Self.look) == "s")
    }
}
