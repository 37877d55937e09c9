import Glibc
import PGHAPooler
import PGHATesting
import Testing

@Suite("What a pooler says of itself", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct StatisticsTests {
    @Test func poolsCountWhatTheirClientsDid() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("SELECT 1")
        try client.query("SELECT 1/0")
        let statistics = await rig.pooler.statistics()
        let pool = try #require(statistics.pools.first)
        #expect(statistics.clients == 1 && statistics.servers == 1 && statistics.hasLeader)
        #expect(pool.clients == 1 && pool.clientsActive == 0 && pool.serversIdle == 1 && pool.limit == 1)
        #expect(pool.transactions == 2 && pool.queries == 2)
        #expect(pool.query.buckets.reduce(0, +) == 2 && pool.query.sum > 0)
        #expect(pool.transaction.buckets.reduce(0, +) == 2)
        #expect(pool.errors == ["22012": 1] && pool.pins.isEmpty)
        rig.pooler.stop()
        #expect(await rig.pooler.statistics().pools.isEmpty)
    }
}

extension StatisticsTests {
    /// Alerts ask for what the pooler itself reports, too.
    @Test func errorsInALostServersPlaceAreCountedAndPinsByTheirReason() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let (client, pinned) = (try rig.client(), try rig.client())
        #expect(try client.query("SELECT pg_terminate_backend(pg_backend_pid())").contains("E:08007"))
        try pinned.query("LISTEN news")
        try pinned.query("SELECT FROM pg_prepared_statements")
        let pool = try #require(await rig.pooler.statistics().pools.first)
        #expect(pool.errors["08007"] == 1 && pool.pins == ["listen": 1])
    }
}

extension StatisticsTests {
    /// What clients hear as the reason of their connection's end counts, too.
    @Test func anUnknownOutcomeThatEndsAConnectionIsCounted() async throws {
        let rig = try await PoolerRig.start { $0.mode = .session }
        let client = try rig.client()
        try client.query("CREATE TEMP TABLE x (a int)")
        let number = try #require(try client.value("SELECT pg_backend_pid()"))
        let pid = try #require(Int32(number))
        client.send { $0.query("SELECT pg_sleep(60)") }
        try await rig.server.wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')")
        kill(pid, SIGKILL)
        #expect(try client.answers() == ["E:08007"])
        let pool = try #require(await rig.pooler.statistics().pools.first)
        #expect(pool.errors == ["08007": 1])
    }

    /// Statements can raise any.
    @Test func soManyStatesAreToldApart() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        for number in 0..<300 {
            let state = "U0\(String(number + 100))"
            #expect(try client.query("DO $$BEGIN RAISE SQLSTATE '\(state)'; END$$").first == "E:\(state)")
        }
        #expect(try client.query("DO $$BEGIN RAISE SQLSTATE '40001'; END$$").first == "E:40001")
        let pool = try #require(await rig.pooler.statistics().pools.first)
        #expect(pool.errors.count == 258 && pool.errors["other"] == 44 && pool.errors["40001"] == 1)
    }
}

@Suite("Durations are counted by their power of two") struct DurationCountsTests {
    @Test func everyBoundBelongsToTheBucketBelowIt() {
        let bounds = DurationCounts.bounds
        #expect(bounds.first == 16384e-9)
        #expect(zip(bounds, bounds.dropFirst()).allSatisfy { $1 == 2 * $0 })
        #expect(DurationCounts().buckets.count == bounds.count + 1)
    }
}

@Suite("A pooler that drains", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct DrainTests {
    @Test func letsTransactionsFinishAndThenSaysGoodbye() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let idle = try rig.client()
        let busy = try rig.client()
        try busy.query("BEGIN")
        rig.pooler.drain(.waitForTransactions)
        #expect(try idle.answers() == ["E:57P01"])
        #expect(throws: (any Error).self) { try rig.client() }
        #expect(try busy.query("SELECT 1").last == "Z:T")
        #expect(try busy.query("COMMIT").last == "Z:I")
        #expect(try busy.answers() == ["E:57P01"])
        try await PoolerRig.wait("the clients are gone") { await rig.pooler.statistics().clients == 0 }
    }

    @Test func waitsForClientsThatMayStay() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        rig.pooler.drain(.waitForClients)
        #expect(await rig.pooler.statistics().clients == 1)
        #expect(throws: (any Error).self) { try rig.client() }
        #expect(try client.query("SELECT 1").last == "Z:I")
    }
}
