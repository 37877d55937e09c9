import PGHAClient
import PGHACore
import PGHAPostgres
import PGHATesting
import Synchronization
import Testing

/// Servers that pgha did not make and that have no agent.
@Suite(.serialized, .enabled(if: ScratchCluster.unavailable == nil, "PostgreSQL and the built pgha are needed"))
struct AdoptionTests {
    @Test func runningServersAreTakenOverUnderLoadAndFailOverWithoutAgents() async throws {
        let servers = try await ForeignServers.start()
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        try await controller.start()
        let starts = try await servers.startTimes()
        let writers = ForeignWriters(servers)
        try await writers.waitForMore()
        try await servers.adopt(by: controller)
        try await controller.wait(for: "a complete cluster") { $0.phase == "steady" && $0.cohort.count == 3 }
        try await writers.waitForMore()
        print("adopted: longest pause \(writers.longestPause)")
        #expect(try await servers.startTimes() == starts)

        let killed = ContinuousClock.now
        servers.all[0].kill()
        let first = try await writers.firstAck(after: killed, notBy: 0)
        print("primary killed: first commit after \(first.at - killed)")
        let status = try await controller.wait(for: "a steady cluster") { $0.phase == "steady" && $0.term == 2 }
        await writers.stop()
        #expect(status.leader == servers.names[first.server].text)
        #expect(try await servers.lost(writers.acknowledged, on: first.server) == [])
    }

    @Test func whatStandsInTheWayIsListedAndNothingIsChanged() async throws {
        let servers = try await ForeignServers.start(settings: ["max_replication_slots": "1", "full_page_writes": "off"])
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        try await controller.start()
        let refusal = await #expect(throws: ScratchFailure.self) { try await servers.adopt(by: controller) }
        let words = refusal?.description ?? ""
        #expect(words.contains("6 things stand in the way"))
        #expect(words.contains("a: max_replication_slots is 1: 2 are needed [restart]"))
        #expect(words.contains("c: full_page_writes is off"))
        #expect(try await controller.client.status().phase == "none")
        try await servers.expectUntouched()
    }

    @Test func standbysThatCouldNotFollowAreFoundBeforeThePrimaryIsFenced() async throws {
        let servers = try await ForeignServers.start()
        // The roles may connect, but not replicate.
        try servers.all[0].write(
            "pg_hba.conf", "host replication pgha_replica all reject\nlocal all all trust\nhost all all all trust\n"
                + "host replication all all trust\n")
        try await servers.all[0].query("SELECT pg_reload_conf()")
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        try await controller.start()
        let refusal = await #expect(throws: ScratchFailure.self) { try await servers.adopt(by: controller) }
        #expect(refusal?.description.contains("b cannot follow a") == true)
        try await servers.expectUntouched()
    }

    @Test func aLostStoreIsMadeAgainFromTheServers() async throws {
        let servers = try await ForeignServers.start()
        let controller = try await ScratchController()
        defer { controller.tearDown() }
        try await controller.start()
        try await servers.adopt(by: controller)
        try await controller.wait(for: "a complete cluster") { $0.phase == "steady" && $0.cohort.count == 3 }
        servers.all[0].kill()
        let before = try await controller.wait(for: "another leader") { $0.term == 2 && $0.phase == "steady" }
        let leader = try #require(servers.names.firstIndex { $0.text == before.leader })
        controller.kill()

        try await controller.start(store: "another.db")
        let writers = ForeignWriters(servers)
        let refusal = await #expect(throws: ScratchFailure.self) { try await servers.adopt(by: controller) }
        #expect(refusal?.description.contains("a controller of pgha leads it") == true)
        try await controller.pgha("store", "adopt", "-f", servers.spec(in: controller), "--no-wait")
        let after = try await controller.wait(for: "the leader to lead again") {
            $0.leader == before.leader && $0.phase == "steady"
        }
        #expect(after.term == before.term + 1)
        try await writers.waitForMore()
        await writers.stop()
        #expect(try await servers.lost(writers.acknowledged, on: leader) == [])
    }
}

/// Three servers as somebody else made them: the first is the primary.
private struct ForeignServers {
    let all: [ScratchPostgres]
    let names = ["a", "b", "c"].compactMap { NodeName($0) }

