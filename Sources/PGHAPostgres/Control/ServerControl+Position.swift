internal import PGHACore

// Where a server's WAL ends, and along which history. No function tells the timeline of what a standby has
// received once its receiver is gone, and the last checkpoint may be of an older one. The names of the WAL files
// tell: WAL of a timeline is written into files of that timeline, from the start of the segment in which the
// timeline begins.

extension ServerControl {
    /// Of a standby whose receiver is gone.
    ///
    /// The received position counts even where replay is short of it: a torn last record is never replayed. After a
    /// restart without streaming there is none, or the start of a segment, and replay has reached the end of WAL.
    func standbyPosition(_ session: PostgresConnection) async throws -> WALPosition {
        let rows = try await session.query(
            """
            SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) AS position,
              c.timeline_id AS checkpoint_timeline, m.min_recovery_end_timeline AS minimum_timeline,
              pg_size_bytes(current_setting('wal_segment_size')) AS segment_size
            FROM pg_control_checkpoint() c, pg_control_recovery() m
            """, timeout: self.deadlines.settings)
        guard let row = rows.first else { throw NodeFailure.other("the server's position came back empty") }
        let end = try row.lsn("position")
        let size = try row.decode("segment_size", "segment size") { UInt64($0).flatMap { $0 > 0 ? $0 : nil } }
        var timelines = try await self.timelines(session, ofSegmentBefore: end, segmentSize: size)
        timelines.formUnion([try row.timeline("checkpoint_timeline"), try row.timeline("minimum_timeline")])
        // A history may be known before any WAL of it is: it begins beyond the end, and is not ours yet.
        for timeline in timelines.sorted(by: >) where timeline.number > 0 {
            let history = try await self.history(session, of: timeline)
            if (history.forks.last?.at ?? .zero) <= end { return WALPosition(history: history, end: end) }
        }
        throw NodeFailure.other("no timeline of this server reaches its position \(end)")
    }

    /// Of a primary: what is flushed.
    func primaryPosition(_ session: PostgresConnection) async throws -> WALPosition {
        // Not from pg_control: the last checkpoint is of the old timeline for a while after a promotion.
        let rows = try await session.query(
            """
            SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) AS timeline, pg_current_wal_flush_lsn() AS position
            """, timeout: self.deadlines.settings)
        guard let row = rows.first else { throw NodeFailure.other("the server's position came back empty") }
        let history = try await self.history(session, of: try row.hexTimeline("timeline"))
        return WALPosition(history: history, end: try row.lsn("position"))
    }

    /// The timelines of which a file exists for the segment that holds the byte before `end`.
    private func timelines(
        _ session: PostgresConnection, ofSegmentBefore end: LSN, segmentSize: UInt64
    ) async throws -> Set<TimelineID> {
        guard end > .zero else { return [] }
        let number = (end.byteOffset - 1) / segmentSize
        let perFile = (1 << 32) / segmentSize
        // Timeline, high half, segment within it: eight hexadecimal digits each.
        let suffix = Self.eightDigits(number / perFile) + Self.eightDigits(number % perFile)
        let rows = try await session.query(
            """
            SELECT substr(name, 1, 8) AS timeline FROM pg_ls_waldir()
            WHERE name ~ '^[0-9A-F]{24}$' AND substr(name, 9) = $1
            """, [suffix], timeout: self.deadlines.settings)
        return Set(try rows.map { try $0.hexTimeline("timeline") })
    }

    private static func eightDigits(_ number: UInt64) -> String {
        let digits = String(number, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 8 - digits.utf8.count)) + digits
    }

    /// From the server's `.history` file, through `pgha.timeline_history`: reading a file takes rights that the
    /// control role does not have.
    private func history(_ session: PostgresConnection, of timeline: TimelineID) async throws -> TimelineHistory {
        guard timeline.number > 1 else { return TimelineHistory(timeline: timeline) }
        guard let text = try await self.historyFile(session, of: timeline) else {
            throw NodeFailure.other("the server has no history file of timeline \(timeline)")
        }
        guard let history = TimelineHistory(timeline: timeline, fileContent: text) else {
            throw NodeFailure.other("the history file of timeline \(timeline) is not understood")
        }
        return history
    }

    private func historyFile(_ session: PostgresConnection, of timeline: TimelineID) async throws -> String? {
        let ours = await self.text(session, "SELECT pgha.timeline_history($1::int) AS text", "\(timeline)")
        // undefined_function, invalid_schema_name: `sql/` was not applied here.
        if case .failure(let error) = ours, error.sqlstate == "42883" || error.sqlstate == "3F000" {
            let name = "pg_wal/\(Self.eightDigits(UInt64(timeline.number))).history"
            return try await self.text(session, "SELECT pg_read_file($1, 0, 1000000, true) AS text", name).get()
        }
        return try ours.get()
    }

    /// The column `text` of the first row. A `Result`, because swiftc 6.3.1 crashes in release builds when it splits
    /// a function that awaits inside `catch` of a typed throw.
    private func text(
        _ session: PostgresConnection, _ sql: String, _ value: String
    ) async -> Result<String?, PostgresError> {
        do throws(PostgresError) {
            let rows = try await session.query(sql, [value], timeout: self.deadlines.settings)
            return .success(try rows.first?.stringIfPresent("text"))
        } catch {
            return .failure(error)
        }
    }
}
