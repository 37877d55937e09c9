import Foundation

/// Gaps of one kind of fault, in milliseconds.
struct Series: Codable {
    var gaps: [Double] = []
    /// Acknowledged ids missing on the next leader; more changes of the acknowledging server than faults; …
    var anomalies: [String] = []

    var median: Double {
        let sorted = self.gaps.sorted()
        guard !sorted.isEmpty else { return .nan }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}

struct Report: Codable {
    var machine: String
    var loadAtEnd = ""
    var series: [String: Series] = [:]
    var order: [String] = []
    var cost: [SteadyState.Cost] = []
    var busy: BusyMachine.Outcome?

    init(machine: String) { self.machine = machine }

    mutating func add(_ name: String, _ series: Series) {
        if self.series[name] == nil { self.order.append(name) }
        self.series[name, default: Series()].gaps += series.gaps
        self.series[name]?.anomalies += series.anomalies
        self.loadAtEnd = Machine.load()
        print("\(name): \(series.gaps.map { String(format: "%.0f", $0) }.joined(separator: " ")) ms")
        for anomaly in series.anomalies { print("ANOMALY \(name): \(anomaly)") }
    }

    var anomalies: [String] {
        var found = self.series.values.flatMap(\.anomalies)
        if let busy = self.busy, busy.failovers > 0 || busy.lostCommits > 0 { found.append("a busy machine") }
        return found
    }

    var table: String {
        let plain = self.series["plain SQL failover"]?.median
        var lines = [
            "machine: \(self.machine) at the start, \(self.loadAtEnd) at the end", "",
            "| what | runs | median ms | min–max ms | ratio to plain SQL | anomalies |", "|---|---|---|---|---|---|",
        ]
        for name in self.order {
            guard let series = self.series[name] else { continue }
            let ratio = plain.map { String(format: "%.2f", series.median / $0) } ?? "–"
            lines.append(
                String(
                    format: "| %@ | %d | %.0f | %.0f–%.0f | %@ | %d |", name, series.gaps.count, series.median,
                    series.gaps.min() ?? .nan, series.gaps.max() ?? .nan, ratio, series.anomalies.count))
        }
        if !self.cost.isEmpty {
            lines += ["", "| process | CPU % of one core | RSS MiB |", "|---|---|---|"]
            for cost in self.cost {
                lines.append(String(format: "| %@ | %.2f | %.1f |", cost.process, cost.cpuPercent, cost.rssMiB))
            }
        }
        if let busy = self.busy {
            lines += [
                "",
                "\(busy.minutes) minutes beside \(busy.busyProcesses) busy processes, median load \(busy.medianLoad): "
                    + "\(busy.failovers) failovers, \(busy.commits) commits acknowledged, \(busy.lostCommits) of them lost",
            ]
        }
        return lines.joined(separator: "\n")
    }

    func write(to directory: String) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(self).write(to: URL(fileURLWithPath: "\(directory)/failover.json"))
        try Data((self.table + "\n").utf8).write(to: URL(fileURLWithPath: "\(directory)/failover.md"))
        print("written: \(directory)/failover.md, \(directory)/failover.json")
    }
}
