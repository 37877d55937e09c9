import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting
import PGHAWire
import Testing

@Suite("Reads leave the port for writing", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct SplitTests {
    /// One cluster for all that leaves it whole: a standby costs seconds.
    @Test func aSessionsStatementsAreSplit() async throws {
        let rig = try await ReadRig.start()
        try self.readsGoToTheStandbyAndTheRestDoesNot(rig)
        try self.aPipelineKeepsItsOrder(rig)
        try self.extendedQueriesDoTheSame(rig)
        try await self.whatAStandbyRefusesThePrimaryDoes(rig)
        try await self.piecesOfAStatementMakeOneRead(rig)
        try await self.aReloadTurnsItOnAndOff(rig)
        try await self.aReadOfADyingStandbyIsAnsweredByAnother(rig)
    }

    /// The list of names that may be called in a read, against a server's own word.
    @Test func whatCountsAsAReadIsNotVolatile() async throws {
        let server = try await ScratchPostgres.start()
        let rows = try await server.query(
            """
            SELECT proname::text AS name, bool_or(provolatile = 'v') AS volatile FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace GROUP BY proname
            """)
        var isVolatile: [String: Bool] = [:]
        for row in rows { isVolatile[try row.string("name")] = try row.bool("volatile") }
        for name in PureFunctions.builtIn {
            #expect(isVolatile[name] == PureFunctions.volatileButPure.contains(name), "\(name)")
        }
        #expect(PureFunctions.volatileButPure.isSubset(of: PureFunctions.builtIn))
    }

    private func readsGoToTheStandbyAndTheRestDoesNot(_ rig: ReadRig) throws {
        let (primary, standby) = (rig.primaryPort, rig.standbyPort())
        let client = try rig.writer()
        #expect(try client.value(ReadRig.port) == standby)
        #expect(try client.value("/*pgha:primary*/ " + ReadRig.port) == primary)
        #expect(try client.query("BEGIN") == ["C:BEGIN", "Z:T"])
        #expect(try client.value(ReadRig.port) == primary)
        try client.query("COMMIT")
        #expect(try client.value(ReadRig.port) == standby)
        // Several statements, an unknown function, a lock, a write.
        #expect(try client.value(ReadRig.port + "; SELECT 1") == primary)
        try client.query("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('port') $$")
        #expect(try client.value("SELECT f()") == primary)
        #expect(try client.value("/*pgha:standby*/ SELECT f()") == standby)
        #expect(try client.query("CREATE TABLE t (a int)") == ["C:CREATE TABLE", "Z:I"])
        #expect(try client.query("INSERT INTO t VALUES (1)") == ["C:INSERT 0 1", "Z:I"])
        #expect(try client.value("SELECT current_setting('port') FROM t FOR UPDATE") == primary)
        // What the session remembers goes with it.
        try client.query("SET application_name = 'wanderer'")
        #expect(
            try client.value("SELECT current_setting('application_name') || current_setting('port')") == "wanderer"
                + standby)
        // State that cannot move keeps it on the primary.
        try client.query("CREATE TEMP TABLE x (a int)")
        #expect(try client.value(ReadRig.port) == primary)
    }

    private func aPipelineKeepsItsOrder(_ rig: ReadRig) throws {
        let client = try rig.writer()
        try client.query("CREATE TABLE t2 (a int)")
        client.send {
            $0.query(ReadRig.port)
            $0.query("INSERT INTO t2 VALUES (1)")
            $0.query("SELECT count(*), current_setting('port') FROM t2")
            $0.query("BEGIN")
            $0.query(ReadRig.port)
            $0.query("COMMIT")
        }
        #expect(
            try client.answers(ready: 6) == [
                "T", "D:\(rig.standbyPort())", "C:SELECT 1", "Z:I", "C:INSERT 0 1", "Z:I", "T", "D:1", "C:SELECT 1",
                "Z:I", "C:BEGIN", "Z:T", "T", "D:\(rig.primaryPort)", "C:SELECT 1", "Z:T", "C:COMMIT", "Z:I",
            ])
    }

    private func extendedQueriesDoTheSame(_ rig: ReadRig) throws {
        let client = try rig.writer()
        client.send {
            $0.parse("", ReadRig.port)
            $0.bind("")
            $0.describe("")
            $0.execute()
            $0.sync()
        }
        #expect(try client.answers() == ["1", "2", "t", "T", "D:\(rig.standbyPort())", "C:SELECT 1", "Z:I"])
        // Prepared here, run there: the name goes with it.
        client.send {
            $0.parse("p", ReadRig.port)
            $0.sync()
            $0.query("BEGIN")
            $0.bind("p")
            $0.execute()
            $0.sync()
            $0.query("COMMIT")
        }
        #expect(
            try client.answers(ready: 4) == [
                "1", "Z:I", "C:BEGIN", "Z:T", "2", "D:\(rig.primaryPort)", "C:SELECT 1", "Z:T", "C:COMMIT", "Z:I",
            ])
        client.send {
            $0.bind("p")
            $0.execute()
            $0.sync()
        }
        #expect(try client.answers() == ["2", "D:\(rig.standbyPort())", "C:SELECT 1", "Z:I"])
        // A batch with a write in it is the primary's.
        try client.query("CREATE TABLE t3 (a int)")
        client.send {
            $0.bind("p")
            $0.execute()
            $0.parse("", "INSERT INTO t3 VALUES (1)")
            $0.bind("")
            $0.execute()
            $0.sync()
        }
        #expect(
            try client.answers() == ["2", "D:\(rig.primaryPort)", "C:SELECT 1", "1", "2", "C:INSERT 0 1", "Z:I"])
    }

    private func whatAStandbyRefusesThePrimaryDoes(_ rig: ReadRig) async throws {
        let client = try rig.writer()
        try client.query("CREATE TABLE t4 (a int); CREATE UNLOGGED TABLE u (a int); CREATE SEQUENCE q")
        #expect(try client.query("/*pgha:standby*/ INSERT INTO t4 VALUES (1)") == ["C:INSERT 0 1", "Z:I"])
        #expect(try client.value("/*pgha:standby*/ SELECT nextval('q')") == "1")
        // "cannot access temporary or unlogged relations during recovery"
        #expect(try client.value("SELECT count(*) FROM u") == "0")
        client.send {
            $0.parse("n", "/*pgha:standby*/ SELECT nextval('q')")
            $0.describe("n")
            $0.bind("n")
            $0.execute()
            $0.sync()
            $0.bind("n")
            $0.execute()
            $0.sync()
        }
        #expect(
            try client.answers(ready: 2) == [
                "1", "t", "T", "2", "D:2", "C:SELECT 1", "Z:I", "2", "D:3", "C:SELECT 1", "Z:I",
            ])
        // The statement's own fault is told once, and the name of a Parse that never was is free.
        #expect(try client.query("SELECT 1 / 0").filter { $0.hasPrefix("E") } == ["E:22012"])
        client.send {
            $0.parse("m", "SELECT nowhere")
            $0.sync()
            $0.parse("m", "SELECT 5")
            $0.bind("m")
            $0.execute()
            $0.sync()
        }
        #expect(try client.answers(ready: 2) == ["E:42703", "Z:I", "1", "2", "D:5", "C:SELECT 1", "Z:I"])
        #expect(await rig.sum("s0") { $0.refusedReads } == 6)
        let console = try RawClient.logIn(port: rig.rig.port, database: "pgha")
        #expect(try console.query("SHOW READS").filter { $0.hasPrefix("D:") } == ["D:postgres", "D:postgres"])
        // The standby's connection was good for more all the time.
        #expect(try client.value(ReadRig.port) == rig.standbyPort())
        // Not run twice: it was the client's limit.
        try client.query("SET statement_timeout = '200ms'")
        #expect(try client.query("SELECT pg_sleep(60)").contains("E:57014"))
        #expect(await rig.sum("s0") { $0.refusedReads } == 6)
    }

    private func piecesOfAStatementMakeOneRead(_ rig: ReadRig) async throws {
        let client = try rig.writer()
        var buffer = WireBuffer()
        buffer.parse("", ReadRig.port)
        buffer.bind("")
        buffer.execute()
        buffer.sync()
        let bytes = buffer.array
        for cut in stride(from: 1, to: bytes.count, by: 5) {
            client.send(Array(bytes[..<cut]))
            // Whatever the pooler made of the first piece, it has made now.
            _ = await rig.rig.pooler.statistics()
            client.send(Array(bytes[cut...]))
            let answers = try client.answers()
            #expect(answers.count == 5 && answers.last == "Z:I" && answers[3] == "C:SELECT 1", "cut at \(cut)")
        }
        client.send(Array(bytes[..<20]))
        client.send { $0.emptyMessage(FrontendMessage.sync) }
    }

    private func aReadOfADyingStandbyIsAnsweredByAnother(_ rig: ReadRig) async throws {
        let client = try rig.writer()
        client.send {
            $0.query(ReadRig.sleepsOn(rig.standbys[0]))
            $0.query("SELECT 'next'")
        }
        try await rig.standbys[0].wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
        rig.standbys[0].kill()
        #expect(
            try client.answers(ready: 2) == [
                "T", "D:\(rig.primaryPort)", "C:SELECT 1", "Z:I", "T", "D:next", "C:SELECT 1", "Z:I",
            ])
    }

    private func aReloadTurnsItOnAndOff(_ rig: ReadRig) async throws {
        let client = try rig.writer()
        for isOn in [false, true] {
            try await rig.reload { $0.split.isOn = isOn }
            #expect(try client.value(ReadRig.port) == (isOn ? rig.standbyPort() : rig.primaryPort))
        }
    }

    @Test func theOwnZoneComesFirstAndReadsWaitWhereTheLeaderMayNotAnswer() async throws {
        let rig = try await ReadRig.start(standbys: ["s", "t"]) {
            $0.reads.zone = "x"
            $0.reads.usesLeader = false
        }
        let near = ReadRig.node("s1", rig.standbys[1], zone: "x")
        let far = ReadRig.node("s0", rig.standbys[0], zone: "y")
        await rig.apply(standbys: [far, near])
        let client = try rig.reader()
        for _ in 0..<10 { #expect(try client.value(ReadRig.port) == rig.standbyPort(1)) }
        await rig.apply(standbys: [far])
        #expect(try client.value(ReadRig.port) == rig.standbyPort(0))
        await rig.apply(standbys: [])
        client.send { $0.query(ReadRig.port) }
        // It waits: the next one is answered first.
        #expect(try rig.writer().value(ReadRig.port) == rig.primaryPort)
        await rig.apply(standbys: [far, near])
        #expect(try client.answers()[1] == "D:\(rig.standbyPort(1))")
    }
}