    static func start(settings: [String: String] = [:]) async throws -> ForeignServers {
        var options = ScratchPostgres.Options()
        options.authentication = "scram-sha-256"
        let primary = try await ScratchPostgres.start(options)
        try await primary.query("CREATE TABLE ids (id bigint PRIMARY KEY)")
        var all = [primary]
        for name in ["first", "second"] {
            all.append(try await ScratchPostgres.standby(of: primary, name: name, settings: settings))
        }
        try await primary.wait(until: "(SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming') = 2")
        if !settings.isEmpty {
            // After the copies were made, which need slots of their own for a moment.
            for (name, value) in settings { try await primary.query("ALTER SYSTEM SET \(name) = '\(value)'") }
            try await primary.stop()
            try await primary.launch()
            try await primary.wait(until: "(SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming') = 2")
        }
        return ForeignServers(all: all)
    }

    func spec(in controller: ScratchController) throws -> String {
        let nodes = zip(self.names, self.all).map { "  - name: \($0)\n    host: 127.0.0.1\n    port: \($1.port)\n" }
        return try controller.write("spec.yaml", "cluster: adopted\nnodes:\n" + nodes.joined())
    }

    func adopt(by controller: ScratchController) async throws {
        let superuser = try controller.write(
            "superuser", "user=\(ScratchPostgres.superuser) password='\(ScratchPostgres.superuserPassword)'\n")
        try await controller.pgha(
            "init", "--adopt", "-f", self.spec(in: controller), "--superuser-file", superuser, "--passfile",
            controller.passfile)
    }

    func startTimes() async throws -> [String] {
        var times: [String] = []
        for server in self.all {
            times.append(try await server.query("SELECT pg_postmaster_start_time() AS at")[0].string("at"))
        }
        return times
    }

    /// No pledge, no fence, and the standbys stream under their own names.
    func expectUntouched() async throws {
        for server in self.all {
            let row = try await server.query(
                "SELECT coalesce(current_setting('pgha.term', true), '') || current_setting('synchronous_standby_names')"
                    + " AS changed")[0]
            #expect(try row.string("changed") == "")
        }
        try await self.all[0].wait(
            until: "(SELECT count(*) FROM pg_stat_replication WHERE application_name IN ('first', 'second')"
                + " AND usename = 'postgres' AND state = 'streaming') = 2")
    }

    func lost(_ acknowledged: [Int64], on server: Int) async throws -> [Int64] {
        let present = Set(try await self.all[server].query("SELECT id FROM ids").map { try $0.int64("id") })
        return acknowledged.filter { !present.contains($0) }
    }
}

/// Inserts increasing ids on whichever server is a primary.
private final class ForeignWriters: Sendable {
    struct Ack: Sendable {
        let id: Int64
        let server: Int
        let at: ContinuousClock.Instant
    }

    private let acks = Mutex<[Ack]>([])
    private let next = Atomic<Int64>(1)
    private let tasks = Mutex<[Task<Void, Never>]>([])

    init(_ servers: ForeignServers) {
        self.tasks.withLock { tasks in
            tasks = servers.all.enumerated().map { index, server in
                Task { [weak self] in
                    while !Task.isCancelled {
                        await self?.write(index, server)
                        try? await Task.sleep(for: .milliseconds(5))
                    }
                }
            }
        }
    }

    private func write(_ index: Int, _ server: ScratchPostgres) async {
        guard let session = try? await server.connect() else { return }
        do {
            while !Task.isCancelled {
                if try await session.query("SELECT pg_is_in_recovery() AS r").first?.bool("r") != false { break }
                let id = self.next.wrappingAdd(1, ordering: .relaxed).oldValue
                try await session.query("INSERT INTO ids VALUES ($1::bigint)", ["\(id)"], timeout: .seconds(60))
                self.acks.withLock { $0.append(Ack(id: id, server: index, at: .now)) }
            }
        } catch {
            // The server went away: the caller connects again.
        }
        await session.close()
    }

    func stop() async {
        let tasks = self.tasks.withLock { $0 }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
    }

    var acknowledged: [Int64] { self.acks.withLock { $0.map(\.id) } }

    var longestPause: Duration {
        let times = self.acks.withLock { $0.map(\.at) }
        return zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? .zero
    }

    func waitForMore() async throws {
        let count = self.acks.withLock { $0.count }
        let deadline = ContinuousClock.now + .seconds(30)
        while self.acks.withLock({ $0.count }) < count + 20 {
            guard ContinuousClock.now < deadline else { throw ScratchFailure("no insert was acknowledged") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    func firstAck(after moment: ContinuousClock.Instant, notBy server: Int) async throws -> Ack {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            if let ack = self.acks.withLock({ $0.first { $0.at > moment && $0.server != server } }) { return ack }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw ScratchFailure("no insert was acknowledged by another server")
    }
}
