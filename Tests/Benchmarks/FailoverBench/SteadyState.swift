import Foundation
import PGHATesting

/// CPU time and memory of controller and agents while nothing happens.
enum SteadyState {
    struct Cost: Codable {
        var process: String
        var cpuPercent: Double
        var rssMiB: Double
    }

    static func measure(seconds: Int) async throws -> [Cost] {
        let cluster = try await ScratchCluster.start()
        defer { cluster.tearDown() }
        var pids: [(String, Int32)] = []
        if let pid = cluster.controllerPID { pids.append(("controller", pid)) }
        for node in cluster.nodes { if let pid = cluster.agentPID(node) { pids.append(("agent \(node.name)", pid)) } }
        try await Task.sleep(for: .seconds(3))
        let before = pids.map { Self.cpuSeconds($0.1) }
        try await Task.sleep(for: .seconds(seconds))
        return zip(pids, before).map { pid, before in
            Cost(
                process: pid.0, cpuPercent: (Self.cpuSeconds(pid.1) - before) / Double(seconds) * 100,
                rssMiB: Self.rssMiB(pid.1))
        }
    }

    /// User and system time. Source: proc(5), /proc/pid/stat fields 14 and 15, in ticks of 10 ms.
    private static func cpuSeconds(_ pid: Int32) -> Double {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let close = text.lastIndex(of: ")")
        else { return .nan }
        let fields = text[text.index(after: close)...].split(separator: " ")
        return ((Double(fields[11]) ?? .nan) + (Double(fields[12]) ?? .nan)) / 100
    }

    private static func rssMiB(_ pid: Int32) -> Double {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return line.flatMap { $0.split(separator: " ").dropFirst().first }.flatMap { Double($0) }.map { $0 / 1024 }
            ?? .nan
    }
}
