import PGHAChecker
import PGHAPostgres
import PGHATesting
import Synchronization

/// Clients of a cluster and the log of what they did, for one round.
final class Workload: Sendable {
    static let accounts = 8
    static let initialBalance: Int64 = 1000
    /// Appends to one list before the next one is begun: reads stay short.
    static let listLength: Int64 = 60

    let cluster: ScratchCluster
    private let round: Int
    private let origin = ContinuousClock.now
    private let operations = Mutex<[PGHAChecker.Operation]>([])
    private let nextID = Atomic<Int64>(1)
    private let mustStop = Atomic<Bool>(false)
    private let tasks = Mutex<[Task<Void, Never>]>([])

    init(_ cluster: ScratchCluster, round: Int) {
        self.cluster = cluster
        self.round = round
    }

    var isStopping: Bool { self.mustStop.load(ordering: .relaxed) }
    var now: Int64 {
        let passed = (ContinuousClock.now - self.origin).components
        return passed.seconds * 1_000_000_000 + passed.attoseconds / 1_000_000_000
    }

    func table(_ name: String) -> String { "chaos_\(name)_\(self.round)" }
    func takeID() -> Int64 { self.nextID.add(1, ordering: .relaxed).oldValue }
    var newestID: Int64 { self.nextID.load(ordering: .relaxed) }
    func log(_ operation: PGHAChecker.Operation) { self.operations.withLock { $0.append(operation) } }

    /// Ids and ledger without keys: what is done twice must show.
    func makeTables() async throws {
        let leader = try await self.cluster.leader()
        let statements = [
            "CREATE TABLE \(self.table("set")) (id bigint NOT NULL)",
            "CREATE INDEX ON \(self.table("set")) (id)",
            "CREATE TABLE \(self.table("lists")) (key int PRIMARY KEY, items text NOT NULL)",
            "CREATE TABLE \(self.table("accounts")) (id int PRIMARY KEY, balance bigint NOT NULL)",
            "CREATE TABLE \(self.table("ledger")) (id bigint NOT NULL, payer int, payee int, amount bigint)",
            """
            INSERT INTO \(self.table("accounts"))
            SELECT g, \(Self.initialBalance) FROM generate_series(0, \(Self.accounts - 1)) AS g
            """,
        ]
        for statement in statements { try await self.cluster.query(statement, on: leader) }
    }

    /// Each kind of client through the pooler and directly.
    func start() {
        var clients: [Client] = []
        for route in [PGHAChecker.Operation.Route.pooler, .direct] {
            for kind in Client.Kind.allCases {
                clients.append(Client(number: clients.count, kind: kind, route: route, workload: self))
            }
        }
        let started = clients.map { client in Task { await client.run() } }
        self.tasks.withLock { $0 = started }
    }

    /// Lets every client finish the operation that it is in; those that wait for ever are given up after `patience`.
    func stop(patience: Duration = .seconds(30)) async {
        self.mustStop.store(true, ordering: .relaxed)
        let tasks = self.tasks.withLock { $0 }
        let giveUp = Task {
            try? await Task.sleep(for: patience)
            for task in tasks { task.cancel() }
        }
        for task in tasks { await task.value }
        giveUp.cancel()
    }

    /// What is there on the leader, and the log of all.
    func history() async throws -> History {
        let leader = try await self.cluster.leader()
        var final = History.Final()
        final.set = try await self.numbers("SELECT id AS n FROM \(self.table("set"))", on: leader)
        for row in try await self.cluster.query("SELECT key, items FROM \(self.table("lists"))", on: leader) {
            final.lists[try row.int("key")] = Client.numbers(try row.string("items"))
        }
        final.balances = try await self.numbers(
            "SELECT balance AS n FROM \(self.table("accounts")) ORDER BY id", on: leader)
        final.transfers = try await self.numbers("SELECT id AS n FROM \(self.table("ledger"))", on: leader)
        final.balancesByLedger = try await self.numbers(
            """
            SELECT \(Self.initialBalance)
              + coalesce((SELECT sum(amount) FROM \(self.table("ledger")) WHERE payee = a.id), 0)
              - coalesce((SELECT sum(amount) FROM \(self.table("ledger")) WHERE payer = a.id), 0) AS n
            FROM \(self.table("accounts")) AS a ORDER BY id
            """, on: leader)
        return History(
            operations: self.operations.withLock { $0 }, final: final,
            total: Int64(Self.accounts) * Self.initialBalance)
    }

    private func numbers(_ sql: String, on node: ScratchCluster.Node) async throws -> [Int64] {
        try await self.cluster.query(sql, on: node, timeout: .seconds(60)).map { try $0.int64("n") }
    }
}
