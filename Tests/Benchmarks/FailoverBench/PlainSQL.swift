import Foundation
import PGHACore
import PGHAPostgres
import PGHATesting

/// The same failover as a script with open sessions would do it: what is possible on this machine now.
///
/// Three servers, quorum of two, the steps and the order of DESIGN section 5 without a store, agents or a decision:
/// kill the primary and see it refuse; pledge and seal both standbys, seen in new sessions; read their positions
/// twice; promote behind the fence while the other follows; write a row and see it flushed; set the list; commit.
enum PlainSQL {
    static func measure(_ runs: Int) async throws -> Series {
        var series = Series()
        for _ in 0..<runs { series.gaps.append(try await Self.once()) }
        return series
    }

    private static func once() async throws -> Double {
        let primary = try await ScratchPostgres.start()
        let first = try await ScratchPostgres.standby(of: primary, name: "plain_one")
        let second = try await ScratchPostgres.standby(of: primary, name: "plain_two")
        for standby in [first, second] {
            try await Self.set(standby.connect(), ["synchronous_standby_names": "ANY 1 (pgha_fence)"])
        }
        try await Self.set(primary.connect(), ["synchronous_standby_names": "ANY 1 (plain_one, plain_two)"])
        _ = try await primary.query("CREATE TABLE plain (id int)")
        try await first.wait(until: "SELECT to_regclass('plain') IS NOT NULL")
        let leader = try await first.connect(), follower = try await second.connect()

        let killed = ContinuousClock.now
        primary.kill()
        try await Self.waitUntilRefused(primary)
        async let one = Self.seal(leader, first), two = Self.seal(follower, second)
        _ = try await (one, two)
        async let oneAgain = Self.position(leader), twoAgain = Self.position(follower)
        let positions = try await (oneAgain, twoAgain)
        guard positions.0 >= positions.1 else { throw ScratchFailure("the second standby is ahead") }
        async let promoted: Void = Self.promote(leader)
        async let followed: Void = Self.follow(follower, second, leader: first)
        _ = try await (promoted, followed)
        let row = try await leader.query(
            "WITH i AS (INSERT INTO plain VALUES (1)) SELECT pg_current_wal_insert_lsn() AS lsn")
        guard let end = try row.first?.lsn("lsn") else { throw ScratchFailure("no position") }
        try await Self.poll(leader, "SELECT count(*) > 0 AS ok FROM pg_stat_replication WHERE flush_lsn >= '\(end)'")
        try await Self.set(leader, ["synchronous_standby_names": "ANY 1 (plain_two)"])
        let client = try await first.connect()
        _ = try await client.query("INSERT INTO plain VALUES (2)")
        let gap = (ContinuousClock.now - killed).inSeconds * 1000
        for server in [first, second] { try await server.stop(.immediate) }
        return gap
    }

    private static func waitUntilRefused(_ server: ScratchPostgres) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            do {
                try await PostgresConnection.open(server.parameters(tcp: true)).close()
            } catch {
                if error.probeFailure == .refused { return }
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw ScratchFailure("the killed primary does not refuse connections")
    }

    private static func seal(_ session: PostgresConnection, _ server: ScratchPostgres) async throws {
        _ = try await session.query("SET pgha.term = ''")
        try await Self.set(session, ["pgha.term": "2.0/plain", "primary_conninfo": "", "restore_command": ""])
        let fresh = try await Self.session(on: server, showing: "primary_conninfo", "")
        try await Self.poll(
            fresh,
            """
            SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)
              AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walreceiver')
              AND EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'RecoveryRetrieveRetryInterval') AS ok
            """)
        await fresh.close()
    }

    /// A session that was started after the configuration was loaded and shows `value`.
    private static func session(
        on server: ScratchPostgres, showing setting: String, _ value: String
    ) async throws -> PostgresConnection {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            let session = try await server.connect()
            let row = try await session.query(
                """
                SELECT current_setting($1) = $2 AND backend_start > pg_conf_load_time() AS ok
                FROM pg_stat_activity WHERE pid = pg_backend_pid()
                """, [setting, value])
            if try row.first?.bool("ok") == true { return session }
            await session.close()
            try await Task.sleep(for: .milliseconds(1))
        }
        throw ScratchFailure("no session shows \(setting)")
    }

    private static func position(_ session: PostgresConnection) async throws -> LSN {
        let row = try await session.query("SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) AS lsn")
        guard let lsn = try row.first?.lsn("lsn") else { throw ScratchFailure("no position") }
        return lsn
    }

    private static func promote(_ session: PostgresConnection) async throws {
        _ = try await session.query("SELECT pg_promote(false)")
        try await Self.poll(session, "SELECT NOT pg_is_in_recovery() AS ok")
        _ = try await session.query("SET synchronous_commit = local")
    }

    private static func follow(
        _ session: PostgresConnection, _ server: ScratchPostgres, leader: ScratchPostgres
    ) async throws {
        let conninfo =
            "host=127.0.0.1 port=\(leader.port) user=\(ScratchPostgres.superuser) "
            + "password=\(ScratchPostgres.superuserPassword) application_name=plain_two"
        try await Self.set(session, ["pgha.term": "2.1/plain", "primary_conninfo": conninfo])
        await (try await Self.session(on: server, showing: "primary_conninfo", conninfo)).close()
    }

    private static func set(_ session: PostgresConnection, _ settings: [String: String]) async throws {
        for (name, value) in settings {
            _ = try await session.query("ALTER SYSTEM SET \(name) = \(quoteLiteral(value))")
        }
        _ = try await session.query("SELECT pg_reload_conf()")
    }

    private static func poll(_ session: PostgresConnection, _ sql: String) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            if try await session.query(sql).first?.bool("ok") == true { return }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw ScratchFailure("waited 20 s for \(sql)")
    }
}
