import ArgumentParser
import Foundation
import PGHACore
import PGHATesting

/// Measures failover and switchover on real clusters, and the same steps in plain SQL in the same run.
///
/// The machine is rarely quiet, so compare the ratio to plain SQL, which meets the same noise.
@main
struct FailoverBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pgha-bench", abstract: "Measure failover, switchover and steady-state cost on real servers.")

    @Option(help: "Kills of the primary's postmaster.")
    var kills = 20

    @Option(help: "Kills of every process of the primary's host.")
    var hostKills = 20

    @Option(help: "Freezes (SIGSTOP) of every process of the primary's host.")
    var freezes = 10

    @Option(help: "Cuts of the primary's host from the network. As root, in a namespace: unshare --net pgha-bench …")
    var cuts = 10

    @Option(help: "Planned switchovers.")
    var switchovers = 10

    @Option(help: "Runs of the same failover in plain SQL.")
    var plain = 10

    @Option(help: "Seconds over which the steady state is watched; 0 leaves it out.")
    var idleSeconds = 60

    @Option(help: "Minutes during which other processes keep every core busy and nothing fails; 0 leaves it out.")
    var busyMinutes = 30

    @Option(help: "How many such processes.")
    var busyProcesses = 12

    @Option(help: "Where the table and the JSON go.")
    var output = ".build/bench"

    func run() async throws {
        if let reason = ScratchCluster.unavailable { throw ValidationError(reason) }
        var report = Report(machine: Machine.describe())
        let half = self.plain / 2
        if half > 0 { report.add("plain SQL failover", try await PlainSQL.measure(half)) }
        if self.kills > 0 { report.add("postmaster killed", try await Faults.measure(.postmasterKilled, self.kills)) }
        if self.hostKills > 0 { report.add("host killed", try await Faults.measure(.hostKilled, self.hostKills)) }
        if self.freezes > 0 { report.add("host frozen", try await Faults.measure(.hostFrozen, self.freezes)) }
        if self.cuts > 0 {
            if let reason = ScratchNetwork.unavailable {
                print("host cut off: left out: \(reason)")
            } else {
                report.add("host cut off", try await Faults.measure(.hostCutOff, self.cuts))
            }
        }
        if self.switchovers > 0 { report.add("switchover", try await Faults.measure(.switchover, self.switchovers)) }
        if self.plain - half > 0 { report.add("plain SQL failover", try await PlainSQL.measure(self.plain - half)) }
        if self.idleSeconds > 0 { report.cost = try await SteadyState.measure(seconds: self.idleSeconds) }
        if self.busyMinutes > 0 {
            report.busy = try await BusyMachine.measure(minutes: self.busyMinutes, processes: self.busyProcesses)
        }
        print(report.table)
        try report.write(to: self.output)
        if !report.anomalies.isEmpty { throw ExitCode(1) }
    }
}

/// What this run is worth: the machine and how busy it was.
enum Machine {
    static func describe() -> String {
        let cpu = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n")
            .first { $0.hasPrefix("model name") }?.split(separator: ":").last?.trimmingCharacters(in: .whitespaces)
        return "\(ProcessInfo.processInfo.activeProcessorCount) cores (\(cpu ?? "unknown")), load \(Self.load())"
    }

    static func load() -> String {
        (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8))?.split(separator: " ").prefix(3)
            .joined(separator: " ") ?? "unknown"
    }
}
