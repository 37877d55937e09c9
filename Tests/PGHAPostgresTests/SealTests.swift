import Glibc
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

@Suite(.serialized, .enabled(if: ScratchPostgres.unavailable == nil, "needs PostgreSQL's server programs"))
struct SealTests {
    @Test func aSealedStandbyIsPromotedAndTheOthersFollow() async throws {
        let cluster = try await ScratchCluster.start(standbys: 2)
        let b = control(cluster.standbys[0], "b")
        let c = control(cluster.standbys[1], "c")
        try await cluster.primary.query("INSERT INTO rows VALUES (1)")
        let end = try await cluster.primary.query("SELECT pg_current_wal_flush_lsn() AS lsn")[0].lsn("lsn")
        try await cluster.standbys[0].wait(until: "pg_last_wal_receive_lsn() >= '\(end)'")
        try await cluster.standbys[1].wait(until: "pg_last_wal_receive_lsn() >= '\(end)'")
        cluster.primary.kill()
        let sealed = try #require(await b.execute(.seal(pledge(2))).sealed)
        #expect(sealed.history == TimelineHistory(timeline: TimelineID(1)))
        #expect(sealed.end >= end)
        #expect(await c.execute(.seal(pledge(2))).sealed?.end == sealed.end)
        #expect(await b.execute(.readPosition(pledge(2))).sealed == sealed)
        let promoted = try #require(await b.execute(.promote(pledge(2))).promoted)
        #expect(promoted.history.timeline == TimelineID(2))
        #expect(promoted.history.forks.map(\.parent) == [TimelineID(1)])
        // Not sealed.end, which may lie within a torn record.
        #expect(promoted.history.forks[0].at >= end)
        #expect(await b.execute(.promote(pledge(2))).promoted?.history == promoted.history)
        try await b.ensureSlots([name("c")])
        let follow = NodeCommand.follow(
            pledge(2), leader: name("b"), name: ReplicationName(node: name("c"), suffix: 5))
        #expect(await c.execute(follow, upstream: cluster.upstream(cluster.standbys[0])) == .done)
        try await cluster.standbys[0].wait(until: "EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")
        let rule = Rule(
            number: RuleNumber(term: Term(2), version: 0), nonce: 7, leader: name("b"), cohort: [name("c")], copies: 2)
        let timeline = RecordedTimeline(term: Term(2), timeline: TimelineID(2), fork: promoted.history.forks[0].at)
        let wrote = await b.execute(.writeTermRow(rule, timeline: timeline, reason: "test"))
        guard case .wrote(let lsn) = wrote else {
            Issue.record("\(wrote)")
            return
        }
        try await cluster.standbys[0].wait(
            until: "EXISTS (SELECT FROM pg_stat_replication WHERE flush_lsn >= '\(lsn)')")
        #expect(
            try await b.termHistory() == [TermHistoryRow(rule: rule, timeline: timeline, reason: "test")])
        await b.close()
        await c.close()
    }

    // MARK: - What a seal waits for

    private func receiver(of server: ScratchPostgres) async throws -> Int32? {
        try await server.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'").first?.int32(
            "pid")
    }

    private func quick() -> ServerControl.Deadlines {
        var deadlines = ServerControl.Deadlines()
        deadlines.seal = .milliseconds(1500)
        deadlines.promote = .milliseconds(500)
        return deadlines
    }

    @Test func aSealWaitsForAStoppedReceiver() async throws {
        let cluster = try await ScratchCluster.start()
        let standby = cluster.standbys[0]
        let pid = try #require(try await self.receiver(of: standby))
        kill(pid, SIGSTOP)
        let b = control(standby, "b", deadlines: self.quick())
        #expect(await b.execute(.seal(pledge(2))) == .failed(.receiverRemains))
        #expect(await b.execute(.readPosition(pledge(2))) == .failed(.receiverRemains))
        kill(pid, SIGCONT)
        #expect(await control(standby, "b").execute(.seal(pledge(2))).sealed != nil)
        #expect(try await self.receiver(of: standby) == nil)
    }

    /// The hole: a receiver that is still connecting has no row in pg_stat_wal_receiver.
    @Test func aSealSeesAReceiverThatIsOnlyConnecting() async throws {
        let cluster = try await ScratchCluster.start()
        let standby = cluster.standbys[0]
        // A stopped postmaster's kernel accepts connections that nobody answers.
        cluster.primary.signalPostmaster(SIGSTOP)
        defer { cluster.primary.signalPostmaster(SIGCONT) }
        let old = try #require(try await self.receiver(of: standby))
        kill(old, SIGTERM)
        let connecting = """
            EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walreceiver' AND pid <> \(old))
              AND NOT EXISTS (SELECT FROM pg_stat_wal_receiver)
            """
        try await standby.wait(until: connecting)
        let pid = try #require(try await self.receiver(of: standby))
        kill(pid, SIGSTOP)
        let b = control(standby, "b", deadlines: self.quick())
        #expect(await b.execute(.seal(pledge(2))) == .failed(.receiverRemains))
        try await standby.wait(until: connecting)
        kill(pid, SIGCONT)
        #expect(await control(standby, "b").execute(.seal(pledge(2))).sealed != nil)
    }

    @Test func aSealedStandbyAcknowledgesNothing() async throws {
        let cluster = try await ScratchCluster.start()
        try await cluster.primary.query("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (b)'")
        try await cluster.primary.query("SELECT pg_reload_conf()")
        try await cluster.primary.wait(until: "EXISTS (SELECT FROM pg_stat_replication WHERE sync_priority = 1)")
        let stop = Task {
            var acknowledged: Int64 = 0
            let writer = try await cluster.primary.connect()
            while true {
                let next = acknowledged + 1
                do {
                    try await writer.query("INSERT INTO rows VALUES ($1)", ["\(next)"], timeout: .seconds(5))
                    acknowledged = next
                } catch { return acknowledged }
            }
        }
        try await cluster.primary.wait(until: "(SELECT count(*) FROM rows) > 50")
        let b = control(cluster.standbys[0], "b")
        let sealed = try #require(await b.execute(.seal(pledge(2))).sealed)
        let acknowledged = try await stop.value
        #expect(acknowledged > 50)
        #expect(try await cluster.standbys[0].query("SELECT count(*) AS n FROM rows")[0].int64("n") >= acknowledged)
        #expect(await b.execute(.readPosition(pledge(2))).sealed == sealed)
        try await cluster.primary.wait(until: "NOT EXISTS (SELECT FROM pg_stat_replication)")
    }

    @Test func aSealOfAPrimaryChangesNothing() async throws {
        let server = try await ScratchPostgres.start()
        try await installControl(on: server)
        #expect(await control(server, "a").execute(.seal(pledge(2))) == .failed(.isPrimary))
        #expect(server.read("postgresql.auto.conf")?.contains("pgha.term") == false)
    }

    @Test func pausedReplayIsResumedAndAConflictingQueryEnded() async throws {
        let cluster = try await ScratchCluster.start()
        let standby = cluster.standbys[0]
        try await standby.query("SELECT pg_wal_replay_pause()")
        try await cluster.primary.query("INSERT INTO rows SELECT generate_series(1, 100)")
        try await standby.wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'RecoveryPause')")
        let b = control(standby, "b")
        #expect(await b.execute(.seal(pledge(2))).sealed != nil)
        #expect(try await standby.query("SELECT count(*) AS n FROM rows")[0].int("n") == 100)
    }

    @Test func aQueryThatBlocksReplayIsEnded() async throws {
        var options = ScratchPostgres.Options()
        options.settings = ["max_standby_streaming_delay": "-1"]
        let cluster = try await ScratchCluster.start(options: options)
        let standby = cluster.standbys[0]
        try await cluster.primary.query("CREATE ROLE reader LOGIN; ")
        try await cluster.primary.query("GRANT SELECT ON rows TO reader")
        try await standby.wait(until: "EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader')")
        var parameters = standby.parameters(user: "reader")
        parameters.applicationName = "report"
        let reader = try await PostgresConnection.open(parameters)
        try await reader.query("BEGIN")
        try await reader.query("SELECT count(*) FROM rows")
        try await cluster.primary.query("DROP TABLE rows")
        try await standby.wait(
            until: "EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event_type = 'Lock')")
        #expect(await control(standby, "b").execute(.seal(pledge(2))).sealed != nil)
        #expect(await postgresError { () throws(PostgresError) in try await reader.query("SELECT 1") }?.kind == .reset)
    }

    @Test func aSettingThatWasWrittenButNotLoadedDoesNotUndoTheSeal() async throws {
        let cluster = try await ScratchCluster.start()
        let standby = cluster.standbys[0]
        #expect(await control(standby, "b").execute(.seal(pledge(2))).sealed != nil)
        try await standby.query("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=\(cluster.primary.port)'")
        #expect(await control(standby, "b").execute(.seal(pledge(3))).sealed != nil)
        #expect(try await standby.query("SHOW primary_conninfo")[0].string("primary_conninfo") == "")
    }

    // MARK: - Positions

    @Test func theTimelineIsTheReceivedOneNotThatOfTheLastCheckpoint() async throws {
        let cluster = try await ScratchCluster.start(standbys: 2)
        let (first, second) = (cluster.standbys[0], cluster.standbys[1])
        let b = control(first, "b")
        let c = control(second, "c")
        cluster.primary.kill()
        #expect(await b.execute(.seal(pledge(2))).sealed != nil)
        #expect(await c.execute(.seal(pledge(2))).sealed != nil)
        let promoted = try #require(await b.execute(.promote(pledge(2))).promoted)
        try await b.ensureSlots([name("c")])
        let follow = NodeCommand.follow(
            pledge(2), leader: name("b"), name: ReplicationName(node: name("c"), suffix: 5))
        #expect(await c.execute(follow, upstream: cluster.upstream(first)) == .done)
        try await first.wait(until: "EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")
        let sealed = try #require(await c.execute(.seal(pledge(3))).sealed)
        #expect(sealed.history == promoted.history)
        #expect(sealed.history.timeline == TimelineID(2))
        let replayed = try await second.query("SELECT pg_last_wal_replay_lsn() AS lsn")[0].lsn("lsn")
        // A restart without streaming: the end of the last complete record, on the same timeline.
        try await second.stop(.immediate)
        try await second.launch()
        let again = try #require(await c.execute(.seal(pledge(4))).sealed)
        #expect(again.history == sealed.history)
        #expect((replayed...sealed.end).contains(again.end))
    }

    @Test func aTimelineThatIsOnlyKnownIsNotOurs() async throws {
        let cluster = try await ScratchCluster.start()
        let standby = cluster.standbys[0]
        #expect(await control(standby, "b").execute(.seal(pledge(2))).sealed != nil)
        // As after having asked an upstream that was promoted further on.
        try standby.write("pg_wal/00000002.history", "1\t7/0\ttest\n")
        let sealed = try #require(await control(standby, "b").execute(.seal(pledge(3))).sealed)
        #expect(sealed.history == TimelineHistory(timeline: TimelineID(1)))
    }
}
