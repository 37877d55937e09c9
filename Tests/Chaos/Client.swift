import PGHAChecker
import PGHAPostgres
import PGHATesting

/// One client with one session at a time, which does one kind of work.
struct Client: Sendable {
    enum Kind: CaseIterable {
        case adder, setReader, appender, listReader, bank, auditor
    }

    typealias Action = PGHAChecker.Operation.Action
    /// What a statement was answered: rows, or the error and whether it can have had an effect.
    private struct Answer {
        var row: Row?
        var outcome: PGHAChecker.Operation.Outcome
        var sessionIsUsable: Bool
    }

    let number: Int
    let kind: Kind
    let route: PGHAChecker.Operation.Route
    let workload: Workload

    /// Longer than any fault: a statement that is given up is cancelled by its server, and a commit whose wait for copies
    /// is cancelled becomes visible although it has none.
    private static let patience = Duration.seconds(120)
    private static let pause = Duration.milliseconds(5)

    func run() async {
        while !self.workload.isStopping, !Task.isCancelled {
            if let session = await self.open() {
                while !self.workload.isStopping, !Task.isCancelled {
                    guard await self.work(session) else { break }
                    try? await Task.sleep(for: Self.pause)
                }
                await session.close()
            }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Through the pooler, or inside the host of a server that is no standby.
    private func open() async -> PostgresConnection? {
        if self.route == .pooler { return try? await PostgresConnection.open(self.workload.cluster.poolerParameters) }
        for node in self.workload.cluster.nodes.shuffled() {
            guard let session = try? await PostgresConnection.open(self.workload.cluster.insideParameters(node)) else {
                continue
            }
            let rows = try? await session.query("SELECT pg_is_in_recovery() AS r", timeout: .seconds(2))
            if (try? rows?.first?.bool("r")) == false { return session }
            await session.close()
        }
        return nil
    }

    /// Whether the session can be used again.
    private func work(_ session: PostgresConnection) async -> Bool {
        switch self.kind {
        case .adder: await self.add(session)
        case .setReader: await self.readSet(session)
        case .appender: await self.append(session)
        case .listReader: await self.readList(session)
        case .bank: await self.transfer(session)
        case .auditor: await self.readAccounts(session)
        }
    }

    // MARK: - Workloads

    private static let identity = """
        current_setting('cluster_name') AS server, CASE WHEN pg_is_in_recovery() THEN NULL
        ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END AS epoch
        """

    private func add(_ session: PostgresConnection) async -> Bool {
        let id = self.workload.takeID()
        return await self.single(
            session, .add(id), "INSERT INTO \(self.workload.table("set")) VALUES (\(id)) RETURNING \(Self.identity)")
    }

    private func append(_ session: PostgresConnection) async -> Bool {
        let value = self.workload.takeID()
        let key = Int(value / Workload.listLength)
        return await self.single(
            session, .append(key: key, value),
            """
            INSERT INTO \(self.workload.table("lists")) AS l VALUES (\(key), '\(value)')
            ON CONFLICT (key) DO UPDATE SET items = l.items || ' ' || EXCLUDED.items RETURNING \(Self.identity)
            """)
    }

    private func readSet(_ session: PostgresConnection) async -> Bool {
        let from = max(0, self.workload.newestID - 300)
        let sql = """
            SELECT coalesce(string_agg(id::text, ' '), '') AS items, \(Self.identity)
            FROM \(self.workload.table("set")) WHERE id >= \(from)
            """
        return await self.reading(session, sql) { .readSet(from: from, $0) }
    }

    private func readList(_ session: PostgresConnection) async -> Bool {
        let key = Int(max(0, self.workload.newestID - 5) / Workload.listLength)
        let sql = """
            SELECT coalesce((SELECT items FROM \(self.workload.table("lists")) WHERE key = \(key)), '') AS items,
              \(Self.identity)
            """
        return await self.reading(session, sql) { .readList(key: key, $0) }
    }

    private func readAccounts(_ session: PostgresConnection) async -> Bool {
        let sql = """
            SELECT string_agg(balance::text, ' ' ORDER BY id) AS items, \(Self.identity)
            FROM \(self.workload.table("accounts"))
            """
        return await self.reading(session, sql) { .readAccounts($0) }
    }

    /// Four statements and a COMMIT: what was refused before the COMMIT must not have happened.
    private func transfer(_ session: PostgresConnection) async -> Bool {
        let id = self.workload.takeID()
        let payer = Int.random(in: 0..<Workload.accounts)
        let payee = (payer + Int.random(in: 1..<Workload.accounts)) % Workload.accounts
        let amount = Int64.random(in: 1...20)
        let accounts = self.workload.table("accounts")
        // In one order, or two transfers would wait for each other.
        let updates = [(payer, -amount), (payee, amount)].sorted { $0.0 < $1.0 }.map {
            "UPDATE \(accounts) SET balance = balance + (\($0.1)) WHERE id = \($0.0)"
        }
        let ledger = """
            INSERT INTO \(self.workload.table("ledger")) VALUES (\(id), \(payer), \(payee), \(amount))
            RETURNING \(Self.identity)
            """
        let start = self.workload.now
        var identified: Row?
        for sql in ["BEGIN"] + updates + [ledger] {
            let answer = await self.ask(session, sql)
            identified = answer.row ?? identified
            guard answer.outcome == .ok else {
                self.log(.transfer(id: id), since: start, .failed, nil)
                return answer.sessionIsUsable ? await self.ask(session, "ROLLBACK").outcome == .ok : false
            }
        }
        let answer = await self.ask(session, "COMMIT")
        self.log(.transfer(id: id), since: start, answer.outcome, identified)
        return answer.outcome == .ok
    }

    // MARK: - Asking

    private func single(_ session: PostgresConnection, _ action: Action, _ sql: String) async -> Bool {
        let start = self.workload.now
        let answer = await self.ask(session, sql)
        self.log(action, since: start, answer.outcome, answer.row)
        return answer.sessionIsUsable
    }

    private func reading(
        _ session: PostgresConnection, _ sql: String, _ action: ([Int64]) -> Action
    ) async -> Bool {
        let start = self.workload.now
        let answer = await self.ask(session, sql)
        guard answer.outcome == .ok, let row = answer.row, let items = try? row.string("items") else {
            return answer.sessionIsUsable
        }
        self.log(action(Self.numbers(items)), since: start, .ok, row)
        return true
    }

    private func ask(_ session: PostgresConnection, _ sql: String) async -> Answer {
        do {
            let rows = try await session.query(sql, timeout: Self.patience)
            return Answer(row: rows.first, outcome: .ok, sessionIsUsable: true)
        } catch {
            let usable = await session.isUsable
            let isRefused = error.sqlstate.map { Self.provesNoEffect($0) } ?? false
            return Answer(row: nil, outcome: isRefused ? .failed : .unknown, sessionIsUsable: usable)
        }
    }

    /// Read-only server, deadlock or failover told before COMMIT, syntax and names. Everything else proves nothing.
    /// Source: PostgreSQL manual, appendix A.
    private static func provesNoEffect(_ sqlstate: String) -> Bool {
        sqlstate == "25006" || sqlstate.hasPrefix("40") && sqlstate != "40003" || sqlstate.hasPrefix("42")
    }

    static func numbers(_ text: String) -> [Int64] { text.split(separator: " ").compactMap { Int64($0) } }

    private func log(
        _ action: Action, since start: Int64, _ outcome: PGHAChecker.Operation.Outcome, _ row: Row?
    ) {
        let epoch = (try? row?.int("epoch")).map { UInt32(clamping: $0) }
        self.workload.log(
            PGHAChecker.Operation(
                client: self.number, route: self.route, action: action, start: start, end: self.workload.now,
                outcome: outcome, server: try? row?.string("server"), epoch: epoch))
    }
}
