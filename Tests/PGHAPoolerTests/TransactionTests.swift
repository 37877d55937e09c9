import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

@Suite("Transactions of many clients share few servers", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct TransactionTests {
    @Test func oneServerServesTwoClientsInTurn() async throws {
        let rig = try await PoolerRig.start()
        let (first, second) = (try rig.client(), try rig.client())
        let pid = try first.value("SELECT pg_backend_pid()")
        #expect(try second.value("SELECT pg_backend_pid()") == pid)
        #expect(try await rig.sessions() == "1")
    }

    @Test func aServerInATransactionStaysWithItsClient() async throws {
        let rig = try await PoolerRig.start()
        let (first, second) = (try rig.client(), try rig.client())
        #expect(try first.query("BEGIN") == ["C:BEGIN", "Z:T"])
        second.send { $0.query("SELECT 2") }
        // The text says nothing, the status byte does: the transaction goes on after COMMIT AND CHAIN.
        #expect(try first.query("COMMIT AND CHAIN") == ["C:COMMIT", "Z:T"])
        #expect(try first.query("SELECT 1; COMMIT; BEGIN") == ["T", "D:1", "C:SELECT 1", "C:COMMIT", "C:BEGIN", "Z:T"])
        #expect(try first.query("COMMIT") == ["C:COMMIT", "Z:I"])
        #expect(try second.answers() == ["T", "D:2", "C:SELECT 1", "Z:I"])
    }

    @Test func aPipelineKeepsItsServerToTheLastSync() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        client.send { buffer in
            for number in 1...3 {
                buffer.parse("", "SELECT \(number)")
                buffer.bind("")
                buffer.execute()
                buffer.sync()
            }
            buffer.query("SELECT 4")
        }
        #expect(
            try client.answers(ready: 4) == [
                "1", "2", "D:1", "C:SELECT 1", "Z:I", "1", "2", "D:2", "C:SELECT 1", "Z:I", "1", "2", "D:3",
                "C:SELECT 1", "Z:I", "T", "D:4", "C:SELECT 1", "Z:I",
            ])
    }

    @Test func anErrorInAPipelineSkipsToTheNextSyncOnly() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        client.send { buffer in
            buffer.parse("good", "SELECT 1")
            buffer.parse("bad", "SELEC 1")
            buffer.parse("skipped", "SELECT 2")
            buffer.sync()
            buffer.bind("good")
            buffer.execute()
            buffer.sync()
            buffer.bind("skipped")
            buffer.sync()
        }
        #expect(
            try client.answers(ready: 3) == ["1", "E:42601", "Z:I", "2", "D:1", "C:SELECT 1", "Z:I", "E:26000", "Z:I"])
        // What the error skipped was never prepared, and its name is free.
        client.send { buffer in
            buffer.parse("skipped", "SELECT 2")
            buffer.bind("skipped")
            buffer.execute()
            buffer.sync()
        }
        #expect(try client.answers() == ["1", "2", "D:2", "C:SELECT 1", "Z:I"])
    }

    @Test func flushBringsRepliesAndKeepsTheServer() async throws {
        let rig = try await PoolerRig.start()
        let (client, other) = (try rig.client(), try rig.client())
        client.send { buffer in
            buffer.parse("", "SELECT 1")
            buffer.bind("")
            buffer.execute()
            buffer.flush()
        }
        var answers: [String] = []
        while answers.last != "C:SELECT 1" { answers.append(RawClient.summary(try #require(try client.read()))) }
        #expect(answers == ["1", "2", "D:1", "C:SELECT 1"])
        other.send { $0.query("SELECT 2") }
        client.send { $0.sync() }
        #expect(try client.answers() == ["Z:I"])
        #expect(try other.answers() == ["T", "D:2", "C:SELECT 1", "Z:I"])
    }

    @Test func everySplitOfARequestGivesTheSameAnswer() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        var buffer = WireBuffer()
        buffer.parse("", "SELECT $1::text", types: [25])
        buffer.bind("", ["x"])
        buffer.execute()
        buffer.sync()
        let bytes = buffer.array
        for split in 1..<bytes.count {
            client.send(Array(bytes[..<split]))
            // A round trip of another client: the front was read by then.
            if split % 8 == 0 { _ = try rig.client() }
            client.send(Array(bytes[split...]))
            #expect(try client.answers() == ["1", "2", "D:x", "C:SELECT 1", "Z:I"], "split at \(split)")
        }
    }

    @Test func copyInGoesOnAfterItsError() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("CREATE TABLE numbers (a int)")
        client.send { $0.query("COPY numbers FROM STDIN") }
        #expect(try client.read()?.type == "G")
        client.send { $0.message(FrontendMessage.copyData) { $0.append("not a number\n") } }
        #expect(try client.answers() == ["E:22P02", "Z:I"])
        // Data that was on its way is dropped, without a server and without an error.
        client.send { buffer in
            buffer.message(FrontendMessage.copyData) { $0.append("7\n") }
            buffer.emptyMessage(FrontendMessage.copyDone)
            buffer.query("SELECT count(*) FROM numbers")
        }
        #expect(try client.answers() == ["T", "D:0", "C:SELECT 1", "Z:I"])
    }

    @Test func syncInsideOfCopyIsIgnored() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("CREATE TABLE numbers (a int)")
        client.send { buffer in
            buffer.parse("", "COPY numbers FROM STDIN")
            buffer.bind("")
            buffer.execute()
            buffer.sync()
        }
        for type in "12G" { #expect(try client.read()?.type == type) }
        client.send { buffer in
            buffer.message(FrontendMessage.copyData) { $0.append("7\n") }
            buffer.emptyMessage(FrontendMessage.copyDone)
            buffer.sync()
        }
        #expect(try client.answers() == ["C:COPY 1", "Z:I"])
        #expect(try client.value("SELECT a FROM numbers") == "7")
    }
}
