package import PGHAClient
import PGHACore

/// `pgha status --watch` on a terminal: the status, the steps of the procedure that runs or ran last, and how the lag
/// went. Drawn in place, so no line is wider than the terminal.
package enum WatchView {
    /// A quarter of an hour, as the controller takes them.
    package static let samples = 180
    /// Beyond that a line of bars says no more.
    private static let widest = 60
    /// Below that it says nothing.
    private static let narrowest = 10
    /// What less lag than this is, is noise, and is drawn so. Bytes.
    private static let leastTop: UInt64 = 1 << 20

    package static func lines(_ report: WatchReport, _ samples: [LagSample], columns: Int) -> [Line] {
        StatusView.lines(report.status, columns: columns, also: self.steps(report))
            + self.lag(report.status, samples, columns: columns)
    }

    /// `sealing 25 ms, promoting 1.20 s …`; without a procedure under way the last one's, faintly.
    private static func steps(_ report: WatchReport) -> (String, [Styled])? {
        guard !report.procedure.isEmpty else { return nil }
        let runs = report.procedure.last?.milliseconds == nil
        var pieces: [Styled] = []
        for step in report.procedure {
            if !pieces.isEmpty { pieces.append(Styled(", ", .faint)) }
            let name = step.phase.replacing("_", with: " ")
            if let milliseconds = step.milliseconds {
                pieces.append(Styled("\(name) \(HumanUnits.took(.milliseconds(milliseconds)))", runs ? .good : .faint))
            } else {
                let age = HumanUnits.age(.milliseconds(report.phaseMilliseconds))
                pieces.append(Styled("\(name) for \(age) …", .warning))
            }
        }
        return (runs ? "steps" : "last steps", pieces)
    }

    private static func lag(_ status: StatusReport, _ samples: [LagSample], columns: Int) -> [Line] {
        let followers = status.nodes.filter { $0.name != status.leader }
        let missing = [UInt64?](repeating: nil, count: max(0, self.samples - samples.count))
        let plots = followers.map { node in
            (name: node.name, line: Sparkline(missing + samples.suffix(self.samples).map { $0.lag[node.name] }))
        }
        guard plots.contains(where: { $0.line.greatest != nil }) else { return [] }
        let names = max(4, plots.map(\.name.count).max() ?? 0)
        // Two gaps of two columns, and a column such as "1023 KiB".
        let width = min(self.widest, columns - names - 4 - 8)
        guard width >= self.narrowest else { return [] }
        var table = TextTable([("NODE", .left), ("LAG, LAST 15 MIN", .left), ("HIGHEST", .right)])
        table.rows = plots.map { name, line in
            let most = line.greatest
            let isMuch = most.map { $0 >= StatusView.muchLag } ?? false
            return [
                Styled(name), Styled(line.text(columns: width, top: max(most ?? 0, self.leastTop))),
                Styled(most.map(HumanUnits.bytes) ?? "unknown", isMuch ? .warning : .plain),
            ]
        }
        return [""] + table.lines
    }
}
