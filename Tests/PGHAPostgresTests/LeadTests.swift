import Glibc
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

@Suite(.serialized, .enabled(if: ScratchPostgres.unavailable == nil, "needs PostgreSQL's server programs"))
struct LeadTests {
    private func quick() -> ServerControl.Deadlines {
        var deadlines = ServerControl.Deadlines()
        deadlines.settings = .milliseconds(700)
        deadlines.promote = .milliseconds(500)
        return deadlines
    }

    private func checkpointer(of server: ScratchPostgres) async throws -> Int32 {
        try await server.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")[0].int32("pid")
    }

    /// Whether an insert with `synchronous_commit = on` is acknowledged in `time`: short where it must not be.
    private func isAcknowledged(
        _ id: Int, on server: ScratchPostgres, within time: Duration = .milliseconds(150)
    ) async throws -> Bool {
        let session = try await server.connect()
        let error = await postgresError { () throws(PostgresError) in
            try await session.query("INSERT INTO rows VALUES ($1)", ["\(id)"], timeout: time)
        }
        await session.close()
        return error == nil
    }

    @Test func aPromotedServerAcknowledgesNothingUntilItHasItsList() async throws {
        let cluster = try await ScratchCluster.start(standbys: 2)
        let (first, second) = (cluster.standbys[0], cluster.standbys[1])
        let b = control(first, "b")
        let c = control(second, "c")
        cluster.primary.kill()
        #expect(await b.execute(.seal(pledge(2))).sealed != nil)
        #expect(await c.execute(.seal(pledge(2))).sealed != nil)
        #expect(await b.execute(.promote(pledge(2))).promoted != nil)
        #expect(try await !self.isAcknowledged(1, on: first))
        let member = ReplicationName(node: name("c"), suffix: 5)
        try await b.ensureSlots([name("c")])
        let follow = NodeCommand.follow(pledge(2), leader: name("b"), name: member)
        #expect(await c.execute(follow, upstream: cluster.upstream(first)) == .done)
        try await first.wait(until: "EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")
        #expect(try await !self.isAcknowledged(2, on: first))
        #expect(await b.execute(.setSyncList(pledge(2), .any(1, [member]))) == .done)
        try await first.wait(until: "EXISTS (SELECT FROM pg_stat_replication WHERE sync_priority = 1)")
        #expect(try await self.isAcknowledged(3, on: first, within: .seconds(30)))
        guard case .senders(let senders) = await b.execute(.readSenders(pledge(2))) else {
            Issue.record("no senders")
            return
        }
        #expect(senders.map(\.applicationName) == [member.description])
        #expect(await c.execute(.setSyncList(pledge(2), .none)) == .failed(.isStandby))
        #expect(await c.execute(.readSenders(pledge(2))) == .failed(.isStandby))
        #expect(await b.execute(follow, upstream: cluster.upstream(second)) == .failed(.isPrimary))
        #expect(await b.execute(.checkpoint) == .done)
        #expect(await c.execute(.checkpoint) == .done)
    }

    /// The hole: a list that is loaded right before a promotion holds nothing back while the checkpointer has not
    /// noticed it.
    @Test func withoutTheFenceAStoppedCheckpointerLetsCommitsThrough() async throws {
        let cluster = try await ScratchCluster.start()
        let standby = cluster.standbys[0]
        try standby.write("postgresql.auto.conf", "synchronous_standby_names = ''\nprimary_conninfo = ''\n")
        try await standby.query("SELECT pg_reload_conf()")
        try await standby.wait(until: "current_setting('synchronous_standby_names') = ''")
        // Until the checkpointer has noticed the empty list.
        try await standby.query("CHECKPOINT")
        let pid = try await self.checkpointer(of: standby)
        kill(pid, SIGSTOP)
        defer { kill(pid, SIGCONT) }
        try await standby.query("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (pgha_fence)'")
        try await standby.query("SELECT pg_reload_conf()")
        try await standby.wait(until: "current_setting('synchronous_standby_names') <> ''")
        try await standby.query("SELECT pg_promote(false)")
        try await standby.wait(until: "NOT pg_is_in_recovery()")
        #expect(try await self.isAcknowledged(1, on: standby, within: .seconds(30)))
    }

