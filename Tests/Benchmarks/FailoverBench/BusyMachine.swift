import PGHAClient
import PGHACore
import PGHATesting

/// Nothing fails, but other processes want every core: how often does the leader change without need?
enum BusyMachine {
    struct Outcome: Codable {
        var minutes: Int
        var busyProcesses: Int
        /// The one-minute load, looked at every ten seconds.
        var medianLoad: Double
        /// Should be 0.
        var failovers: UInt64
        var lostCommits: Int
        var commits: Int
    }

    static func measure(minutes: Int, processes: Int) async throws -> Outcome {
        let cluster = try await ScratchCluster.start()
        defer { cluster.tearDown() }
        let recorder = AckRecorder(cluster)
        recorder.start()
        let before = try await cluster.client.status().term
        let length = Duration.seconds(minutes * 60)
        let loops = try (0..<processes).map { _ in try BusyLoop(atMost: length + .seconds(120)) }
        defer { for loop in loops { loop.end() } }
        var loads: [Double] = []
        let end = ContinuousClock.now + length
        while ContinuousClock.now < end {
            try await Task.sleep(for: .seconds(10))
            loads.append(Double(Machine.load().prefix { $0 != " " }) ?? .nan)
        }
        let after = try await cluster.client.status().term
        await recorder.stop()
        let lost = try await recorder.lost(on: cluster.leader())
        return Outcome(
            minutes: minutes, busyProcesses: processes, medianLoad: loads.sorted()[loads.count / 2],
            failovers: after - before, lostCommits: lost.count, commits: recorder.all.count)
    }
}
