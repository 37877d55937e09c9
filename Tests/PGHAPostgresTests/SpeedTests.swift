import Glibc
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

/// Not run by default: figures mean something on a quiet machine only. `PGHA_MEASURE=1 swift test --filter Speed`.
@Suite(
    .serialized, .enabled(if: ScratchPostgres.unavailable == nil, "needs PostgreSQL's server programs"),
    .enabled(if: getenv("PGHA_MEASURE") != nil, "set PGHA_MEASURE=1 to measure"))
struct SpeedTests {
    /// Prints median and worst of `count` runs, in milliseconds.
    private func measure(_ label: String, _ count: Int, _ body: () async throws -> Void) async rethrows {
        var times: [Double] = []
        for _ in 0..<count {
            let began = ContinuousClock.now
            try await body()
            times.append((ContinuousClock.now - began).inSeconds * 1000)
        }
        times.sort()
        print("\(label): median \(times[times.count / 2]) ms, worst \(times[times.count - 1]) ms")
    }

    @Test func sessionsAndProbes() async throws {
        for method in ["trust", "scram-sha-256"] {
            var options = ScratchPostgres.Options()
            options.authentication = method
            let cluster = try await ScratchCluster.start(standbys: 1, options: options)
            for tcp in [false, true] {
                let parameters = cluster.primary.parameters(user: "pgha", password: "control", tcp: tcp)
                try await self.measure("new session and query, \(method), \(tcp ? "TCP" : "socket")", 100) {
                    let session = try await PostgresConnection.open(parameters)
                    try await session.query("SELECT 1")
                    await session.close()
                }
            }
            let session = try await PostgresConnection.open(cluster.primary.parameters(tcp: true))
            try await self.measure("query", 500) { try await session.query("SELECT 1") }
            for server in [cluster.primary, cluster.standbys[0]] {
                let probe = ServerProbe(server.parameters(user: "pgha", password: "control", tcp: true))
                _ = await probe.observe(timeout: .seconds(2))
                try await self.measure("observe", 300) { _ = try await probe.observe(timeout: .seconds(2)).get() }
            }
        }
    }

    @Test func sealsAndPromotions() async throws {
        var seals: [Double] = []
        var promotions: [Double] = []
        for _ in 0..<8 {
            let cluster = try await ScratchCluster.start(standbys: 1)
            try await cluster.primary.query("INSERT INTO rows VALUES (1)")
            let b = control(cluster.standbys[0], "b")
            #expect(await b.execute(.readPosition(pledge(1))).sealed == nil)
            cluster.primary.signalPostmaster(SIGKILL)
            var began = ContinuousClock.now
            #expect(await b.execute(.seal(pledge(2))).sealed != nil)
            seals.append((ContinuousClock.now - began).inSeconds * 1000)
            began = ContinuousClock.now
            #expect(await b.execute(.promote(pledge(2))).promoted != nil)
            promotions.append((ContinuousClock.now - began).inSeconds * 1000)
        }
        print("seal: median \(seals.sorted()[4]) ms of \(seals.sorted())")
        print("promote: median \(promotions.sorted()[4]) ms of \(promotions.sorted())")
    }
}
