import FoundationEssentials
import PGHACommand
import PGHACore
import PGHAPostgres

/// Asks one server all that `pgha check` needs, in one session. Changes nothing.
struct ServerSurveyor: Sendable {
    let parameters: ConnectionParameters

    func survey() async -> NodeSurvey.Server {
        do {
            let connection = try await PostgresConnection.open(self.parameters)
            let version = await connection.serverVersion
            // Older servers lack the functions asked for below.
            guard version >= CheckJudgement.oldestVersion else {
                await connection.close()
                return .tooOld(version: version)
            }
            do {
                let answer = try await self.ask(connection)
                await connection.close()
                return .answers(answer)
            } catch {
                await connection.close()
                throw error
            }
        } catch let error as PostgresError {
            return Self.failure(error)
        } catch {
            return .unreachable(text: "\(error)")
        }
    }

    private static func failure(_ error: PostgresError) -> NodeSurvey.Server {
        // libpq begins with the address, which is said already.
        let text = error.message.firstRange(of: " failed: ").map { String(error.message[$0.upperBound...]) } ?? error.message
        if error.sqlstate == "57P03" { return .refuses(.starting, text: text) }
        switch error.kind {
        case .authentication: return .refuses(.role, text: text)
        case .tls: return .refuses(.tls, text: text)
        case .server, .undecodable: return .refuses(.other, text: text)
        case .refused, .reset, .timedOut, .cannotResolve, .closed, .cancelled, .client: return .unreachable(text: text)
        }
    }

    private func ask(_ connection: PostgresConnection) async throws -> ServerSurvey {
        let clock = try await self.clock(connection)
        guard let row = try await connection.query(Self.identitySQL).first,
            let identifier = UInt64(try row.string("system_identifier"))
        else { throw PostgresError(.undecodable, message: "the server does not say who it is") }
        return ServerSurvey(
            version: try row.int("version"), systemIdentifier: identifier, inRecovery: try row.bool("in_recovery"),
            timeline: try row.timeline("timeline"), settings: try await self.settings(connection),
            overrides: try await self.overrides(connection), role: try row.string("role"),
            missingRights: try await self.missingRights(connection), clockOffset: clock.offset, clockError: clock.error)
    }

    /// The server's clock against the middle of the question's way there and back; half of that is the error.
    private func clock(_ connection: PostgresConnection) async throws -> (offset: Duration, error: Duration) {
        let before = Date().timeIntervalSince1970
        let rows = try await connection.query("SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
        let after = Date().timeIntervalSince1970
        guard let now = try rows.first?.double("now") else { throw PostgresError(.undecodable, message: "no clock") }
        return (.seconds(now - (before + after) / 2), .seconds((after - before) / 2))
    }

    private func settings(_ connection: PostgresConnection) async throws -> [String: ServerSurvey.Setting] {
        // An array literal: names hold letters, '_' and '.' alone.
        let names = "{\(CheckJudgement.settingNames.joined(separator: ","))}"
        var result: [String: ServerSurvey.Setting] = [:]
        for row in try await connection.query(
            "SELECT name, setting, source, pending_restart FROM pg_settings WHERE name = ANY ($1::text[])", [names])
        {
            result[try row.string("name")] = ServerSurvey.Setting(
                value: try row.stringIfPresent("setting") ?? "", source: try row.string("source"),
                pendingRestart: try row.bool("pending_restart"))
        }
        return result
    }

    private func overrides(_ connection: PostgresConnection) async throws -> [ServerSurvey.Override] {
        try await connection.query(Self.overridesSQL).map { row in
            let role = try row.stringIfPresent("role").map { "role \($0)" }
            let database = try row.stringIfPresent("database").map { "database \($0)" }
            return ServerSurvey.Override(
                whose: [role, database].compactMap { $0 }.joined(separator: " in "), name: try row.string("name"),
                value: try row.string("value"))
        }
    }

    private func missingRights(_ connection: PostgresConnection) async throws -> [String] {
        try await connection.query(Self.rightsSQL).map { try $0.string("lacking") }
    }

    private static let identitySQL = """
        SELECT current_setting('server_version_num')::int AS version, system_identifier::text AS system_identifier,
          pg_is_in_recovery() AS in_recovery, current_user AS role,
          CASE WHEN pg_is_in_recovery()
            THEN greatest(timeline_id, (SELECT received_tli FROM pg_stat_wal_receiver))
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline
        FROM pg_control_system(), pg_control_checkpoint()
        """

    /// Values that weaken commits, or hide that one was weak (DESIGN section 8).
    private static let overridesSQL = """
        SELECT d.datname AS database, r.rolname AS role, split_part(c, '=', 1) AS name,
          lower(substr(c, strpos(c, '=') + 1)) AS value
        FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase
          LEFT JOIN pg_roles r ON r.oid = s.setrole CROSS JOIN unnest(s.setconfig) c
        WHERE (c LIKE 'synchronous\\_commit=%'
            AND lower(substr(c, strpos(c, '=') + 1)) NOT IN ('on', 'true', 'yes', '1', 'remote_apply'))
          OR c ILIKE 'client\\_min\\_messages=error'
        ORDER BY role NULLS FIRST, database NULLS FIRST, name
        """

    /// Each right that ``sql/001_roles.sql`` grants to `pgha_control`, if the session's role lacks it.
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
