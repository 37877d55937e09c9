package import PGHACore

/// How a standby replicated before a rehearsal; to put it back.
package struct RehearsedUpstream: Sendable {
    /// May hold a password: never printed.
    let conninfo: Secret
    /// Whether it came from `postgresql.auto.conf`; otherwise `ALTER SYSTEM RESET` brings it back.
    let isAltered: Bool
}

// Before running servers are taken over: can each standby stream from the primary in the way that pgha will ask for?
// Nothing tells but trying (pg_hba.conf, passwords and addresses are seen from the standby), and finding out
// afterwards would leave the primary behind its fence.

extension ServerControl {
    /// Lets a standby stream from `upstream`, under the name and slot that it has, and waits until it does. On failure
    /// everything is as before.
    ///
    /// - Returns: what ``endRehearsal(_:)`` needs to put it back; nil when nothing was changed.
    package func rehearseFollow(
        _ upstream: Upstream, timeout: Duration = .seconds(12)
    ) async throws(NodeFailure) -> RehearsedUpstream? {
        do {
            return try await self.exclusively {
                try await self.underLock(Self.noPledge) { session, state in
                    try await self.rehearse(upstream, session, state, timeout: timeout)
                }
            }
        } catch {
            throw Self.failure(error)
        }
    }

    package func endRehearsal(_ before: RehearsedUpstream) async throws(NodeFailure) {
        do {
            try await self.exclusively {
                try await self.underLock(Self.noPledge) { session, _ in try await self.restore(before, session) }
            }
        } catch {
            throw Self.failure(error)
        }
    }

    /// For the lock alone: nothing is pledged, and any server that holds a pledge refuses.
    private static let noPledge = Pledge(Claim(term: .zero, nonce: 0))

    private func rehearse(
        _ upstream: Upstream, _ session: PostgresConnection, _ state: ControlState, timeout: Duration
    ) async throws -> RehearsedUpstream? {
        guard state.inRecovery else { throw NodeFailure.isPrimary }
        let old = state.settings[.upstream] ?? ""
        let wanted = upstream.conninfo(applicationName: Self.applicationName(in: old) ?? "walreceiver")
        guard wanted != old else { return nil }
        let sources = try await session.query(
            "SELECT coalesce(sourcefile LIKE '%postgresql.auto.conf', false) AS altered FROM pg_settings"
                + " WHERE name = 'primary_conninfo'", timeout: self.deadlines.settings)
        let before = RehearsedUpstream(
            conninfo: Secret(old), isAltered: try sources.first?.boolIfPresent("altered") ?? true)
        let receiver = try await self.receiver(session)
        do {
            try await self.apply([.upstream: wanted], state, on: session) { _ in }
            _ = try await poll(
                until: .now + timeout,
                late: { .other("it does not stream from \(upstream.host):\(upstream.port) as \(upstream.user)") }
            ) { () -> Bool? in
                let now = try await self.receiver(session)
                return now.isStreaming && now.pid != receiver.pid ? true : nil
            }
            return before
        } catch {
            try? await self.restore(before, session)
            throw error
        }
    }

    private func receiver(_ session: PostgresConnection) async throws -> (pid: Int32, isStreaming: Bool) {
        let rows = try await session.query(
            "SELECT pid, status FROM pg_stat_wal_receiver WHERE pid IS NOT NULL", timeout: self.deadlines.settings)
        guard let row = rows.first else { return (0, false) }
        return (try row.int32("pid"), try row.string("status") == "streaming")
    }

    private func restore(_ before: RehearsedUpstream, _ session: PostgresConnection) async throws {
        let sql =
            before.isAltered
            ? "ALTER SYSTEM SET primary_conninfo = \(quoteLiteral(before.conninfo.revealed))"
            : "ALTER SYSTEM RESET primary_conninfo"
        try await session.query(sql, timeout: self.deadlines.settings)
        try await session.query("SELECT pg_reload_conf()", timeout: self.deadlines.settings)
    }

    /// Of a connection string; the walreceiver's own default is not known here.
    static func applicationName(in conninfo: String) -> String? {
        guard let match = conninfo.firstMatch(of: #/(?:^|\s)application_name\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S+))/#)
        else {
            return nil
        }
        return (match.output.1 ?? match.output.2).map { String($0).replacing(#/\\(.)/#) { $0.output.1 } }
    }
}
