package import PGHACore

// Reading a server without a pledge and without the node lock: nothing is changed.

extension ServerControl {
    /// What `init --adopt` must know of a running server. Never throws: what cannot be read is an answer too.
    package func survey() async -> AdoptionSurvey.Server {
        do {
            return try await self.exclusively {
                try await self.onWarmSession { session in
                    // Older servers lack the functions asked for below.
                    let version = await session.serverVersion
                    guard version >= Adoption.oldestVersion else { return .tooOld(version: version) }
                    return .found(try await self.adoptable(session))
                }
            }
        } catch {
            return .unreadable("\(Self.failure(error))")
        }
    }

    private func adoptable(_ session: PostgresConnection) async throws -> AdoptableServer {
        guard let row = try await session.query(Self.identitySQL, timeout: self.deadlines.settings).first else {
            throw NodeFailure.other("the server's identity came back empty")
        }
        let inRecovery = try row.bool("in_recovery")
        let scripts = try await self.appliedScripts(session)
        return AdoptableServer(
            version: try row.int("version"), systemIdentifier: try ProbeAnswer.systemIdentifier(row),
            inRecovery: inRecovery, pledge: try row.pledge("pledge"),
            position: try await self.position(session, inRecovery: inRecovery),
            settings: try await self.surveyedSettings(session),
            missingRights: try await session.query(Self.rightsSQL, timeout: self.deadlines.settings)
                .map { try $0.string("lacking") },
            foreignSlots: try await session.query(
                "SELECT slot_name FROM pg_replication_slots WHERE slot_name NOT LIKE 'pgha\\_%' AND NOT temporary",
                timeout: self.deadlines.settings
            ).map { try $0.string("slot_name") },
            scripts: scripts)
    }

    private func position(_ session: PostgresConnection, inRecovery: Bool) async throws -> WALPosition {
        inRecovery ? try await self.standbyPosition(session) : try await self.primaryPosition(session)
    }

    private func appliedScripts(_ session: PostgresConnection) async throws -> [Int] {
        let known = try await session.query(
            """
            SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname = 'pgha' AND c.relname = 'schema_version' AND has_schema_privilege(n.oid, 'USAGE')
                AND has_table_privilege(c.oid, 'SELECT')) AS known
            """, timeout: self.deadlines.settings)
        guard try known.first?.bool("known") == true else { return [] }
        return try await session.query(
            "SELECT number FROM pgha.schema_version ORDER BY number", timeout: self.deadlines.settings
        ).map { try $0.int("number") }
    }

    private func surveyedSettings(
        _ session: PostgresConnection
    ) async throws -> [String: AdoptableServer.Setting] {
        // An array literal: names hold letters, '_' and '.' alone.
        let names = "{\(ManagedSettings.surveyed.joined(separator: ","))}"
        var result: [String: AdoptableServer.Setting] = [:]
        for row in try await session.query(
            "SELECT name, setting, source, pending_restart FROM pg_settings WHERE name = ANY ($1::text[])", [names],
            timeout: self.deadlines.settings)
        {
            // Who may connect where is nobody's business outside the server.
            let name = try row.string("name")
            let value = name == "primary_conninfo" ? "" : try row.stringIfPresent("setting") ?? ""
            result[name] = AdoptableServer.Setting(
                value, source: try row.string("source"), pendingRestart: try row.bool("pending_restart"))
        }
        return result
    }

    /// The pledge, the rows of `pgha.term_history` and the position, for a store that is made again.
    package func storeEvidence() async throws(NodeFailure) -> StoreEvidence {
        do {
            let (identifier, inRecovery, pledge, position) = try await self.exclusively {
                try await self.onWarmSession { session in
                    guard let row = try await session.query(Self.identitySQL, timeout: self.deadlines.settings).first
                    else { throw NodeFailure.other("the server's identity came back empty") }
                    let inRecovery = try row.bool("in_recovery")
                    return (
                        try ProbeAnswer.systemIdentifier(row), inRecovery, try row.pledge("pledge"),
                        try await self.position(session, inRecovery: inRecovery)
                    )
                }
            }
            return StoreEvidence(
                systemIdentifier: identifier, inRecovery: inRecovery, pledge: pledge,
                rows: try await self.termHistory(),
                position: position)
        } catch {
            throw Self.failure(error)
        }
    }

    /// The values of ``ManagedSettings/standbyLimits`` that the server runs with.
    package func runningLimits() async throws(NodeFailure) -> [String: Int] {
        do {
            return try await self.exclusively {
                try await self.onWarmSession { session in
                    var result: [String: Int] = [:]
                    for row in try await session.query(
                        "SELECT name, setting FROM pg_settings WHERE name = ANY ($1::text[])",
                        ["{\(ManagedSettings.standbyLimits.joined(separator: ","))}"], timeout: self.deadlines.settings)
                    {
                        result[try row.string("name")] = try row.int("setting")
                    }
                    return result
                }
            }
        } catch {
            throw Self.failure(error)
        }
    }

    private static let identitySQL = """
        SELECT y.system_identifier, current_setting('server_version_num') AS version,
          pg_is_in_recovery() AS in_recovery, current_setting('pgha.term', true) AS pledge
        FROM pg_control_system() y
        """

    /// Each right that `sql/001_roles.sql` grants to `pgha_control`, if the session's role lacks it.
    private static let rightsSQL = """
        SELECT lacking FROM (
          SELECT 'REPLICATION' AS lacking,
            (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS has
          UNION ALL SELECT 'membership in ' || m, pg_has_role(m, 'USAGE')
            FROM unnest(ARRAY['pg_monitor', 'pg_signal_backend', 'pg_checkpoint']) m
          UNION ALL SELECT 'ALTER SYSTEM ON PARAMETER ' || p, has_parameter_privilege(p, 'ALTER SYSTEM')
            FROM unnest(ARRAY['primary_conninfo', 'primary_slot_name', 'synchronous_standby_names',
              'restore_command', 'pgha.term']) p
          UNION ALL SELECT 'EXECUTE ON ' || f, has_function_privilege(f, 'EXECUTE')
            FROM unnest(ARRAY['pg_reload_conf()', 'pg_promote(boolean, integer)']) f
        ) rights WHERE NOT has
        """
}
