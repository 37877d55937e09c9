import PGHAPostgres
import PGHASchema
import PGHATesting
import Testing

@Suite(.enabled(if: ScratchPostgres.unavailable == nil, "needs PostgreSQL's server programs"))
struct InstallTests {
    static let passwords = ["pgha_control": "control", "pgha_replica": "replica"]

    /// A server behind the fence, with every script applied and the roles given passwords.
    private static func install() async throws -> ScratchPostgres {
        var options = ScratchPostgres.Options()
        options.authentication = "scram-sha-256"
        options.fsync = false
        let server = try await ScratchPostgres.start(options)
        let session = try await server.connect()
        try await session.script("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (pgha_fence)'")
        try await session.script("SELECT pg_reload_conf()")
        try await server.wait(until: "current_setting('synchronous_standby_names') <> ''")
        try await Self.apply(PGHASchema.scripts, session)
        for (role, password) in Self.passwords {
            try await session.script(
                "SET synchronous_commit = local; ALTER ROLE \(role) PASSWORD \(quoteLiteral(password))")
        }
        await session.close()
        return server
    }

    private static func apply(_ scripts: [PGHASchema.Script], _ session: PostgresConnection) async throws {
        for script in scripts { try await session.script(script.transaction) }
    }

    private static func connect(_ server: ScratchPostgres, as role: String) async throws -> PostgresConnection {
        try await PostgresConnection.open(
            server.parameters(user: role, password: Self.passwords[role] ?? "", tcp: true))
    }

    @Test func applyingAllScriptsTwiceBehindTheFenceGivesTheSame() async throws {
        let server = try await Self.install()
        let dump = """
            SELECT string_agg(line, ';' ORDER BY line) AS dump FROM (
                SELECT relname || coalesce(relacl::text, '') AS line FROM pg_class
                WHERE relnamespace = 'pgha'::regnamespace
                UNION ALL SELECT rolname || rolreplication || rolcanlogin || rolsuper || rolcreaterole
                    || rolbypassrls || rolcreatedb FROM pg_roles WHERE rolname LIKE 'pgha%'
                UNION ALL SELECT roleid::regrole || '>' || member::regrole FROM pg_auth_members
                UNION ALL SELECT parname || paracl::text FROM pg_parameter_acl
                UNION ALL SELECT proname || coalesce(proacl::text, '') FROM pg_proc WHERE proacl IS NOT NULL
                UNION ALL SELECT number || name || applied_at FROM pgha.schema_version
            ) AS everything
            """
        let first = try await server.query(dump)[0].string("dump")
        let session = try await server.connect()
        #expect(try await session.query(PGHASchema.installedQuery)[0].bool("?column?"))
        let applied = try await session.query(PGHASchema.appliedQuery).map { try $0.int("number") }
        #expect(PGHASchema.missing(applied: applied).isEmpty)
        try await Self.apply(PGHASchema.scripts, session)
        await session.close()
        #expect(try await server.query(dump)[0].string("dump") == first)
    }

    @Test func aDatabaseWithoutTheSchemaSaysSo() async throws {
        let server = try await ScratchPostgres.start()
        #expect(try await server.query(PGHASchema.installedQuery)[0].bool("?column?") == false)
    }

    @Test func theControllerMayDoItsWorkWithoutSuperuser() async throws {
        let server = try await Self.install()
        let session = try await Self.connect(server, as: "pgha_control")
        try await session.script("SET synchronous_commit = local; SET pgha.term = 'x'")
        try await session.script("ALTER SYSTEM SET pgha.term = '1.0/0123456789abcdef'")
        for setting in ["primary_conninfo", "primary_slot_name", "restore_command", "synchronous_standby_names"] {
            try await session.script("ALTER SYSTEM SET \(setting) = ''")
        }
        for statement in [
            "SELECT pg_reload_conf()", "CHECKPOINT", "SELECT pg_create_physical_replication_slot('pgha_b', true)",
            "SELECT pg_replication_slot_advance('pgha_b', pg_current_wal_lsn())",
            "SELECT pgha.timeline_history(1)", "SELECT * FROM pgha.heartbeat",
            "SELECT * FROM pg_ls_waldir() LIMIT 1",
            "INSERT INTO pgha.term_history VALUES (1, 0, '0123456789abcdef', 'a', '{a,b}', 2, 1, null, 'bootstrap')",
        ] {
            try await session.script(statement)
        }
        await session.close()
    }

    @Test func theControllerMayNotChangeWhatItRecorded() async throws {
        let server = try await Self.install()
        let session = try await Self.connect(server, as: "pgha_control")
        try await session.script(
            """
            SET synchronous_commit = local;
            INSERT INTO pgha.term_history VALUES (1, 0, '0123456789abcdef', 'a', '{a,b}', 2, 1, null, 'bootstrap')
            """)
        for statement in [
            "UPDATE pgha.term_history SET leader = 'b'", "DELETE FROM pgha.term_history",
            "INSERT INTO pgha.schema_version VALUES (9, 'x')", "CREATE TABLE pgha.other ()",
            "SELECT pg_read_file('postgresql.conf')", "ALTER SYSTEM SET archive_command = 'touch /tmp/x'",
            "CREATE ROLE other", "SELECT pg_stat_file('PG_VERSION')",
        ] {
            let error = await #expect(throws: PostgresError.self, "\(statement)") {
                try await session.script(statement)
            }
            #expect(error?.sqlstate == "42501", "\(statement)")
        }
        await session.close()
    }

    @Test func aRuleThatCannotBeIsRefused() async throws {
        let server = try await Self.install()
        let session = try await Self.connect(server, as: "pgha_control")
        try await session.script("SET synchronous_commit = local")
        for values in [
            "1, 0, 'xyz', 'a', '{a,b}', 2, 1", "1, 0, '0123456789abcdef', 'c', '{a,b}', 2, 1",
            "1, 0, '0123456789abcdef', 'a', '{a,b}', 3, 1", "0, 0, '0123456789abcdef', 'a', '{a,b}', 2, 1",
        ] {
            let error = await #expect(throws: PostgresError.self) {
                try await session.script("INSERT INTO pgha.term_history VALUES (\(values), null, 'test')")
            }
            #expect(error?.sqlstate == "23514", "\(values)")
        }
        await session.close()
    }

    @Test func theHistoryOfAPromotedServersTimelineIsReadable() async throws {
        let server = try await Self.install()
        try await server.stop()
        try server.write("standby.signal", "")
        try await server.launch()
        try await server.query("SELECT pg_promote()")
        let session = try await Self.connect(server, as: "pgha_control")
        let row = try await session.query("SELECT pgha.timeline_history(2) AS forks, pgha.timeline_history(1) AS none")[
            0]
        #expect(try row.string("forks").hasPrefix("1\t"))
        #expect(try row.stringIfPresent("none") == nil)
        await session.close()
    }

    @Test func theReplicaRoleReadsWhatRewindReads() async throws {
        let server = try await Self.install()
        let session = try await Self.connect(server, as: "pgha_replica")
        for statement in [
            "SELECT pg_ls_dir('.', true, false)", "SELECT pg_stat_file('PG_VERSION', true)",
            "SELECT pg_read_binary_file('PG_VERSION')", "SELECT pg_read_binary_file('PG_VERSION', 0, 2, true)",
        ] {
            try await session.script(statement)
        }
        let error = await #expect(throws: PostgresError.self) { try await session.script("TABLE pgha.term_history") }
        #expect(error?.sqlstate == "42501")
        await session.close()
    }
}
