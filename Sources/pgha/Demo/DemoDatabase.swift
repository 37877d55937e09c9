import PGHAClient
import PGHACore
import PGHAPostgres

/// The role and the database that the printed connection strings use.
enum DemoDatabase {
    /// Makes what is missing, on the leader, over its Unix socket. The password never is part of a statement.
    static func prepare(_ layout: DemoLayout, leader: NodeName) async throws {
        guard let index = layout.names.firstIndex(of: leader),
            let postmaster = PostmasterLines(path: layout.postmasterFile(leader)),
            let password = try Passfile.read(path: layout.clientPassfile).password(user: "demo")
        else { throw CommandError(.failed, "\(leader) does not run here", hint: "See 'pgha status'.") }
        var parameters = ConnectionParameters(
            host: postmaster.socketDirectory, port: layout.serverPort(index), user: "postgres", sslMode: .disable,
            applicationName: "pgha demo")
        parameters.settings = ["log_statement": "none"]
        let connection = try await PostgresConnection.open(parameters)
        do {
            try await self.makeRole(connection, password)
            let exists = try await connection.query("SELECT FROM pg_database WHERE datname = 'demo'", [])
            if exists.isEmpty { try await connection.script("CREATE DATABASE demo OWNER demo", timeout: .seconds(60)) }
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
    }

    private static func makeRole(_ connection: PostgresConnection, _ password: Secret) async throws {
        guard try await connection.query("SELECT FROM pg_roles WHERE rolname = 'demo'", []).isEmpty else { return }
        _ = try await connection.query("SELECT set_config('pgha.secret', $1, false)", [password.revealed])
        try await connection.script(
            "DO $$ BEGIN EXECUTE format('CREATE ROLE demo LOGIN PASSWORD %L', current_setting('pgha.secret')); END $$",
            timeout: .seconds(30))
    }
}
