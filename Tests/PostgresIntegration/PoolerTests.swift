import Glibc
import PGHAClient
import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting
import Testing

/// A pooler in this process that follows a cluster's controller as `pgha pooler` does.
final class FollowingPooler: Sendable {
    let pooler: Pooler
    private let tasks: [Task<Void, Never>]
    var port: Int { Int(self.pooler.ports[0]) }

    init(
        _ cluster: ScratchCluster, poolSize: Int = 20, _ change: (inout PoolerConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = PoolerConfiguration()
        configuration.listeners = [.init(host: "127.0.0.1", port: 0)]
        configuration.authentication.rules = .trust
        configuration.limits.poolSize = poolSize
        change(&configuration)
        let pooler = try Pooler(configuration)
        self.pooler = pooler
        let client = cluster.client
        self.tasks = [
            Task {
                while !Task.isCancelled {
                    try? await client.followTopology(pooler: "test") { report in
                        if let topology = report.poolTopology { pooler.apply(topology) }
                    }
                    try? await Task.sleep(for: .milliseconds(50))
                }
            },
            Task {
                for await claim in pooler.drained { try? await client.reportDrained(pooler: "test", claim: claim) }
            },
        ]
    }

    func stop() {
        for task in self.tasks { task.cancel() }
        self.pooler.stop()
    }

    func connect() async throws -> PostgresConnection {
        try await PostgresConnection.open(
            ConnectionParameters(
                host: "127.0.0.1", port: self.port, user: ScratchCluster.user, password: Secret(ScratchCluster.user),
                applicationName: "pooled"))
    }
}

extension RealClusters {
    @Suite struct PoolerTests {
        static var options: ScratchCluster.Options {
            var options = ScratchCluster.Options()
            options.access = [
                AccessRule(type: "host", database: "all", user: "all", address: "127.0.0.1/32", method: "trust")
            ]
            return options
        }

        private func withPooler(
            poolSize: Int = 20, _ body: (ScratchCluster, FollowingPooler) async throws -> Void
        ) async throws {
            try await RealClusters.withCluster(Self.options) { cluster in
                let pooler = try FollowingPooler(cluster, poolSize: poolSize)
                defer { pooler.stop() }
                try await body(cluster, pooler)
            }
        }

        private static func environment(_ name: String) -> Int? { getenv(name).flatMap { Int(String(cString: $0)) } }

        /// `PGHA_SWITCHOVERS` for more than a few.
        @Test func switchoversUnderLoadAreNoErrors() async throws {
            let count = Self.environment("PGHA_SWITCHOVERS") ?? 2
            try await self.withPooler { cluster, pooler in
                let leader = try await cluster.leader()
                let fill = try PgbenchRun(
                    port: leader.port, user: ScratchCluster.user, password: ScratchCluster.user,
                    ["-i", "-q", "-s", "20"])
                #expect(try await fill.finish().exitStatus == 0)
                let load = try PgbenchRun(
                    port: pooler.port, user: ScratchCluster.user, password: ScratchCluster.user,
                    ["-c", "32", "-j", "2", "-T", "\(count * 15 + 30)", "-l"])
                try await Task.sleep(for: .seconds(3))
                var moments: [(asked: Double, took: Double)] = []
                for _ in 0..<count {
                    let term = try await cluster.waitUntilComplete().term
                    try await Task.sleep(for: .milliseconds(500))
                    let asked = Self.wallClock
                    try await cluster.switchover()
                    try await cluster.wait(for: "the new term") { $0.term > term && $0.phase == "steady" }
                    moments.append((asked, Self.wallClock - asked))
                }
                try await Task.sleep(for: .seconds(1))
                load.interrupt()
                let result = try await load.finish()
                Self.report(result, moments)
                #expect(!result.output.contains("aborted"), "\(result.output.suffix(2000))")
                #expect(!result.output.contains("error"), "\(result.output.suffix(2000))")
            }
        }

        private static var wallClock: Double {
            var now = timespec()
            clock_gettime(CLOCK_REALTIME, &now)
            return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
        }

        private static func report(_ result: PgbenchRun.Result, _ moments: [(asked: Double, took: Double)]) {
            let usual = result.slowest.map(\.milliseconds)
            print(
                "pgbench: \(result.transactions) transactions, median \(usual[usual.count / 2]) ms, gap \(result.longestGap) ms"
            )
            var stalls: [Double] = []
            for moment in moments {
                let during = result.slowest.filter {
                    $0.endedAt > moment.asked && $0.endedAt - $0.milliseconds / 1000 < moment.asked + moment.took + 0.2
                }
                stalls.append(during.map(\.milliseconds).max() ?? 0)
            }
            print(
                "switchovers took \(moments.map { Int($0.took * 1000) }) ms; longest transactions \(stalls.map { Int($0) }) ms"
            )
            let sorted = stalls.sorted()
            print("median \(Int(sorted[sorted.count / 2])) ms, worst \(Int(sorted.last ?? 0)) ms of \(sorted.count)")
        }

        /// One client whose session sees the death of the primary only between its transactions, one inside of one.
        @Test func theDeathOfThePrimaryIsNoErrorBetweenTransactions() async throws {
            try await self.withPooler { cluster, pooler in
                let between = try await pooler.connect()
                let inside = try await pooler.connect()
                _ = try await between.query("SELECT 1")
                _ = try await inside.query("BEGIN")
                _ = try await inside.query("INSERT INTO ids VALUES (-1, 'x')")
                let leader = try await cluster.leader()
                let processes = cluster.serverPIDs(leader)
                let killed = ContinuousClock.now
                cluster.killPostmaster(leader)
                // Its backends notice by themselves; one that has not yet would still begin a transaction.
                for pid in processes { waitUntilGone(pid) }
                let began = ContinuousClock.now
                var longest = Duration.zero
                for id in 1...2000 where ContinuousClock.now - began < .seconds(5) {
                    let sent = ContinuousClock.now
                    _ = try await between.query("BEGIN")
                    _ = try await between.query("INSERT INTO ids VALUES ($1::bigint, 'x')", ["\(id)"])
                    _ = try await between.query("COMMIT")
                    longest = max(longest, ContinuousClock.now - (id == 1 ? killed : sent))
                }
                print("failover seen between transactions: \(longest)")
                await #expect(throws: (any Error).self) { try await inside.query("SELECT 1") }
                _ = try await inside.query("ROLLBACK")
                let rows = try await inside.query("SELECT count(*)::text AS n FROM ids WHERE id = -1")
                #expect(try rows[0].string("n") == "0")
            }
        }
    }
}
