import Foundation
import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting
import PGHAWire
import Synchronization
import Testing

@Suite("Outcomes of lost commits", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct OutcomeTests {
    /// What clients were told, by the id that they inserted.
    private final class Told: Sendable {
        struct Answers {
            var committed: [Int] = []
            var notCommitted: [Int] = []
            var unknown: [Int] = []
            /// Committed, after the primary was gone.
            var resolved: [Int] = []
            var unexpected: [String] = []
        }

        let answers = Mutex(Answers())
        let isOver = Atomic(false)
        let isKilled = Atomic(false)
        var commits: Int { self.answers.withLock { $0.committed.count } }
    }

    /// How a client commits.
    private enum Way: Int {
        case query, prepared, alone, alonePrepared
    }

    private static func commit(_ client: RawClient, _ id: Int, _ way: Way) throws -> [String] {
        switch way {
        case .query: try client.query("COMMIT")
        case .prepared: try Self.run(client, "c")
        case .alone: try client.query("INSERT INTO t VALUES (\(id))")
        case .alonePrepared: try Self.run(client, "i", ["\(id)"])
        }
    }

    private static func run(_ client: RawClient, _ statement: String, _ values: [String] = []) throws -> [String] {
        client.send {
            $0.bind(statement, values)
            $0.execute()
            $0.sync()
        }
        return try client.answers()
    }

    private static func prepare(_ client: RawClient) throws {
        client.send {
            $0.parse("c", "COMMIT")
            $0.parse("i", "INSERT INTO t VALUES ($1)")
            $0.sync()
        }
        #expect(try client.answers() == ["1", "1", "Z:I"])
    }

    /// Inserts one row after the other, each in a transaction of its own, until told to stop.
    private static func write(_ client: RawClient, from first: Int, _ way: Way, _ told: Told) throws {
        try Self.prepare(client)
        var id = first
        while !told.isOver.load(ordering: .acquiring) {
            id += 1
            guard way == .query || way == .prepared else {
                try Self.tell(client, id, way, told)
                continue
            }
            let begun = try client.query("BEGIN; INSERT INTO t VALUES (\(id))")
            if let error = begun.first(where: { $0.hasPrefix("E:") }) {
                told.answers.withLock { answers in
                    answers.notCommitted.append(id)
                    if error != "E:40001", error != "E:08007" { answers.unexpected.append("\(begun)") }
                }
                // 08007: whether BEGIN and INSERT in one text had a COMMIT behind them is not known to the pooler.
                if begun.last != "Z:I" { try client.query("ROLLBACK") }
                continue
            }
            try Self.tell(client, id, way, told)
        }
    }

    private static func tell(_ client: RawClient, _ id: Int, _ way: Way, _ told: Told) throws {
        let wasKilled = told.isKilled.load(ordering: .acquiring)
        let end = try Self.commit(client, id, way)
        let isKilled = told.isKilled.load(ordering: .acquiring)
        told.answers.withLock { answers in
            switch end.filter({ $0 != "2" }) {
            case ["C:COMMIT", "Z:I"], ["C:INSERT 0 1", "Z:I"]:
                answers.committed.append(id)
                if !wasKilled, isKilled { answers.resolved.append(id) }
            case ["E:40001", "Z:I"]: answers.notCommitted.append(id)
            case ["E:08007", "Z:I"]: answers.unknown.append(id)
            default: answers.unexpected.append("\(end)")
            }
        }
    }

    private static func fork(_ server: ScratchPostgres) throws -> LSN {
        let text = try #require(server.read("pg_wal/00000002.history"))
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("1\t") }
        let line = try #require(lines.last)
        return try #require(LSN(String(line.split(separator: "\t")[1])))
    }

    /// Tells the pooler that the standby was promoted.
    private static func failOver(_ rig: PoolerRig, to standby: ScratchPostgres) throws {
        let node = PoolTopology.Node(
            name: NodeName("b")!, host: standby.socketDirectory, port: UInt16(standby.port))
        rig.pooler.apply(
            PoolTopology(
                term: Term(2), leader: node,
                terms: [.init(term: Term(1), fork: nil), .init(term: Term(2), fork: try Self.fork(standby))]))
    }

    /// Commits that the standby has and others that it has not; all of them wait when the primary dies.
    @Test(arguments: [true, false])
    func aCommitUnderWayIsAnsweredWithWhatBecameOfIt(resolves: Bool) async throws {
        let (primary, standby) = try await RestartTests.pair()
        try await primary.query("CREATE TABLE t (a int)")
        let rig = try await PoolerRig.start(server: primary, poolSize: 8) { $0.resolvesCommits = resolves }
        let (simple, extended, lost) = (try rig.client(), try rig.client(), try rig.client())
        let (alone, alonePrepared, aloneLost) = (try rig.client(), try rig.client(), try rig.client())
        for client in [extended, alonePrepared] { try Self.prepare(client) }
        for (number, client) in [simple, extended, lost].enumerated() {
            try client.query("BEGIN")
            try client.query("INSERT INTO t VALUES (\(number))")
        }
        try await RestartTests.waitFor("nobody", primary)
        simple.send { $0.query("COMMIT") }
        extended.send {
            $0.bind("c")
            $0.execute()
            $0.sync()
        }
        alone.send { $0.query("INSERT INTO t VALUES (3) RETURNING a") }
        alonePrepared.send {
            $0.bind("i", ["4"])
            $0.execute()
            $0.sync()
        }
        try await primary.wait(
            until: """
                (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep') = 4
                AND (SELECT replay_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication)
                """)
        let sender = try await primary.query("SELECT pid::text AS p FROM pg_stat_replication")[0].string("p")
        kill(try #require(Int32(sender)), SIGSTOP)
        lost.send { $0.query("COMMIT") }
        aloneLost.send { $0.query("INSERT INTO t VALUES (5)") }
        try await primary.wait(until: "(SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep') = 6")
        primary.kill()
        try await standby.query("ALTER SYSTEM RESET synchronous_standby_names")
        try await standby.query("SELECT pg_promote()")
        // The numbers of the lost transactions are used again, and committed.
        for _ in 0..<8 { try await standby.query("INSERT INTO t VALUES (99)") }
        try Self.failOver(rig, to: standby)
        let unknown = ["E:08007", "Z:I"]
        #expect(try simple.answers() == (resolves ? ["C:COMMIT", "Z:I"] : unknown))
        #expect(try extended.answers().filter { $0 != "2" } == (resolves ? ["C:COMMIT", "Z:I"] : unknown))
        #expect(try lost.answers() == (resolves ? ["E:40001", "Z:I"] : unknown))
        // What the server sends of a row lies in its buffer until it waits for its next message.
        let front = resolves ? ["T", "D:3"] : []
        #expect(try alone.answers() == front + (resolves ? ["C:INSERT 0 1", "Z:I"] : unknown))
        let answer = try alonePrepared.answers().filter { $0 != "2" }
        #expect(answer == (resolves ? ["C:INSERT 0 1", "Z:I"] : unknown))
        #expect(try aloneLost.answers() == (resolves ? ["E:40001", "Z:I"] : unknown))
        #expect(try lost.value("SELECT string_agg(a::text, ',' ORDER BY a) FROM t WHERE a < 99") == "0,1,3,4")
    }

    /// A commit that is visible without its standby: an error and nothing that contradicts it.
    @Test(arguments: [true, false]) func aLyingCommitOfAStatementIsToldAsOne(resolves: Bool) async throws {
        let rig = try await PoolerRig.start { $0.resolvesCommits = resolves }
        let client = try rig.client()
        try client.query("CREATE TABLE t (a int)")
        try await RestartTests.waitFor("nobody", rig.server)
        client.send { $0.query("INSERT INTO t VALUES (1)") }
        let waiting = "pg_stat_activity WHERE wait_event = 'SyncRep'"
        try await rig.server.wait(until: "EXISTS (SELECT FROM \(waiting))")
        try await rig.server.query("SELECT pg_cancel_backend(pid) FROM \(waiting)")
        #expect(try client.answers() == ["E:08007", "Z:I"])
        #expect(try client.value("SELECT count(*) FROM t") == "1")
    }

    /// What such statements answer is what they answer without.
    @Test(arguments: [true, false]) func aStatementThatCommitsByItselfAnswersAsEver(resolves: Bool) async throws {
        let rig = try await PoolerRig.start { $0.resolvesCommits = resolves }
        let client = try rig.client()
        try client.query("CREATE TABLE p (a int PRIMARY KEY)")
        try client.query("CREATE TABLE t (a int REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
        #expect(try client.query("INSERT INTO p VALUES (1), (2)") == ["C:INSERT 0 2", "Z:I"])
        #expect(try client.query("INSERT INTO t VALUES (1) RETURNING a") == ["T", "D:1", "C:INSERT 0 1", "Z:I"])
        #expect(try client.query("insert into t values ('x')") == ["E:22P02", "Z:I"])
        #expect(try client.query("INSERT INTO nowhere VALUES (1)") == ["E:42P01", "Z:I"])
        #expect(try client.query("INSERT INTO p VALUES (1)") == ["E:23505", "Z:I"])
        // Found out at the commit.
        #expect(try client.query("INSERT INTO t VALUES (7)") == ["E:23503", "Z:I"])
        #expect(try client.query("UPDATE p SET a = 3 WHERE a = 9;") == ["C:UPDATE 0", "Z:I"])
        #expect(try client.query("DELETE FROM p WHERE a = 2") == ["C:DELETE 1", "Z:I"])
        let both = try client.query("INSERT INTO p VALUES (4); SELECT 5")
        #expect(both == ["C:INSERT 0 1", "T", "D:5", "C:SELECT 1", "Z:I"])
        // In a block of the client's own, and behind one another.
        #expect(try client.query("BEGIN") == ["C:BEGIN", "Z:T"])
        #expect(try client.query("INSERT INTO p VALUES (5)") == ["C:INSERT 0 1", "Z:T"])
        #expect(try client.query("ROLLBACK") == ["C:ROLLBACK", "Z:I"])
        client.send {
            $0.query("INSERT INTO p VALUES (6)")
            $0.query("INSERT INTO p VALUES (7)")
        }
        #expect(try client.answers(ready: 2) == ["C:INSERT 0 1", "Z:I", "C:INSERT 0 1", "Z:I"])
        // More than the loop reads in one turn, to a client that takes it in pieces.
        client.send { $0.query("INSERT INTO p SELECT * FROM generate_series(100, 4099) RETURNING repeat('x', 500), a") }
        #expect(try client.readToReady().count { $0.type == "D" } == 4000)
        #expect(try client.query("DELETE FROM p WHERE a >= 100") == ["C:DELETE 4000", "Z:I"])
        try self.preparedOnesDo(client)
        // The pool's only server is as it was.
        #expect(try rig.client().value("SELECT string_agg(a::text, ',' ORDER BY a) FROM p") == "1,4,6,7,8,9,10")
    }

    private func preparedOnesDo(_ client: RawClient) throws {
        func run(_ name: String, _ value: String, parsing text: String? = nil) throws -> [String] {
            client.send {
                if let text { $0.parse(name, text) }
                $0.bind(name, [value])
                $0.execute()
                $0.sync()
            }
            return try client.answers()
        }
        let insert = "INSERT INTO p VALUES ($1)"
        #expect(try run("", "8", parsing: insert) == ["1", "2", "C:INSERT 0 1", "Z:I"])
        #expect(try run("", "9", parsing: insert) == ["1", "2", "C:INSERT 0 1", "Z:I"])
        #expect(try run("s", "10", parsing: insert) == ["1", "2", "C:INSERT 0 1", "Z:I"])
        #expect(try run("s", "10") == ["2", "E:23505", "Z:I"])
        #expect(try run("s", "x") == ["E:22P02", "Z:I"])
        #expect(try run("s", "11", parsing: insert).contains("E:42P05"))
        #expect(try run("", "1", parsing: "DELETE FROM t WHERE a = $1") == ["1", "2", "C:DELETE 1", "Z:I"])
        let late = try run("", "99", parsing: "INSERT INTO t VALUES ($1)")
        #expect(late.last == "Z:I" && late.contains("E:23503"), "\(late)")
    }

    @Test func eachClientHearsTheTruthAboutItsCommit() async throws {
        let (primary, standby) = try await RestartTests.pair()
        try await primary.query("CREATE TABLE t (a int)")
        let rig = try await PoolerRig.start(server: primary, poolSize: 16) { $0.resolvesCommits = true }
        let told = Told()
        let writers = (0..<16).map { number in
            Writer { try Self.write(try rig.client(), from: number * 1_000_000, Way(rawValue: number % 4)!, told) }
        }
        let deadline = ContinuousClock.now + .seconds(60)
        while told.commits < 1000, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(5)) }
        primary.kill()
        told.isKilled.store(true, ordering: .releasing)
        let before = told.commits
        try await standby.query("ALTER SYSTEM RESET synchronous_standby_names")
        try await standby.query("SELECT pg_promote()")
        try Self.failOver(rig, to: standby)
        // Numbers of transactions that were lost are used again.
        while told.commits < before + 200, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
        }
        told.isOver.store(true, ordering: .releasing)
        for writer in writers { try writer.finish() }
        let rows = try await standby.query("SELECT a::text AS a FROM t")
        let present = Set(try rows.map { Int(try $0.string("a")) })
        let answers = told.answers.withLock { $0 }
        print(
            "\(answers.committed.count) committed, \(answers.resolved.count) of them known "
                + "from the new primary, \(answers.notCommitted.count) not, \(answers.unknown.count) unknown")
        #expect(answers.unexpected.isEmpty)
        #expect(answers.committed.filter { !present.contains($0) }.isEmpty)
        #expect(answers.notCommitted.filter { present.contains($0) }.isEmpty)
        #expect(told.commits >= before + 200)
    }
}

/// Work that blocks, on a thread of its own.
private final class Writer: Sendable {
    private let result = Mutex<Result<Void, any Error>?>(nil)

    init(_ work: @escaping @Sendable () throws -> Void) {
        Thread.detachNewThread { [self] in
            let result = Result { try work() }
            self.result.withLock { $0 = result }
        }
    }

    func finish() throws {
        while true {
            if let result = self.result.withLock({ $0 }) { return try result.get() }
            usleep(1000)
        }
    }
}
