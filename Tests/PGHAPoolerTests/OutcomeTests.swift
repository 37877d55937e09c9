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

    /// Inserts one row after the other, each in a transaction of its own, until told to stop.
    private static func write(_ client: RawClient, from first: Int, extended: Bool, _ told: Told) throws {
        if extended {
            client.send {
                $0.parse("c", "COMMIT")
                $0.sync()
            }
            _ = try client.answers()
        }
        var id = first
        while !told.isOver.load(ordering: .acquiring) {
            id += 1
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
            let wasKilled = told.isKilled.load(ordering: .acquiring)
            let end = extended ? try Self.commitPrepared(client) : try client.query("COMMIT")
            let isKilled = told.isKilled.load(ordering: .acquiring)
            told.answers.withLock { answers in
                switch end.filter({ $0 != "2" }) {
                case ["C:COMMIT", "Z:I"]:
                    answers.committed.append(id)
                    if !wasKilled, isKilled { answers.resolved.append(id) }
                case ["E:40001", "Z:I"]: answers.notCommitted.append(id)
                case ["E:08007", "Z:I"]: answers.unknown.append(id)
                default: answers.unexpected.append("\(end)")
                }
            }
        }
    }

    private static func commitPrepared(_ client: RawClient) throws -> [String] {
        client.send {
            $0.bind("c")
            $0.execute()
            $0.sync()
        }
        return try client.answers()
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

    /// Two commits that the standby has and one that it has not; all of them wait when the primary dies.
    @Test(arguments: [true, false])
    func aCommitUnderWayIsAnsweredWithWhatBecameOfIt(resolves: Bool) async throws {
        let (primary, standby) = try await RestartTests.pair()
        try await primary.query("CREATE TABLE t (a int)")
        let rig = try await PoolerRig.start(server: primary, poolSize: 4) { $0.resolvesCommits = resolves }
        let (simple, extended, lost) = (try rig.client(), try rig.client(), try rig.client())
        extended.send {
            $0.parse("c", "COMMIT")
            $0.sync()
        }
        #expect(try extended.answers() == ["1", "Z:I"])
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
        try await primary.wait(
            until: """
                (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep') = 2
                AND (SELECT replay_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication)
                """)
        let sender = try await primary.query("SELECT pid::text AS p FROM pg_stat_replication")[0].string("p")
        kill(try #require(Int32(sender)), SIGSTOP)
        lost.send { $0.query("COMMIT") }
        try await primary.wait(until: "(SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep') = 3")
        primary.kill()
        try await standby.query("ALTER SYSTEM RESET synchronous_standby_names")
        try await standby.query("SELECT pg_promote()")
        // The lost transaction's number is used again, and committed.
        for _ in 0..<5 { try await standby.query("INSERT INTO t VALUES (99)") }
        try Self.failOver(rig, to: standby)
        let unknown = ["E:08007", "Z:I"]
        #expect(try simple.answers() == (resolves ? ["C:COMMIT", "Z:I"] : unknown))
        #expect(try extended.answers().filter { $0 != "2" } == (resolves ? ["C:COMMIT", "Z:I"] : unknown))
        #expect(try lost.answers() == (resolves ? ["E:40001", "Z:I"] : unknown))
        #expect(try lost.value("SELECT string_agg(a::text, ',' ORDER BY a) FROM t WHERE a < 99") == "0,1")
    }

    @Test func eachClientHearsTheTruthAboutItsCommit() async throws {
        let (primary, standby) = try await RestartTests.pair()
        try await primary.query("CREATE TABLE t (a int)")
        let rig = try await PoolerRig.start(server: primary, poolSize: 16) { $0.resolvesCommits = true }
        let told = Told()
        let writers = (0..<16).map { number in
            Writer { try Self.write(try rig.client(), from: number * 1_000_000, extended: number % 2 == 1, told) }
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
