import PGHACore
import PGHAPostgres

/// One long-lived superuser session over the Unix socket, opened when needed.
///
/// `synchronous_commit = local`: nothing the agent writes may wait for a standby behind the fence.
actor LocalServer {
    private let socketDirectory: String
    private let user: String
    private let database: String
    private var port: Int?
    private var connection: PostgresConnection?

    init(socketDirectory: String, user: String = "postgres", database: String = "postgres") {
        self.socketDirectory = socketDirectory
        self.user = user
        self.database = database
    }

    /// Another database of the same server.
    func other(_ database: String) async -> LocalServer {
        let result = LocalServer(socketDirectory: self.socketDirectory, user: self.user, database: database)
        if let port = self.port { await result.use(port: port) }
        return result
    }

    /// Tells where the server listens; ends a session with another.
    func use(port: Int) async {
        guard port != self.port else { return }
        self.port = port
        await self.close()
    }

    func close() async {
        await self.connection?.close()
        self.connection = nil
    }

    func query(
        _ sql: String, _ values: [String?] = [], timeout: Duration = .seconds(2)
    ) async throws -> [Row] {
        let connection = try await self.session()
        do {
            return try await connection.query(sql, values, timeout: timeout)
        } catch {
            await self.forgetIfBroken(connection)
            throw error
        }
    }

    /// Several statements in one implicit transaction.
    func script(_ sql: String, timeout: Duration = .seconds(60)) async throws {
        let connection = try await self.session()
        do {
            try await connection.script(sql, timeout: timeout)
        } catch {
            await self.forgetIfBroken(connection)
            throw error
        }
    }

    private func session() async throws -> PostgresConnection {
        if let connection = self.connection {
            if await connection.isUsable { return connection }
            await self.close()
        }
        guard let port = self.port else { throw PostgresError(.client, message: "the server's port is not known") }
        var parameters = ConnectionParameters(
            host: self.socketDirectory, port: port, user: self.user, database: self.database, sslMode: .disable,
            applicationName: "pgha agent", connectTimeout: .seconds(2))
        parameters.settings = ["synchronous_commit": "local", "log_statement": "none", "statement_timeout": "0"]
        let connection = try await PostgresConnection.open(parameters)
        self.connection = connection
        return connection
    }

    private func forgetIfBroken(_ connection: PostgresConnection) async {
        guard await !connection.isUsable, self.connection === connection else { return }
        await self.close()
    }
}

extension LocalServer {
    /// Whether the server is in recovery, and for a standby how its stream is doing.
    struct Status: Hashable, Sendable {
        var inRecovery: Bool
        var isFenced: Bool
        var isStreaming: Bool
        /// Bytes of WAL known to exist upstream and not replayed here; nil on a primary or without a receiver.
        var lagBytes: UInt64?
    }

    func status() async throws -> Status {
        let rows = try await self.query(
            """
            SELECT pg_is_in_recovery() AS in_recovery,
                current_setting('synchronous_standby_names') AS sync_names,
                (SELECT status FROM pg_stat_wal_receiver) AS receiver,
                (SELECT latest_end_lsn FROM pg_stat_wal_receiver) AS latest,
                CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END AS replayed
            """)
        guard let row = rows.first else { throw PostgresError(.undecodable, message: "no row") }
        let latest = try row.lsnIfPresent("latest")
        let replayed = try row.lsnIfPresent("replayed")
        return Status(
            inRecovery: try row.bool("in_recovery"),
            isFenced: try row.string("sync_names") == SyncList.fence.setting,
            isStreaming: try row.stringIfPresent("receiver") == "streaming",
            lagBytes: latest.flatMap { latest in replayed.map { latest.bytesAhead(of: $0) } })
    }

    /// Where a running primary's WAL is flushed to, and along which history; nil when it is in recovery.
    func primaryPosition() async throws -> WALPosition? {
        let recovery = try await self.query("SELECT pg_is_in_recovery() AS in_recovery")
        guard let first = recovery.first, try !first.bool("in_recovery") else { return nil }
        let rows = try await self.query(
            """
            SELECT pg_current_wal_flush_lsn() AS flushed, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS tli
            """)
        guard let row = rows.first, let number = UInt32(try row.string("tli"), radix: 16) else {
            throw PostgresError(.undecodable, message: "no timeline")
        }
        let timeline = TimelineID(number)
        let end = try row.lsn("flushed")
        guard number > 1 else { return WALPosition(history: TimelineHistory(timeline: timeline), end: end) }
        let text = try await self.query(
            "SELECT pg_read_file('pg_wal/' || $1) AS text", [WALSegmentName.historyFileName(timeline)])
        guard let content = try text.first?.string("text"),
            let history = TimelineHistory(timeline: timeline, fileContent: content)
        else { throw PostgresError(.undecodable, message: "history of timeline \(timeline)") }
        return WALPosition(history: history, end: end)
    }
}
