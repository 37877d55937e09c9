import ArgumentParser
import Foundation
import Glibc
import PGHAChecker
import PGHAClient
import PGHACore
import PGHATesting

/// Random real faults under load, and a judge: `make chaos MINUTES=30 SEED=1`.
@main
struct Chaos: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pgha-chaos",
        abstract: "Do random faults to a real cluster under load, and check that it kept its promises.")

    @Option(help: "For how long.")
    var minutes = 30.0

    @Option(help: "Chooses the faults. The servers' own timing is not the seed's.")
    var seed: UInt64 = 1

    @Option(help: "Seconds of faults between two judgements.")
    var round = 60

    @Option(help: "Where the operations of a round with an anomaly and the processes' logs go.")
    var output = ".build/chaos"

    func run() async throws {
        if let reason = ScratchCluster.unavailable ?? ScratchNetwork.unavailable { throw ValidationError(reason) }
        var random = SeededGenerator(seed: self.seed)
        let began = ContinuousClock.now
        var options = ScratchCluster.Options()
        options.separateHosts = true
        options.access = ScratchCluster.insideAccess
        options.timings.failoverInterval = .seconds(1)
        let cluster = try await ScratchCluster.start(options)
        defer { cluster.tearDown() }
        try cluster.startPooler()
        var total = Tally()
        var number = 0
        do {
            while (ContinuousClock.now - began).inSeconds < self.minutes * 60, total.anomalies == 0 {
                number += 1
                let tally = try await self.playRound(number, cluster, using: &random)
                say("round \(number): \(tally.description)")
                total.add(tally)
            }
        } catch {
            cluster.copyLogs(to: "\(self.output)/seed-\(self.seed)")
            say("round \(number) did not end: \(error)")
            throw ExitCode(2)
        }
        let length = ContinuousClock.now - began
        say("seed \(self.seed), \(Int(length.inSeconds / 60)) min, \(number) rounds: \(total.description)")
        if total.anomalies > 0 {
            cluster.copyLogs(to: "\(self.output)/seed-\(self.seed)")
            throw ExitCode(1)
        }
    }

    private func playRound(
        _ number: Int, _ cluster: ScratchCluster, using random: inout SeededGenerator
    ) async throws -> Tally {
        let workload = Workload(cluster, round: number)
        try await workload.makeTables()
        workload.start()
        var faults = Faults(cluster)
        var done = 0
        let end = ContinuousClock.now + .seconds(self.round)
        while ContinuousClock.now < end {
            try await Self.playFault(&faults, number, using: &random)
            done += 1
        }
        let healed = ContinuousClock.now
        let status = try await cluster.waitUntilComplete(timeout: .seconds(180))
        let recovery = ContinuousClock.now - healed
        await workload.stop()
        let history = try await workload.history()
        let found = Checker.check(history)
        let anomalies = found.filter { !$0.isPostgreSQLs }
        for anomaly in found.prefix(50) { say("  \(anomaly.isPostgreSQLs ? "note" : "ANOMALY") \(anomaly)") }
        if !anomalies.isEmpty { try self.keep(history, anomalies, round: number) }
        var tally = Tally(history, faults: done, anomalies: anomalies.count, recovery: recovery, term: status.term)
        tally.dirtyReads = found.count - anomalies.count
        return tally
    }

    /// One fault, or a second one while the first lasts; then a pause that may be too short for recovery.
    private static func playFault(
        _ faults: inout Faults, _ round: Int, using random: inout SeededGenerator
    ) async throws {
        try await faults.cluster.wait(for: "a leader", timeout: .seconds(120)) { $0.leader != nil }
        for _ in 0...(Int.random(in: 0..<4, using: &random) == 0 ? 1 : 0) {
            guard let fault = Fault.allCases.randomElement(using: &random) else { return }
            let seconds = Double.random(in: 0.05...fault.longest, using: &random)
            say("  \(Self.time) round \(round): \(fault.rawValue), \(Int(seconds * 1000)) ms")
            // The controller may be gone by the first one.
            if (try? await faults.begin(fault, using: &random)) == nil { continue }
            try await Task.sleep(for: .seconds(seconds))
        }
        try await faults.heal(using: &random)
        if Int.random(in: 0..<3, using: &random) > 0 {
            try await faults.cluster.waitUntilComplete(timeout: .seconds(180))
        } else {
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...4000, using: &random)))
        }
    }

    private static var time: String { Date().formatted(.iso8601.time(includingFractionalSeconds: true)) }

    private func keep(_ history: History, _ anomalies: [Anomaly], round: Int) throws {
        try FileManager.default.createDirectory(atPath: self.output, withIntermediateDirectories: true)
        let base = "\(self.output)/seed-\(self.seed)-round-\(round)"
        try JSONEncoder().encode(history).write(to: URL(filePath: base + "-history.json"))
        try JSONEncoder().encode(anomalies).write(to: URL(filePath: base + "-anomalies.json"))
        say("  kept in \(base)-history.json")
    }
}

/// Prints at once, into a file too.
private func say(_ line: String) {
    print(line)
    fflush(nil)
}

/// What a round, or all of them, came to.
struct Tally {
    var acknowledged = 0
    var read = 0
    var refused = 0
    var unknown = 0
    var faults = 0
    var anomalies = 0
    /// See ``Anomaly/isPostgreSQLs``.
    var dirtyReads = 0
    /// Longest time without an acknowledged write.
    var longestGap = Duration.zero
    /// From the last fault's end to a complete cluster.
    var recovery = Duration.zero
    var term: UInt64 = 0

    init() {}

    init(_ history: History, faults: Int, anomalies: Int, recovery: Duration, term: UInt64) {
        for operation in history.operations {
            switch (operation.action.isWrite, operation.outcome) {
            case (true, .ok): self.acknowledged += 1
            case (false, _): self.read += 1
            case (true, .failed): self.refused += 1
            case (true, .unknown): self.unknown += 1
            }
        }
        let ends = history.operations.filter { $0.action.isWrite && $0.outcome == .ok }.map(\.end).sorted()
        self.longestGap = .nanoseconds(zip(ends, ends.dropFirst()).map { $1 - $0 }.max() ?? 0)
        self.faults = faults
        self.anomalies = anomalies
        self.recovery = recovery
        self.term = term
    }

    mutating func add(_ other: Tally) {
        self.acknowledged += other.acknowledged
        self.read += other.read
        self.refused += other.refused
        self.unknown += other.unknown
        self.faults += other.faults
        self.anomalies += other.anomalies
        self.dirtyReads += other.dirtyReads
        self.longestGap = max(self.longestGap, other.longestGap)
        self.recovery = max(self.recovery, other.recovery)
        self.term = other.term
    }

    var description: String {
        "\(self.faults) faults, term \(self.term), \(self.acknowledged) writes acknowledged, \(self.refused) refused, "
            + "\(self.unknown) of unknown outcome, \(self.read) reads, longest gap \(self.longestGap), "
            + "complete after at most \(self.recovery), \(self.dirtyReads) dirty reads: \(self.anomalies) anomalies"
    }
}
