import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

@Suite(
    "Clients are ended and cancelled by the number that they were greeted with", .serialized,
    .enabled(if: ScratchPostgres.unavailable == nil))
struct SignalTests {
    @Test(arguments: [1, 2]) func anotherSessionIsEnded(threads: Int) async throws {
        let rig = try await PoolerRig.start(poolSize: 4) { $0.threads = threads }
        let client = try rig.client()
        // Both loops' clients, idle and in a transaction.
        for begins in [false, true, false, true, false, true] {
            let victim = try rig.client()
            if begins { try victim.query("BEGIN") }
            let answer = try client.query("SELECT pg_terminate_backend(\(victim.processID))")
            #expect(answer == ["T", "N", "D:f", "C:SELECT 1", "Z:I"])
            #expect(try victim.answers() == ["E:57P01"])
        }
        #expect(try client.value("SELECT 1") == "1")
    }

    @Test func aSessionEndsItselfWhileItWaitsForTheAnswer() async throws {
        let rig = try await PoolerRig.start()
        for isPrepared in [false, true] {
            let client = try rig.client()
            client.send { buffer in
                if isPrepared {
                    buffer.parse("", "SELECT pg_terminate_backend($1::int)")
                    buffer.bind("", ["\(client.processID)"])
                    buffer.execute()
                    buffer.sync()
                } else {
                    buffer.query("SELECT pg_terminate_backend(\(client.processID))")
                }
            }
            #expect(try client.answers().last == "E:57P01")
        }
        #expect(try rig.client().value("SELECT 1") == "1")
    }

    @Test func anotherSessionsQueryIsCancelled() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let (client, victim) = (try rig.client(), try rig.client())
        victim.send { $0.query("SELECT pg_sleep(60)") }
        while try await rig.sessions("query LIKE '%pg_sleep(60)%'") == "0" {}
        #expect(try client.query("SELECT pg_cancel_backend(\(victim.processID))").contains("N"))
        #expect(try victim.answers().contains("E:57014"))
        #expect(try victim.value("SELECT 1") == "1")
    }

    @Test func numbersOfNobodyAreTheServersAffair() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        for number in [client.processID &+ 1 << 16, 1 << 22 - 1] {
            client.send { $0.query("SELECT pg_terminate_backend(\(number))") }
            let messages = try client.readToReady()
            #expect(messages.first { $0.type == "N" }?.text.contains("\(number)") == true)
        }
    }

    @Test func onlyASuperuserEndsSessionsOfOthers() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        try await rig.server.query("CREATE ROLE app LOGIN")
        let (victim, same) = (try rig.client(), try RawClient.logIn(port: rig.port, user: "app"))
        let app = try RawClient.logIn(port: rig.port, user: "app")
        #expect(try app.query("SELECT pg_terminate_backend(\(victim.processID))").contains("D:f"))
        #expect(try app.query("SELECT pg_terminate_backend(\(same.processID))").contains("D:f"))
        #expect(try same.answers() == ["E:57P01"])
        #expect(try victim.query("SELECT pg_terminate_backend(\(app.processID))").contains("D:f"))
        #expect(try app.answers() == ["E:57P01"])
    }
}
