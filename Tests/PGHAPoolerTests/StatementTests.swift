import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

@Suite(
    "Prepared statements outlive the change of servers", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct StatementTests {
    private func prepare(_ client: RawClient, _ name: String, _ text: String, types: [UInt32] = []) throws -> [String] {
        client.send { buffer in
            buffer.parse(name, text, types: types)
            buffer.sync()
        }
        return try client.answers()
    }

    private func run(_ client: RawClient, _ name: String, _ values: [String] = []) throws -> [String] {
        client.send { buffer in
            buffer.bind(name, values)
            buffer.execute()
            buffer.sync()
        }
        return try client.answers()
    }

    @Test func aStatementFollowsItsClientToAnotherServer() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let (first, second) = (try rig.client(), try rig.client())
        #expect(try self.prepare(first, "mine", "SELECT 'x'||$1") == ["1", "Z:I"])
        let pid = try first.value("SELECT pg_backend_pid()")
        // The other client takes the server on which it was prepared.
        try second.query("BEGIN")
        #expect(try second.value("SELECT pg_backend_pid()") == pid)
        #expect(try self.run(first, "mine", ["y"]) == ["2", "D:xy", "C:SELECT 1", "Z:I"])
        try second.query("COMMIT")
    }

    @Test func namesBelongToClientsAndServersShareTexts() async throws {
        let rig = try await PoolerRig.start()
        let (first, second) = (try rig.client(), try rig.client())
        #expect(try self.prepare(first, "s", "SELECT 1") == ["1", "Z:I"])
        #expect(try self.prepare(second, "s", "SELECT 2") == ["1", "Z:I"])
        #expect(try self.prepare(second, "t", "SELECT 1") == ["1", "Z:I"])
        #expect(try self.run(first, "s")[1] == "D:1")
        #expect(try self.run(second, "s")[1] == "D:2")
        #expect(try self.run(second, "t")[1] == "D:1")
        #expect(try first.value("SELECT count(*) FROM pg_prepared_statement()") == "2")
    }

    @Test func parameterTypesTellStatementsApart() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        #expect(try self.prepare(client, "i", "SELECT pg_typeof($1)", types: [23]) == ["1", "Z:I"])
        #expect(try self.prepare(client, "t", "SELECT pg_typeof($1)", types: [25]) == ["1", "Z:I"])
        #expect(try self.run(client, "i", ["1"])[1] == "D:integer")
        #expect(try self.run(client, "t", ["1"])[1] == "D:text")
    }

    @Test func aNameInUseIsRefusedAndTheUnnamedOneReplaced() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        #expect(try self.prepare(client, "s", "SELECT 1") == ["1", "Z:I"])
        #expect(try self.prepare(client, "s", "SELECT 2") == ["E:42P05", "Z:I"])
        #expect(try self.run(client, "s")[1] == "D:1")
        for number in 1...3 {
            #expect(try self.prepare(client, "", "SELECT \(number)") == ["1", "Z:I"])
            #expect(try self.run(client, "")[1] == "D:\(number)")
        }
        client.send { buffer in
            buffer.closeStatement("s")
            buffer.sync()
        }
        #expect(try client.answers() == ["3", "Z:I"])
        #expect(try self.run(client, "s") == ["E:26000", "Z:I"])
        #expect(try self.prepare(client, "s", "SELECT 2") == ["1", "Z:I"])
    }

    @Test func theUnnamedStatementOutlivesItsServerAndASimpleQuery() async throws {
        let rig = try await PoolerRig.start()
        let (client, other) = (try rig.client(), try rig.client())
        #expect(try self.prepare(client, "", "SELECT 'mine'") == ["1", "Z:I"])
        try other.query("SELECT 1")
        #expect(try self.run(client, "") == ["2", "D:mine", "C:SELECT 1", "Z:I"])
    }

    @Test func anUnnamedStatementIsKeptFromItsSecondTime() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        for _ in 1...3 {
            client.send { buffer in
                buffer.parse("", "SELECT 5")
                buffer.bind("")
                buffer.execute()
                buffer.sync()
            }
            #expect(try client.answers() == ["1", "2", "D:5", "C:SELECT 1", "Z:I"])
        }
        #expect(try client.value("SELECT count(*) FROM pg_prepared_statement() WHERE statement = 'SELECT 5'") == "1")
    }

    /// More of them than fit the room of one turn, 32 KiB.
    @Test(arguments: [true, false]) func answersInTheServersPlaceByTheThousand(flushes: Bool) async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        client.send { buffer in
            for _ in 0..<20_000 { buffer.closeStatement("x") }
            if flushes { buffer.flush() } else { buffer.sync() }
        }
        var count = 0
        while count < 20_000, try client.read()?.type == "3" { count += 1 }
        #expect(count == 20_000)
        if flushes { client.send { $0.sync() } }
        #expect(try client.answers() == ["Z:I"])
    }

    /// Answers that the client does not see lie between those that it does, more than one write can leave out.
    @Test func aLongPipelineOfStatementsThatTheServerLacks() async throws {
        let rig = try await PoolerRig.start { $0.preparedStatements = 2 }
        let client = try rig.client()
        let numbers = 0..<300
        client.send { buffer in
            for number in numbers { buffer.parse("s\(number)", "SELECT \(number)") }
            buffer.sync()
        }
        #expect(try client.answers().count == 301)
        client.send { buffer in
            for number in numbers {
                buffer.bind("s\(number)")
                buffer.execute()
            }
            buffer.sync()
        }
        #expect(try client.answers() == numbers.flatMap { ["2", "D:\($0)", "C:SELECT 1"] } + ["Z:I"])
    }

    @Test func theLeastRecentlyUsedStatementIsClosed() async throws {
        let rig = try await PoolerRig.start { $0.preparedStatements = 2 }
        let client = try rig.client()
        for number in 1...3 { #expect(try self.prepare(client, "s\(number)", "SELECT \(number)") == ["1", "Z:I"]) }
        #expect(try client.value("SELECT count(*) FROM pg_prepared_statement()") == "2")
        for number in 1...3 { #expect(try self.run(client, "s\(number)")[1] == "D:\(number)") }
    }

    @Test func skippedAnswersComeWithFlushToo() async throws {
        let rig = try await PoolerRig.start()
        let (first, second) = (try rig.client(), try rig.client())
        #expect(try self.prepare(first, "a", "SELECT 1") == ["1", "Z:I"])
        second.send { buffer in
            buffer.parse("b", "SELECT 1")
            buffer.flush()
        }
        #expect(try second.read()?.type == "1")
        second.send { buffer in
            buffer.describe("b")
            buffer.closeStatement("b")
            buffer.sync()
        }
        #expect(try second.answers() == ["t", "T", "3", "Z:I"])
    }

    @Test func deallocatingAllForgetsEverything() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        for command in ["DEALLOCATE ALL", "DISCARD ALL"] {
            #expect(try self.prepare(client, "s", "SELECT 1") == ["1", "Z:I"])
            #expect(try client.query(command).contains("C:\(command)"))
            #expect(try self.run(client, "s") == ["E:26000", "Z:I"])
        }
        #expect(try self.prepare(client, "s", "SELECT 1") == ["1", "Z:I"])
        #expect(try self.run(client, "s")[1] == "D:1")
    }

    @Test func aStalePlanIsPreparedAfresh() async throws {
        let rig = try await PoolerRig.start()
        let (client, other) = (try rig.client(), try rig.client())
        try other.query("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")
        #expect(try self.prepare(client, "s", "SELECT * FROM t") == ["1", "Z:I"])
        #expect(try self.run(client, "s")[1] == "D:1")
        try other.query("ALTER TABLE t ALTER a TYPE text USING 'text'")
        #expect(try self.run(client, "s") == ["E:0A000", "Z:I"])
        #expect(try self.run(client, "s") == ["2", "D:text", "C:SELECT 1", "Z:I"])
    }

    @Test(arguments: ["DEALLOCATE mine", "deallocate prepare \"mine\" ;"])
    func deallocateFreesTheClientsNameOnly(text: String) async throws {
        let rig = try await PoolerRig.start()
        let (first, second) = (try rig.client(), try rig.client())
        #expect(try self.prepare(first, "mine", "SELECT 1") == ["1", "Z:I"])
        #expect(try self.prepare(second, "mine", "SELECT 1") == ["1", "Z:I"])
        #expect(try first.query(text) == ["C:DEALLOCATE", "Z:I"])
        #expect(try self.run(first, "mine") == ["E:26000", "Z:I"])
        #expect(try first.query(text) == ["E:26000", "Z:I"])
        #expect(try self.run(second, "mine")[1] == "D:1")
        #expect(try self.prepare(first, "mine", "SELECT 2") == ["1", "Z:I"])
        #expect(try self.run(first, "mine")[1] == "D:2")
        #expect(try first.value("SELECT count(*) FROM pg_prepared_statement() WHERE name LIKE '%gone%'") == "0")
    }

    @Test func deallocateByTheExtendedProtocolAndInAFailedBlock() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        #expect(try self.prepare(client, "mine", "SELECT 1") == ["1", "Z:I"])
        try client.query("BEGIN")
        try client.query("SELECT 1/0")
        #expect(try client.query("DEALLOCATE mine") == ["E:25P02", "Z:E"])
        try client.query("ROLLBACK")
        #expect(try self.run(client, "mine")[1] == "D:1")
        client.send { buffer in
            buffer.parse("", "DEALLOCATE mine")
            buffer.bind("")
            buffer.execute()
            buffer.sync()
        }
        #expect(try client.answers() == ["1", "2", "C:DEALLOCATE", "Z:I"])
        #expect(try self.run(client, "mine") == ["E:26000", "Z:I"])
    }

    @Test func executeFindsTheStatementOnWhateverServer() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let (client, other) = (try rig.client(), try rig.client())
        #expect(try self.prepare(client, "Mine", "SELECT $1 + 1", types: [23]) == ["1", "Z:I"])
        #expect(try client.query("EXECUTE \"Mine\"(2)") == ["T", "D:3", "C:SELECT 1", "Z:I"])
        // The other client takes the server on which it was prepared.
        try other.query("BEGIN")
        #expect(try client.query("EXECUTE \"Mine\"(3)") == ["T", "D:4", "C:SELECT 1", "Z:I"])
        #expect(try client.query("EXECUTE mine(3)") == ["E:26000", "Z:I"])
        try other.query("COMMIT")
        client.send { buffer in
            buffer.parse("", "EXECUTE \"Mine\"(4)")
            buffer.bind("")
            buffer.execute()
            buffer.sync()
        }
        #expect(try client.answers() == ["1", "2", "D:5", "C:SELECT 1", "Z:I"])
    }

    @Test func executeOfWhatCannotBePreparedAnyMoreFailsAndTheSessionGoesOn() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let (client, other) = (try rig.client(), try rig.client())
        try client.query("CREATE TABLE t (a int)")
        #expect(try self.prepare(client, "mine", "SELECT a FROM t") == ["1", "Z:I"])
        try client.query("DROP TABLE t")
        try other.query("BEGIN")
        let answers = try client.query("EXECUTE mine")
        #expect(answers.first == "E:42P01" && answers.last == "Z:I")
        #expect(try client.value("SELECT 1") == "1")
    }

    @Test func aLongStatementIsHeldUntilItIsWhole() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        let padding = String(repeating: " ", count: 300_000)
        #expect(try self.prepare(client, "long", "SELECT \(padding)1") == ["1", "Z:I"])
        #expect(try self.run(client, "long")[1] == "D:1")
    }
}
