package import PGHAClient
import PGHACore

/// `pgha failover --dry-run`.
package enum PlanView {
    package static func lines(_ plan: FailoverPlan) -> [Line] {
        var lines: [Line]
        if let winner = plan.winner {
            lines = [
                [Styled(winner, .strong), " would lead term \(plan.term)\(plan.leader.map { " after \($0)" } ?? "")"]
            ]
        } else {
            lines = [[Styled("nobody would be promoted", .bad)]]
        }
        if let obstacle = plan.obstacle { lines.append(["it would wait: ", Styled(obstacle, .warning)]) }
        lines.append(["at risk      \(plan.bytesAtRisk.map { "\($0) bytes" } ?? "unknown")"])
        lines.append(["expected     \(plan.expectedMilliseconds.map { "\($0) ms" } ?? "unknown")"])
        return lines + [""] + self.table(plan).lines + ["", [Styled("Nothing was changed.", .faint)]]
    }

    private static func table(_ plan: FailoverPlan) -> TextTable {
        var table = TextTable([
            ("NODE", .left), ("SYNC", .left), ("PRIORITY", .right), ("TL", .right), ("LSN", .left),
            ("BEHIND", .right), ("VERDICT", .left),
        ])
        table.rows = plan.candidates.map { candidate in
            [
                Styled(candidate.name, candidate.name == plan.winner ? .strong : .plain), Styled(candidate.sync),
                Styled("\(candidate.priority)"), Styled(candidate.timeline.map(String.init) ?? "-"),
                Styled(candidate.lsn ?? "-"), Styled(candidate.behindBytes.map(HumanUnits.bytes) ?? "unknown"),
                candidate.name == plan.winner
                    ? Styled("would win", .good) : Styled(candidate.reason ?? "would not be chosen"),
            ]
        }
        return table
    }
}

/// `pgha history`.
package enum HistoryView {
    /// `offset` of the reader's time zone from UTC. Seconds.
    package static func lines(_ report: HistoryReport, offset: Int) -> [Line] {
        guard !report.entries.isEmpty else { return ["Nothing has happened yet."] }
        var table = TextTable([
            ("WHEN", .left), ("WHAT", .left), ("TERM", .right), ("LEADER", .left), ("TOOK", .right), ("DETAIL", .left),
        ])
        table.rows = report.entries.map { entry in
            [
                Styled(HumanUnits.wallClock(unixMicroseconds: entry.unixMicroseconds, offset: offset)),
                Styled(entry.kind, entry.kind == "forced" ? .warning : .plain), Styled("\(entry.term)"),
                Styled(entry.leader ?? "-"),
                Styled(entry.milliseconds.map { HumanUnits.took(.milliseconds($0)) } ?? "-"), Styled(entry.detail),
            ]
        }
        return table.lines
    }
}

/// `pgha node list`.
package enum NodesView {
    package static func lines(_ report: NodesReport) -> [Line] {
        var table = TextTable([
            ("NODE", .left), ("ADDRESS", .left), ("PRIORITY", .right), ("ZONE", .left), ("FLAGS", .left),
            ("AGENT", .left),
        ])
        table.rows = report.nodes.map { node in
            let flags = [
                node.nofailover == true ? "nofailover" : nil, node.nosync == true ? "nosync" : nil,
                node.noread == true ? "noread" : nil,
            ].compactMap { $0 }
            return [
                Styled(node.name, .strong), Styled("\(node.host):\(node.port)"), Styled("\(node.priority ?? 100)"),
                Styled(node.zone ?? "-"), Styled(flags.isEmpty ? "-" : flags.joined(separator: ",")),
                Styled(node.agent ?? "none"),
            ]
        }
        return table.lines
    }
}
