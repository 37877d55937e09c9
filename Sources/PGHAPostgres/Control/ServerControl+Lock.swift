internal import PGHACore

// The node lock: while one controller changes a server no other does. It is a session advisory lock, which works
// on a standby, and is gone with its session. The holder's claim stands in its session's application_name, so that
// a controller with the same or a newer claim can tell that it may end the holder. Ending a holder does not undo
// what it has under way; every command therefore reads back what it relies on.

/// "pgha" in ASCII and 1: the 64-bit key of the node lock, as pg_locks shows it (high half, low half).
private let lockKey: (high: Int32, low: Int32) = (0x7067_6861, 1)
private let lockKeySQL = "((\(lockKey.high)::bigint << 32) | \(lockKey.low))"

/// Claim of a lock's holder, as the `application_name` of its session.
struct LockHolderName: Equatable {
    let claim: Claim

    init(_ claim: Claim) { self.claim = claim }

    init?(_ text: String) {
        guard text.hasPrefix("pgha/") else { return nil }
        let parts = text.dropFirst(5).split(separator: "/", omittingEmptySubsequences: false)
        // A pledge has the same letters, but for the version.
        guard parts.count == 2, let pledge = Pledge("\(parts[0]).0/\(parts[1])") else { return nil }
        self.claim = pledge.claim
    }

    var text: String { "pgha/\(self.claim)" }

    /// Whether a controller with `claim` may end a holder of this name: it is older, or an earlier session for the
    /// same claim.
    func mayBeEnded(by claim: Claim) -> Bool { self.claim.term < claim.term || self.claim == claim }
}

extension ServerControl {
    /// Takes the node lock, reads the server's state, and runs `body` if the server may obey `pledge`.
    func underLock<Value: Sendable>(
        _ pledge: Pledge, _ body: (PostgresConnection, ControlState) async throws -> Value
    ) async throws -> Value {
        try await self.onWarmSession { session in
            try await self.lock(session, for: pledge.claim)
            do {
                // A statement of its own after the lock was granted: a session loads a changed configuration
                // between two messages, so this one sees whatever the lock's last holder had loaded.
                let state = try await self.checkedState(session, pledge)
                let value = try await body(session, state)
                try await self.unlock(session)
                return value
            } catch {
                try? await self.unlock(session)
                throw error
            }
        }
    }

    /// Reads the state, and refuses another cluster's server and a pledge older than the server's.
    func checkedState(_ session: PostgresConnection, _ pledge: Pledge) async throws -> ControlState {
        guard let row = try await session.query(ControlState.sql, timeout: self.deadlines.settings).first else {
            throw NodeFailure.other("the server's state came back empty")
        }
        return try self.checked(try ControlState(row), pledge)
    }

    func checked(_ state: ControlState, _ pledge: Pledge) throws(NodeFailure) -> ControlState {
        if let expected = self.expectedSystemIdentifier, state.systemIdentifier != expected {
            throw NodeFailure.foreignCluster(state.systemIdentifier)
        }
        if let held = state.pledge, !held.mayBecome(pledge) { throw NodeFailure.refused(holding: held) }
        return state
    }

    private func lock(_ session: PostgresConnection, for claim: Claim) async throws {
        let attempt = """
            SET application_name = \(quoteLiteral(LockHolderName(claim).text));
            SELECT pg_try_advisory_lock(\(lockKeySQL)) AS locked
            """
        let deadline = ContinuousClock.now + self.deadlines.lock
        _ = try await poll(until: deadline, late: { .locked }) { () -> Bool? in
            let rows = try await session.results(attempt, timeout: self.deadlines.lock).last
            if try rows?.first?.bool("locked") == true { return true }
            try await self.endHolder(session, for: claim)
            return nil
        }
    }

    /// Asks the server to end the lock's holder; throws `.locked` when that is not ours to end.
    private func endHolder(_ session: PostgresConnection, for claim: Claim) async throws {
        let holders = try await session.query(
            """
            SELECT a.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
              AND l.classid = \(lockKey.high) AND l.objid = \(lockKey.low)
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """, timeout: self.deadlines.lock)
        for holder in holders {
            let name = LockHolderName(try holder.string("application_name"))
            guard let name, name.mayBeEnded(by: claim) else { throw NodeFailure.locked }
            try await session.query(
                "SELECT pg_terminate_backend($1::int)", ["\(try holder.int32("pid"))"], timeout: self.deadlines.lock)
        }
    }

    private func unlock(_ session: PostgresConnection) async throws {
        try await session.query("SELECT pg_advisory_unlock_all()", timeout: self.deadlines.settings)
    }
}
