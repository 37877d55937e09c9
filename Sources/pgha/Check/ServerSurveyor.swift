import FoundationEssentials
import PGHACommand
import PGHACore
import PGHAPostgres

/// Asks one server all that `pgha check` needs: what a server must show before it is taken over, and besides its clock
/// and what weakens commits. Changes nothing.
struct ServerSurveyor: Sendable {
    let node: NodeName
    let parameters: ConnectionParameters

    func survey() async -> NodeSurvey.Server {
        do throws(PostgresError) {
            let connection = try await PostgresConnection.open(self.parameters)
            let result = await self.survey(connection)
            await connection.close()
            return try result.get()
        } catch {
            return Self.failure(error)
        }
    }

    private func survey(_ connection: PostgresConnection) async -> Result<NodeSurvey.Server, PostgresError> {
        do throws(PostgresError) {
            let control = ServerControl(node: self.node, parameters: self.parameters)
            let found = await control.survey()
            await control.close()
            switch found {
            case .tooOld(let version): return .success(.tooOld(version: version))
            case .unreadable(let why): return .failure(PostgresError(.undecodable, message: why))
            case .found(let server): return .success(.answers(try await self.ask(connection, server)))
            }
        } catch {
            return .failure(error)
        }
    }

    private static func failure(_ error: PostgresError) -> NodeSurvey.Server {
        // libpq begins with the address, which is said already.
        let text =
            error.message.firstRange(of: " failed: ").map { String(error.message[$0.upperBound...]) } ?? error.message
        if error.sqlstate == "57P03" { return .refuses(.starting, text: text) }
        switch error.kind {
        case .authentication: return .refuses(.role, text: text)
        case .tls: return .refuses(.tls, text: text)
        case .server, .undecodable: return .refuses(.other, text: text)
        case .refused, .reset, .timedOut, .cannotResolve, .closed, .cancelled, .client: return .unreachable(text: text)
        }
    }

    private func ask(
        _ connection: PostgresConnection, _ server: AdoptableServer
    ) async throws(PostgresError) -> ServerSurvey {
        let clock = try await self.clock(connection)
        return ServerSurvey(
            server, role: self.parameters.user, overrides: try await self.overrides(connection),
            clockOffset: clock.offset, clockError: clock.error)
    }

    /// The server's clock against the middle of the question's way there and back; half of that is the error.
    private func clock(
        _ connection: PostgresConnection
    ) async throws(PostgresError) -> (offset: Duration, error: Duration) {
        let before = Date().timeIntervalSince1970
        let rows = try await connection.query("SELECT extract(epoch FROM clock_timestamp())::float8 AS now")
        let after = Date().timeIntervalSince1970
        guard let now = try rows.first?.double("now") else { throw PostgresError(.undecodable, message: "no clock") }
        return (.seconds(now - (before + after) / 2), .seconds((after - before) / 2))
    }

    private func overrides(_ connection: PostgresConnection) async throws(PostgresError) -> [ServerSurvey.Override] {
        var result: [ServerSurvey.Override] = []
        for row in try await connection.query(Self.overridesSQL) {
            let role = try row.stringIfPresent("role").map { "role \($0)" }
            let database = try row.stringIfPresent("database").map { "database \($0)" }
            result.append(
                ServerSurvey.Override(
                    whose: [role, database].compactMap { $0 }.joined(separator: " in "), name: try row.string("name"),
                    value: try row.string("value")))
        }
        return result
    }

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
}
