internal import PGHACore

// Changing settings. Each ALTER SYSTEM costs an fsync or two, so only what differs is written. The effect is
// believed only when a session shows it that the postmaster started after it had loaded the configuration: only
// then has the postmaster told every other process (it does both in one go before it starts another session).

extension ServerControl {
    /// Writes what differs of `wanted`, loads it and runs `body` on a new session that shows it.
    ///
    /// Without a difference `body` still gets a new session.
    func apply<Value: Sendable>(
        _ wanted: [ServerSetting: String], _ state: ControlState, on session: PostgresConnection,
        _ body: (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        let missing = state.missing(wanted)
        for (setting, value) in missing.sorted(by: { $0.key < $1.key }) {
            try await self.write(setting, value, state, on: session)
        }
        if !missing.isEmpty { try await self.reload(session) }
        return try await self.onFreshSession(showing: wanted, body)
    }

    private func write(
        _ setting: ServerSetting, _ value: String, _ state: ControlState, on session: PostgresConnection
    ) async throws {
        // Before version 17 ALTER SYSTEM knows a custom setting only once the session has it; RESET afterwards, or
        // the session's own value would hide what other sessions load.
        let mustDeclare = setting == .pledge && !state.knowsPledgeSetting
        if mustDeclare { try await session.query("SET pgha.term = ''", timeout: self.deadlines.settings) }
        try await session.query(
            "ALTER SYSTEM SET \(setting.rawValue) = \(quoteLiteral(value))", timeout: self.deadlines.settings)
        if mustDeclare { try await session.query("RESET pgha.term", timeout: self.deadlines.settings) }
    }

    private func reload(_ session: PostgresConnection) async throws {
        let rows = try await session.query("SELECT pg_reload_conf() AS sent", timeout: self.deadlines.settings)
        guard try rows.first?.bool("sent") == true else { throw NodeFailure.other("the server cannot be told to reload") }
    }

    /// Opens sessions until one was started after the last configuration load and shows `wanted`.
    private func onFreshSession<Value: Sendable>(
        showing wanted: [ServerSetting: String], _ body: (PostgresConnection) async throws -> Value
    ) async throws -> Value {
        var differing: [ServerSetting: String] = [:]
        var attempts = 0
        let session = try await poll(
            until: .now + self.deadlines.settings, late: { .other(Self.notLoaded(differing.keys.sorted())) }
        ) { () -> PostgresConnection? in
            attempts += 1
            let session = try await PostgresConnection.open(self.parameters)
            do {
                let state = try await self.freshState(session)
                differing = state?.missing(wanted) ?? wanted
                if differing.isEmpty { return session }
                // Someone had written a setting without loading it, and our reload has brought it up.
                if let state, attempts == Self.attemptsBeforeRewriting {
                    for (setting, value) in differing.sorted(by: { $0.key < $1.key }) {
                        try await self.write(setting, value, state, on: session)
                    }
                    try await self.reload(session)
                }
                await session.close()
                return nil
            } catch {
                await session.close()
                throw error
            }
        }
        do {
            let value = try await body(session)
            await session.close()
            return value
        } catch {
            await session.close()
            throw error
        }
    }

    /// The postmaster loads within a millisecond of the signal on a quiet machine; twenty sessions take 50 or more.
    private static let attemptsBeforeRewriting = 20

    /// What `session` shows; nil when it was started before the last configuration load.
    private func freshState(_ session: PostgresConnection) async throws -> ControlState? {
        let rows = try await session.query(
            """
            SELECT s.*, (SELECT backend_start FROM pg_stat_get_activity(pg_backend_pid())) > pg_conf_load_time() AS fresh
            FROM (\(ControlState.sql)) s
            """, timeout: self.deadlines.settings)
        guard let row = rows.first else { throw NodeFailure.other("the server's state came back empty") }
        let state = try ControlState(row)
        if let expected = self.expectedSystemIdentifier, state.systemIdentifier != expected {
            throw NodeFailure.foreignCluster(state.systemIdentifier)
        }
        return try row.bool("fresh") ? state : nil
    }

    private static func notLoaded(_ settings: [ServerSetting]) -> String {
        let names = settings.map(\.rawValue).joined(separator: ", ")
        return "a new session does not show the new \(names): the configuration files hold an error (see"
            + " pg_file_settings) or the postmaster's command line overrides it"
    }
}
