import PGHAClient
import PGHACore
import PGHAPostgres
import PGHATesting
import Synchronization
import Testing

/// Three servers as somebody else made them: the first is the primary.
struct ForeignServers {
    let all: [ScratchPostgres]
    let names = ["a", "b", "c"].compactMap { NodeName($0) }

    static func start(
        settings: [String: String] = [:], options: ScratchPostgres.Options = .init()
    ) async throws -> ForeignServers {
        var options = options
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

    /// `agents`: their addresses, by node.
    func spec(in controller: ScratchController, agents: [NodeName: String] = [:]) throws -> String {
        let nodes = zip(self.names, self.all).map { name, server in
            "  - name: \(name)\n    host: 127.0.0.1\n    port: \(server.port)\n"
                + (agents[name].map { "    agent: \($0)\n" } ?? "")
        }
        return try controller.write("spec.yaml", "cluster: adopted\nnodes:\n" + nodes.joined())
    }

    func adopt(by controller: ScratchController) async throws {
        let superuser = try controller.write(
            "superuser", "user=\(ScratchPostgres.superuser) password='\(ScratchPostgres.superuserPassword)'\n")
        try await controller.pgha(
            "init", "--adopt", "-f", self.spec(in: controller), "--superuser-file", superuser, "--passfile",
            controller.passfile)
    }

    /// An agent beside each server, for its data directory.
    func startAgents(by controller: ScratchController) async throws -> [NodeName: String] {
        var result: [NodeName: String] = [:]
        for (name, server) in zip(self.names, self.all) {
            result[name] = try await controller.startAgent(name, data: server.dataDirectory)
        }
        return result
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
final class ForeignWriters: Sendable {
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
        let deadline = ContinuousClock.now + .seconds(60)
        while self.acks.withLock({ $0.count }) < count + 20 {
            guard ContinuousClock.now < deadline else { throw ScratchFailure("no insert was acknowledged") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    func firstAck(after moment: ContinuousClock.Instant, notBy server: Int) async throws -> Ack {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if let ack = self.acks.withLock({ $0.first { $0.at > moment && $0.server != server } }) { return ack }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw ScratchFailure("no insert was acknowledged by another server")
    }
}
