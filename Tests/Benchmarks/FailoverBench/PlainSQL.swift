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

    /// A standby under the name by which it follows.
    private struct Standby {
        let name: String
        let server: ScratchPostgres
        let session: PostgresConnection

        init(of primary: ScratchPostgres, _ name: String) async throws {
            self.name = name
            self.server = try await ScratchPostgres.standby(of: primary, name: name)
            try await PlainSQL.set(self.server.connect(), ["synchronous_standby_names": "ANY 1 (pgha_fence)"])
            self.session = try await self.server.connect()
        }
    }

    private static func once() async throws -> Double {
        let primary = try await ScratchPostgres.start()
        let one = try await Standby(of: primary, "plain_one"), two = try await Standby(of: primary, "plain_two")
        try await Self.set(primary.connect(), ["synchronous_standby_names": "ANY 1 (plain_one, plain_two)"])
        _ = try await primary.query("CREATE TABLE plain (id int)")
        _ = try await primary.query("CREATE TABLE ids (id bigint PRIMARY KEY, node text)")
        for standby in [one, two] { try await standby.server.wait(until: "SELECT to_regclass('ids') IS NOT NULL") }
        // The clients of the other measurements, so that they cost the same here.
        let servers = [("primary", primary), ("one", one.server), ("two", two.server)]
        let recorder = AckRecorder(
            servers.compactMap { name, server in
                NodeName(name).map { AckRecorder.Server($0, server.parameters(tcp: true)) }
            })
        recorder.start()
        let result: Result<Double, any Error>
        do { result = .success(try await Self.failOver(primary, one, two, recorder)) } catch {
            result = .failure(error)
        }
        await recorder.stop()
        for standby in [one, two] { try await standby.server.stop(.immediate) }
        return try result.get()
    }

    private static func failOver(
        _ primary: ScratchPostgres, _ one: Standby, _ two: Standby, _ recorder: AckRecorder
    ) async throws -> Double {
        guard let old = NodeName("primary"), let standby = NodeName("one") else { throw ScratchFailure("no name") }
        _ = try await recorder.waitForAck(after: .now, notBy: standby)
        let killed = ContinuousClock.now
        primary.kill()
        try await Self.waitUntilRefused(primary)
        async let first: Void = Self.seal(one.session, one.server)
        async let second: Void = Self.seal(two.session, two.server)
        _ = try await (first, second)
        async let oneEnd = Self.position(one.session), twoEnd = Self.position(two.session)
        let (leader, follower) = try await oneEnd >= twoEnd ? (one, two) : (two, one)
        async let promoted: Void = Self.promote(leader.session)
        async let followed: Void = Self.follow(follower, leader: leader.server)
        _ = try await (promoted, followed)
        let row = try await leader.session.query(
            "WITH i AS (INSERT INTO plain VALUES (1)) SELECT pg_current_wal_insert_lsn() AS lsn")
        guard let end = try row.first?.lsn("lsn") else { throw ScratchFailure("no position") }
        try await Self.poll(
            leader.session, "SELECT count(*) > 0 AS ok FROM pg_stat_replication WHERE flush_lsn >= '\(end)'")
        try await Self.set(leader.session, ["synchronous_standby_names": "ANY 1 (\(follower.name))"])
        // Commits that wait behind the fence are released with the next one.
        let client = try await leader.server.connect()
        _ = try await client.query("INSERT INTO plain VALUES (2)")
        return (try await recorder.waitForAck(after: killed, notBy: old).acknowledged - killed).inSeconds * 1000
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

    private static func follow(_ standby: Standby, leader: ScratchPostgres) async throws {
        let conninfo =
            "host=127.0.0.1 port=\(leader.port) user=\(ScratchPostgres.superuser) "
            + "password=\(ScratchPostgres.superuserPassword) application_name=\(standby.name)"
        try await Self.set(standby.session, ["pgha.term": "2.1/plain", "primary_conninfo": conninfo])
        await (try await Self.session(on: standby.server, showing: "primary_conninfo", conninfo)).close()
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
