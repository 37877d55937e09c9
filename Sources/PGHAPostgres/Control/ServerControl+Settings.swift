internal import PGHACore

// Changing settings. Each ALTER SYSTEM costs an fsync or two, so only what differs is written. The effect is
// believed only when a session shows it that the postmaster started after it had loaded the configuration: only
// then has the postmaster told every other process (it does both in one go before it starts another session).

extension ServerControl {
    /// Writes what differs of `wanted`, loads it and runs `body` on a new session that shows it.
    ///
    /// Without a difference `body` still gets a new session.
    ///
    /// - Parameter meanwhile: runs while the new session is opened, which takes some milliseconds.
    func apply<Value: Sendable>(
        _ wanted: [ServerSetting: String], _ state: ControlState, on session: PostgresConnection,
        meanwhile: () async throws -> Void = {}, _ body: (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let missing = state.missing(wanted)
        let asked = missing.isEmpty ? nil : try await self.write(missing, state, on: session)
        async let opened = self.freshSession(showing: wanted, loadedAfter: asked)
        do {
            try await meanwhile()
        } catch {
            await (try? opened)?.close()
            throw error
        }
        let fresh = try await opened
        do {
            let value = try await body(fresh)
            await fresh.close()
            return value
        } catch {
            await fresh.close()
            throw error
        }
    }

    /// Writes settings and asks for them to be loaded. Returns when that was, on the server's clock, in
    /// microseconds since 1970.
    func write(
        _ settings: [ServerSetting: String], _ state: ControlState, on session: PostgresConnection
    ) async throws -> Int64 {
        let timeout = self.deadlines.settings
        for (setting, value) in settings.sorted(by: { $0.key < $1.key }) {
            // Before version 17 ALTER SYSTEM knows a custom setting only once the session has it; RESET afterwards,
            // or the session's own value would hide what other sessions load.
            let mustDeclare = setting == .pledge && !state.knowsPledgeSetting
            if mustDeclare { try await session.query("SET pgha.term = ''", timeout: timeout) }
            try await session.query(
                "ALTER SYSTEM SET \(setting.rawValue) = \(quoteLiteral(value))", timeout: timeout)
            if mustDeclare { try await session.query("RESET pgha.term", timeout: timeout) }
        }
        // statement_timestamp() was taken before the signal is sent.
        let rows = try await session.query(
            """
            SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint AS asked, pg_reload_conf() AS sent
            """, timeout: timeout)
        guard let row = rows.first, try row.bool("sent") else {
            throw NodeFailure.other("the server cannot be told to reload")
        }
        return try row.int64("asked")
    }

    /// Opens sessions until one shows `wanted` that was started after the last configuration load, and that load
    /// was after `asked`.
    private func freshSession(
        showing wanted: [ServerSetting: String], loadedAfter asked: Int64?
    ) async throws -> PostgresConnection {
        var asked = asked
        var differing = wanted
        return try await poll(
            until: .now + self.deadlines.settings, late: { .other(Self.notLoaded(differing.keys.sorted())) }
        ) { () -> PostgresConnection? in
            let session = try await PostgresConnection.open(self.parameters)
            do {
                if let state = try await self.freshState(session, loadedAfter: asked) {
                    differing = state.missing(wanted)
                    if differing.isEmpty { return session }
                    // Someone had written a setting without loading it, and our reload has brought it up.
                    asked = try await self.write(differing, state, on: session)
                }
                await session.close()
                return nil
            } catch {
                await session.close()
                throw error
            }
        }
    }

    /// What `session` shows; nil when it was started before the load that was asked for.
    private func freshState(_ session: PostgresConnection, loadedAfter asked: Int64?) async throws -> ControlState? {
        let rows = try await session.query(
            """
            SELECT s.*, (extract(epoch FROM pg_conf_load_time()) * 1000000)::bigint AS loaded,
              (SELECT backend_start FROM pg_stat_get_activity(pg_backend_pid())) > pg_conf_load_time() AS is_newer
            FROM (\(ControlState.sql)) s
            """, timeout: self.deadlines.settings)
        guard let row = rows.first else { throw NodeFailure.other("the server's state came back empty") }
        let state = try ControlState(row)
        if let expected = self.expectedSystemIdentifier, state.systemIdentifier != expected {
            throw NodeFailure.foreignCluster(state.systemIdentifier)
        }
        guard try row.bool("is_newer") else { return nil }
        if let asked, try row.int64("loaded") < asked { return nil }
        return state
    }

    private static func notLoaded(_ settings: [ServerSetting]) -> String {
        let names = settings.map(\.rawValue).joined(separator: ", ")
        return "a new session does not show the new \(names): the configuration files hold an error (see"
            + " pg_file_settings) or the postmaster's command line overrides it"
    }
}
