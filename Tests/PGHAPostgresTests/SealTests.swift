import Glibc
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

@Suite(.enabled(if: ScratchPostgres.unavailable == nil, "needs PostgreSQL's server programs"))
struct SealTests {
    @Test func aSealedStandbyIsPromotedAndTheOthersFollow() async throws {
        let cluster = try await ScratchCluster.start(standbys: 2)
        let b = control(cluster.standbys[0], "b"), c = control(cluster.standbys[1], "c")
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
        #expect(promoted.history.forks[0].at >= sealed.end)
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
}
