internal import PGHACore

// Sealing: afterwards the standby can acknowledge nothing for an older term, and its position stands still.
//
// Intuition: a receiver is started by the startup process alone, with the primary_conninfo that it has loaded. So
// once (1) the postmaster has told it of the empty setting, (2) it waits at the end of WAL for its next attempt,
// where it loads what it was told before anything else, and (3) no receiver process exists, none can come.
// pg_stat_wal_receiver alone is not enough: a receiver that is just connecting has no row there.

extension ServerControl {
    func seal(_ pledge: Pledge) async throws -> WALPosition {
        try await self.underLock(pledge) { session, state in
            guard state.inRecovery else { throw NodeFailure.isPrimary }
            let wanted: [ServerSetting: String] = [
                .pledge: pledge.description, .upstream: "", .restoreCommand: "",
            ]
            return try await self.apply(wanted, state, on: session) { fresh in
                try await self.waitUntilSealed(fresh)
                return try await self.standbyPosition(fresh)
            }
        }
    }

    /// Reads the position again, of a server that is still sealed for exactly this claim.
    func readPosition(_ pledge: Pledge) async throws -> WALPosition {
        try await self.underLock(pledge) { session, state in
            guard state.inRecovery else { throw NodeFailure.isPrimary }
            guard state.pledge?.claim == pledge.claim, state.missing([.upstream: "", .restoreCommand: ""]).isEmpty
            else { throw NodeFailure.other("the server is not sealed for \(pledge)") }
            try await self.waitUntilSealed(session)
            return try await self.standbyPosition(session)
        }
    }

    private func waitUntilSealed(_ session: PostgresConnection) async throws {
        var hasResumed = false
        _ = try await poll(
            until: .now + self.deadlines.seal, late: { .receiverRemains }
        ) { () -> Bool? in
            guard let row = try await session.query(Recovery.sql, timeout: self.deadlines.seal).first else { return nil }
            let recovery = try Recovery(row)
            guard recovery.inRecovery else { throw NodeFailure.isPrimary }
            if recovery.isSealed { return true }
            if recovery.isPaused && !hasResumed {
                hasResumed = true
                try await session.query("SELECT pg_wal_replay_resume()", timeout: self.deadlines.seal)
            }
            if recovery.isBlocked { try await self.endClientSessions(session) }
            return nil
        }
    }

    /// Ends the client sessions that could keep replay from going on; those of superusers only where we may.
    func endClientSessions(_ session: PostgresConnection) async throws {
        try await session.query(
            """
            SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
            WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
              AND a.application_name NOT LIKE 'pgha%'
              AND (NOT coalesce(r.rolsuper, false) OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
            """, timeout: self.deadlines.settings)
    }
}

/// What the processes of a recovering server are doing.
struct Recovery {
    static let sql = """
        SELECT pg_is_in_recovery() AS in_recovery,
          EXISTS (SELECT FROM pg_stat_wal_receiver) AS has_receiver_row,
          count(*) FILTER (WHERE backend_type = 'walreceiver') > 0 AS has_receiver_process,
          max(wait_event_type) FILTER (WHERE backend_type = 'startup') AS startup_wait_type,
          max(wait_event) FILTER (WHERE backend_type = 'startup') AS startup_wait
        FROM pg_stat_activity
        """

    let inRecovery: Bool
    let hasReceiver: Bool
    let startupWait: String?
    let startupWaitType: String?

    init(_ row: Row) throws(PostgresError) {
        self.inRecovery = try row.bool("in_recovery")
        let hasRow = try row.bool("has_receiver_row")
        let hasProcess = try row.bool("has_receiver_process")
        self.hasReceiver = hasRow || hasProcess
        self.startupWait = try row.stringIfPresent("startup_wait")
        self.startupWaitType = try row.stringIfPresent("startup_wait_type")
    }

    /// At the end of WAL, before the next attempt to find more: everything that can be replayed was.
    var isSealed: Bool { self.inRecovery && !self.hasReceiver && self.startupWait == "RecoveryRetrieveRetryInterval" }

    var isPaused: Bool { self.startupWait == "RecoveryPause" }

    /// Replay waits for a query to end.
    var isBlocked: Bool {
        switch self.startupWait {
        case "RecoveryConflictSnapshot", "RecoveryConflictTablespace", "BufferPin": true
        default: self.startupWaitType == "Lock"
        }
    }
}
