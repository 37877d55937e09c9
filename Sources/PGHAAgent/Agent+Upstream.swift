import PGHAClient
import PGHACore
import PGHAPostgres

extension Agent {
    static let replicationRole = "pgha_replica"

    /// One statement on another server as `pgha_replica`, in a session of its own.
    func leaderQuery(
        _ leader: AgentUpstream, _ sql: String, _ values: [String?] = [], database: String = "postgres",
        timeout: Duration = .seconds(5)
    ) async throws -> [Row] {
        let parameters = ConnectionParameters(
            host: leader.host, port: leader.port, user: Self.replicationRole, database: database,
            passfile: self.directory.passfile, applicationName: "pgha agent \(self.node)",
            connectTimeout: .seconds(5))
        do {
            let connection = try await PostgresConnection.open(parameters)
            do {
                let rows = try await connection.query(sql, values, timeout: timeout)
                await connection.close()
                return rows
            } catch {
                await connection.close()
                throw error
            }
        } catch let error as PostgresError {
            throw Refusal.leaderUnreadable(leader, error.description)
        }
    }

    /// Where the leader stands now. Asked after the local position, so that a local end past it proves a fork.
    func readLeader(_ leader: AgentUpstream) async throws -> RejoinLeader {
        let first = try await self.leaderQuery(
            leader,
            """
            SELECT pg_is_in_recovery() AS in_recovery,
                (SELECT system_identifier::text FROM pg_control_system()) AS identifier
            """)
        guard let row = first.first, let identifier = UInt64(try row.string("identifier")) else {
            throw Refusal.leaderUnreadable(leader, "no system identifier")
        }
        guard try !row.bool("in_recovery") else { throw Refusal.leaderUnreadable(leader, "it is in recovery") }
        let second = try await self.leaderQuery(
            leader,
            "SELECT pg_current_wal_flush_lsn() AS flushed, substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS tli")
        guard let now = second.first, let number = UInt32(try now.string("tli"), radix: 16) else {
            throw Refusal.leaderUnreadable(leader, "no timeline")
        }
        let history = try await self.readHistory(leader, TimelineID(number))
        return RejoinLeader(
            systemIdentifier: identifier, position: WALPosition(history: history, end: try now.lsn("flushed")))
    }

    private func readHistory(_ leader: AgentUpstream, _ timeline: TimelineID) async throws -> TimelineHistory {
        guard timeline > TimelineID(1) else { return TimelineHistory(timeline: timeline) }
        let rows = try await self.leaderQuery(
            leader, "SELECT convert_from(pg_read_binary_file('pg_wal/' || $1), 'UTF8') AS text",
            [WALSegmentName.historyFileName(timeline)])
        guard let text = try rows.first?.string("text"),
            let history = TimelineHistory(timeline: timeline, fileContent: text)
        else { throw Refusal.leaderUnreadable(leader, "the history of timeline \(timeline) is not understood") }
        return history
    }

    /// Whether the leader still has the WAL that a follower at `position` asks for first: the segment that holds
    /// the position, on any timeline that the leader passed through since.
    func leaderHasWAL(
        _ leader: AgentUpstream, after position: WALPosition, history: TimelineHistory, segmentSize: UInt64
    ) async throws -> Bool {
        let names = history.segments.filter { $0.timeline >= position.history.timeline }.map { segment in
            "pg_wal/"
                + WALSegmentName(timeline: segment.timeline, containing: position.end, segmentSize: segmentSize)
                .fileName(segmentSize: segmentSize)
        }
        for name in names {
            let rows = try await self.leaderQuery(
                leader, "SELECT (pg_stat_file($1, true)).size IS NOT NULL AS there", [name])
            if try rows.first?.boolIfPresent("there") == true { return true }
        }
        return false
    }

    /// Up to PostgreSQL 15 pg_rewind trusts the timeline in the source's control file, which is the old one until
    /// the first checkpoint after a promotion, and then keeps the diverged rows.
    func checkpointLeader(_ leader: AgentUpstream, timeline: TimelineID) async throws {
        let sql = "SELECT timeline_id AS timeline FROM pg_control_checkpoint()"
        if try await self.leaderQuery(leader, sql).first?.timeline("timeline") == timeline { return }
        self.report("checkpoint on \(leader.name)")
        _ = try await self.leaderQuery(leader, "CHECKPOINT", timeout: .seconds(300))
        guard try await self.leaderQuery(leader, sql).first?.timeline("timeline") == timeline else {
            throw Refusal.leaderUnreadable(leader, "its control file is not on timeline \(timeline) after a checkpoint")
        }
    }

    /// `primary_conninfo` for streaming under `name`.
    func upstreamConnection(_ leader: AgentUpstream, name: ReplicationName) -> String {
        conninfo([
            ("host", leader.host), ("port", "\(leader.port)"), ("user", Self.replicationRole),
            ("passfile", self.directory.passfile), ("application_name", name.description),
            ("connect_timeout", "3"), ("keepalives_idle", "2"), ("keepalives_interval", "1"),
            ("keepalives_count", "3"), ("tcp_user_timeout", "5000"),
        ])
    }

    /// For PostgreSQL's programs. The passfile is named in the environment as well; the password is in neither.
    func toolConnection(_ server: AgentUpstream, database: String?) -> String {
        var pairs = [
            ("host", server.host), ("port", "\(server.port)"), ("user", Self.replicationRole),
            ("passfile", self.directory.passfile), ("application_name", "pgha_copy_\(self.node)"),
            ("connect_timeout", "5"), ("keepalives_idle", "5"), ("keepalives_interval", "2"),
            ("keepalives_count", "3"),
        ]
        if let database { pairs.append(("dbname", database)) }
        return conninfo(pairs.map { (keyword: $0.0, value: $0.1) })
    }
}
