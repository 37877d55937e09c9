import PGHACore
import PGHAPostgres
import PGHASchema
import PGHAWire

/// Installs what pgha needs in running servers: roles, their passwords, and the scripts of `sql/` that are missing.
struct SchemaInstaller: Sendable {
    let superuser: SuperuserFile
    let passwords: Passfile?

    /// Returns what was done, a line each; nothing is done twice.
    func install(on spec: ClusterSpec) async throws -> [String] {
        let hasAgents = spec.nodes.contains { $0.agent != nil }
        let (node, session) = try await self.primary(of: spec)
        do throws(PostgresError) {
            let lines = try await self.install(session, node, hasAgents: hasAgents)
            await session.close()
            return lines
        } catch {
            await session.close()
            throw CommandError(
                .failed, "\(node.name): the scripts of pgha cannot be applied: \(error.message)",
                hint: "They need a superuser. Each is one transaction: what failed changed nothing.")
        }
    }

    private func primary(of spec: ClusterSpec) async throws -> (NodeSpec, PostgresConnection) {
        var failures: [String] = []
        for node in spec.nodes {
            do throws(PostgresError) {
                let session = try await PostgresConnection.open(
                    self.superuser.parameters(host: node.host, port: node.port))
                if try await session.query("SELECT pg_is_in_recovery() AS standby").first?.bool("standby") == false {
                    return (node, session)
                }
                await session.close()
            } catch {
                failures.append("\(node.name): \(error.message)")
            }
        }
        throw CommandError(
            .failed,
            "no primary lets the superuser in"
                + (failures.isEmpty ? ": all servers are standbys" : " (\(failures.joined(separator: "; ")))"),
            hint: "Check the file given with --superuser-file, and pg_hba.conf for this machine.")
    }

    private func install(
        _ session: PostgresConnection, _ node: NodeSpec, hasAgents: Bool
    ) async throws(PostgresError) -> [String] {
        let isInstalled = try await session.query("\(PGHASchema.installedQuery) AS installed").first?.bool("installed")
        var applied: [Int] = []
        if isInstalled == true {
            for row in try await session.query(PGHASchema.appliedQuery) { applied.append(try row.int("number")) }
        }
        var lines: [String] = []
        for script in PGHASchema.missing(applied: applied) {
            try await session.script(script.transaction, timeout: .seconds(60))
            lines.append("\(node.name): applied \(script.name)")
        }
        try await session.script("GRANT pg_checkpoint TO pgha_replica")
        if hasAgents { lines += try await self.makeAgentRole(session, node) }
        for role in ["pgha_control", "pgha_replica", "pgha_pooler"] {
            guard let password = self.passwords?.password(user: role) else { continue }
            try await self.setPassword(password, of: role, session)
            lines.append("\(node.name): set the password of \(role)")
        }
        try await self.waitUntilReplayed(session)
        return lines
    }

    /// The agents' own superuser, without a password: their line in `pg_hba.conf` lets it in over the socket alone. Agents
    /// on standbys cannot make it where the primary has none.
    private func makeAgentRole(_ session: PostgresConnection, _ node: NodeSpec) async throws(PostgresError) -> [String]
    {
        guard try await session.query("SELECT FROM pg_roles WHERE rolname = 'pgha_agent'").isEmpty else { return [] }
        try await session.script("CREATE ROLE pgha_agent SUPERUSER LOGIN")
        return ["\(node.name): made the role pgha_agent"]
    }

    private func setPassword(
        _ password: PGHAPostgres.Secret, of role: String, _ session: PostgresConnection
    ) async throws(PostgresError) {
        let verifier = SCRAMVerifier.ofRole(password: PGHAWire.Secret(Array(password.revealed.utf8))).text
        try await session.query(
            PGHASchema.takePassword, [role, verifier.withBytes { String(decoding: $0, as: UTF8.self) }])
        try await session.script(PGHASchema.setPassword)
    }

    /// The controller asks the standbys next, as a role that they must know by then. Best effort.
    private func waitUntilReplayed(_ session: PostgresConnection) async throws(PostgresError) {
        let rows = try await session.query("SELECT pg_current_wal_lsn() AS position")
        guard let end = try rows.first?.string("position") else { return }
        let deadline = ContinuousClock.now + .seconds(5)
        while ContinuousClock.now < deadline {
            let behind = try await session.query(
                "SELECT count(*) AS count FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn < $1::pg_lsn",
                [end])
            if try behind.first?.int("count") == 0 { return }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }
}