    @Test func aFenceThatTheCheckpointerHasNotSeenStopsThePromotion() async throws {
        let cluster = try await ScratchCluster.start()
        let standby = cluster.standbys[0]
        try standby.write("postgresql.auto.conf", "synchronous_standby_names = ''\nprimary_conninfo = ''\n")
        try await standby.query("SELECT pg_reload_conf()")
        try await standby.wait(until: "current_setting('synchronous_standby_names') = ''")
        try await standby.query("CHECKPOINT")
        let b = control(standby, "b")
        #expect(await b.execute(.seal(pledge(2))).sealed != nil)
        let pid = try await self.checkpointer(of: standby)
        kill(pid, SIGSTOP)
        let failure = await control(standby, "b", deadlines: self.quick()).execute(.promote(pledge(2))).failure
        let stillStandby = try await standby.query("SELECT pg_is_in_recovery() AS r")[0].bool("r")
        kill(pid, SIGCONT)
        #expect(failure != nil)
        #expect(stillStandby)
        #expect(await b.execute(.promote(pledge(2))).promoted != nil)
        #expect(try await !self.isAcknowledged(1, on: standby))
    }

    @Test func leavingOneCopyIsOverOnlyWhenCommitsWait() async throws {
        let server = try await ScratchPostgres.start()
        try await installControl(on: server)
        let a = control(server, "a")
        let list = SyncList.any(1, [ReplicationName(node: name("b"), suffix: 1)])
        let pid = try await self.checkpointer(of: server)
        kill(pid, SIGSTOP)
        let failure = await control(server, "a", deadlines: self.quick()).execute(.setSyncList(pledge(2), list)).failure
        kill(pid, SIGCONT)
        #expect(failure != nil)
        #expect(await a.execute(.setSyncList(pledge(2), list)) == .done)
        #expect(try await !self.isAcknowledged(1, on: server))
        #expect(
            try await server.query("SHOW synchronous_standby_names")[0].string("synchronous_standby_names")
                == list.setting)
        #expect(await a.execute(.setSyncList(pledge(2), .none)) == .done)
    }

    @Test func aReclaimedPrimaryIsFenced() async throws {
        let cluster = try await ScratchCluster.start()
        let a = control(cluster.primary, "a")
        #expect(await control(cluster.standbys[0], "b").execute(.reclaim(pledge(2))) == .failed(.isStandby))
        let outcome = await a.execute(.reclaim(pledge(2)))
        guard case .reclaimed(let position) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(position.history == TimelineHistory(timeline: TimelineID(1)))
        #expect(try await !self.isAcknowledged(1, on: cluster.primary))
    }

    @Test func aQueryThatBlocksReplayDoesNotHoldUpAPromotion() async throws {
        var options = ScratchPostgres.Options()
        options.settings = ["max_standby_streaming_delay": "-1", "max_standby_archive_delay": "-1"]
        let cluster = try await ScratchCluster.start(options: options)
        let standby = cluster.standbys[0]
        try await cluster.primary.query("CREATE ROLE reader LOGIN")
        try await cluster.primary.query("GRANT SELECT ON rows TO reader")
        try await cluster.primary.query("CREATE TABLE other (id int)")
        try await standby.wait(until: "EXISTS (SELECT FROM pg_class WHERE relname = 'other')")
        let b = control(standby, "b")
        var parameters = standby.parameters(user: "reader")
        parameters.applicationName = "report"
        let reader = try await PostgresConnection.open(parameters)
        try await reader.query("BEGIN")
        try await reader.query("SELECT count(*) FROM rows")
        try await cluster.primary.query("DROP TABLE rows")
        try await standby.wait(
            until: "EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event_type = 'Lock')")
        // The pledge alone, without the seal that would have ended the reader.
        try standby.write(
            "postgresql.auto.conf",
            "synchronous_standby_names = 'ANY 1 (pgha_fence)'\nprimary_conninfo = ''\npgha.term = '\(pledge(2))'\n")
        try await standby.query("SELECT pg_reload_conf()")
        try await standby.wait(until: "current_setting('pgha.term', true) = '\(pledge(2))'")
        #expect(await b.execute(.promote(pledge(2))).promoted != nil)
    }

    @Test func aTermRowIsWrittenOnceAndNeverWaits() async throws {
        let server = try await ScratchPostgres.start()
        try await installControl(on: server)
        let a = control(server, "a")
        _ = await a.execute(.reclaim(pledge(2)))
        let rule = Rule(
            number: RuleNumber(term: Term(2), version: 1), nonce: 7, leader: name("a"), cohort: [name("b"), name("c")],
            copies: 2)
        let timeline = RecordedTimeline(term: Term(2), timeline: TimelineID(1), fork: nil)
        let write = NodeCommand.writeTermRow(rule, timeline: timeline, reason: "it's \\ a reason")
        for _ in 0..<2 {
            guard case .wrote = await a.execute(write) else {
                Issue.record("not written")
                return
            }
        }
        #expect(
            try await a.termHistory() == [
                TermHistoryRow(rule: rule, timeline: timeline, reason: "it's \\ a reason")
            ])
        let older = Rule(
            number: RuleNumber(term: Term(1), version: 1), nonce: 7, leader: name("a"), cohort: [], copies: 1)
        #expect(
            await a.execute(.writeTermRow(older, timeline: timeline, reason: ""))
                == .failed(.refused(holding: rule.pledge)))
    }

    @Test func slotsKeepWhatPeersLackAndMoveOnlyForward() async throws {
        let cluster = try await ScratchCluster.start()
        let standby = cluster.standbys[0]
        let b = control(standby, "b")
        try await b.ensureSlots([name("c"), name("d")])
        try await b.ensureSlots([name("c"), name("d")])
        let before = try await standby.query(
            "SELECT restart_lsn FROM pg_replication_slots WHERE slot_name = 'pgha_c'")[0].lsn("restart_lsn")
        try await cluster.primary.query("INSERT INTO rows SELECT generate_series(1, 1000)")
        let end = try await cluster.primary.query("SELECT pg_current_wal_flush_lsn() AS lsn")[0].lsn("lsn")
        try await standby.wait(until: "pg_last_wal_replay_lsn() >= '\(end)'")
        // Far beyond what the standby has: bounded, not an error.
        try await b.advanceSlots(to: [name("c"): LSN(end.byteOffset + 1 << 40), name("d"): .zero, name("e"): end])
        let after = try await standby.query(
            "SELECT slot_name, restart_lsn FROM pg_replication_slots ORDER BY slot_name")
        #expect(try after.map { try $0.string("slot_name") } == ["pgha_c", "pgha_d"])
        #expect(try after[0].lsn("restart_lsn") > before)
        #expect(try after[0].lsn("restart_lsn") >= end)
        #expect(try after[1].lsn("restart_lsn") == before)
    }

    @Test func slotsOfServersThatLeftAreDropped() async throws {
        let server = try await ScratchPostgres.start()
        try await installControl(on: server)
        let a = control(server, "a")
        try await a.ensureSlots([name("b"), name("c")])
        _ = try await server.query("SELECT pg_create_physical_replication_slot('archive', true)")
        try await a.ensureSlots([name("b")], members: [name("a"), name("b")])
        let left = try await server.query("SELECT slot_name FROM pg_replication_slots ORDER BY slot_name")
        #expect(try left.map { try $0.string("slot_name") } == ["archive", "pgha_b"])
    }

    @Test func hostWorkIsNotDoneHereAndADeadServerIsUnreachable() async throws {
        let server = try await ScratchPostgres.start()
        try await installControl(on: server)
        let a = control(server, "a")
        guard case .failed(.other) = await a.execute(.initialize(pledge(1))) else {
            Issue.record("initialize was taken")
            return
        }
        #expect(await a.execute(.checkpoint) == .done)
        server.kill()
        guard case .failed(.unreachable) = await a.execute(.seal(pledge(2))) else {
            Issue.record("a dead server was not unreachable")
            return
        }
        try await server.launch()
        #expect(await a.execute(.checkpoint) == .done)
    }
}
