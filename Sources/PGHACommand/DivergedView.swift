package import PGHAClient
import PGHACore

/// `pgha diverged`.
package enum DivergedView {
    /// `offset` of the reader's time zone from UTC. Seconds.
    package static func list(_ report: DivergedReport, offset: Int) -> [Line] {
        var lines = report.entries.isEmpty ? ["Nothing is kept."] : self.table(report.entries, offset: offset).lines
        if !report.unknown.isEmpty {
            lines += [""]
            lines += report.unknown.map { [Styled($0.node, .strong), "  unknown: ", Styled($0.reason, .warning)] }
        }
        return lines
    }

    package static func table(_ entries: [DivergedEntry], offset: Int) -> TextTable {
        var table = TextTable([
            ("NAME", .left), ("NODE", .left), ("SAVED", .left), ("TERM", .right), ("FROM", .left), ("TO", .left),
            ("WAL", .right), ("COMMITS", .right),
        ])
        table.rows = entries.map { entry in
            let saved = HumanUnits.wallClock(unixMicroseconds: entry.savedAt * 1_000_000, offset: offset)
            let start = [Styled(entry.name, .strong), Styled(entry.node), Styled(saved)]
            guard let summary = entry.summary else { return start + Array(repeating: "unknown", count: 5) }
            return start + [
                Styled("\(summary.term)"), Styled("\(summary.from)"), Styled("\(summary.to)"),
                Styled(HumanUnits.bytes(summary.bytes)),
                Styled(self.commits(summary), summary.commits > 0 ? .warning : .plain),
            ]
        }
        return table
    }

    private static func commits(_ summary: DivergedSummary) -> String {
        summary.complete ? "\(summary.commits)" : "≥ \(summary.commits)"
    }

    /// `pgha diverged show`.
    package static func details(_ entry: DivergedEntry, offset: Int) -> [Line] {
        guard let summary = entry.summary else {
            return self.aligned([("name", entry.name), ("kept", self.kept(entry))]) + [
                "", "There is no summary: the WAL of this server could not be read, or its summary cannot be.",
            ]
        }
        func time(_ microseconds: Int64) -> String {
            HumanUnits.wallClock(unixMicroseconds: microseconds, offset: offset)
        }
        let saved = time(entry.savedAt * 1_000_000)
        let size = HumanUnits.bytes(summary.bytes)
        var commits = self.commits(summary)
        if let first = summary.firstCommit, let last = summary.lastCommit {
            commits += ", from \(time(first)) to \(time(last))"
        }
        if summary.heartbeatCommits > 0 { commits += "; \(summary.heartbeatCommits) more of pgha's own" }
        var rows = [
            ("name", entry.name),
            ("saved", "\(saved), when \(entry.node) became a standby of \(summary.leader) in term \(summary.term)"),
            ("WAL", "\(summary.from) to \(summary.to), \(size), timeline \(summary.timeline)"), ("commits", commits),
            ("kept", self.kept(entry)),
        ]
        if !summary.complete { rows.append(("incomplete", "not all of the WAL could be read: these are lower bounds")) }
        return self.aligned(rows) + self.changes(summary) + self.transactions(summary, time: time)
            + self.others(summary) + self.programs(entry, summary)
    }

    private static func aligned(_ rows: [(String, String)]) -> [Line] {
        rows.map { Line([Styled($0.padded(to: 12), .faint), Styled($1)]) }
    }

    private static func kept(_ entry: DivergedEntry) -> String {
        "\(entry.path) on \(entry.node)'s host, \(HumanUnits.bytes(entry.diskBytes))"
    }

    private static func changes(_ summary: DivergedSummary) -> [Line] {
        guard let changes = summary.changes, !changes.isEmpty else { return [] }
        var table = TextTable([("RELATION", .left), ("INSERTED", .right), ("UPDATED", .right), ("DELETED", .right)])
        table.rows = changes.map { change in
            [Styled(change.relation, .strong)]
                + [change.inserted, change.updated, change.deleted].map { Styled($0 == 0 ? "-" : "\($0)") }
        }
        return [""] + table.lines
    }

    private static func transactions(_ summary: DivergedSummary, time: (Int64) -> String) -> [Line] {
        guard let transactions = summary.transactions, !transactions.isEmpty else { return [] }
        var table = TextTable([("XID", .right), ("COMMITTED", .left), ("ROWS", .left)])
        table.rows = transactions.map { transaction in
            let rows = transaction.changes.map(self.words).joined(separator: "; ")
            return [
                Styled("\(transaction.id)"), Styled(transaction.committed.map(time) ?? "unknown"),
                Styled(rows.isEmpty ? "none" : rows),
            ]
        }
        let left = summary.commits - transactions.count
        return [""] + table.lines + (left > 0 ? [[Styled("and \(left) more", .faint)]] : [])
    }

    private static func words(_ change: DivergedSummary.Change) -> String {
        let counts = [(change.inserted, "inserted"), (change.updated, "updated"), (change.deleted, "deleted")]
        return change.relation + " " + counts.filter { $0.0 > 0 }.map { "\($0) \($1)" }.joined(separator: ", ")
    }

    /// Indexes, sequences, and what was written by transactions that did not commit.
    private static func others(_ summary: DivergedSummary) -> [Line] {
        let changed = Set(summary.changes?.map(\.relation) ?? [])
        let others = summary.relations.filter { !changed.contains($0) }
        guard !others.isEmpty else { return [] }
        return ["", Line([Styled("written to  ", .faint), Styled(others.joined(separator: ", "))])]
    }

    private static func programs(_ entry: DivergedEntry, _ summary: DivergedSummary) -> [Line] {
        ["", [Styled("Every record, on that host:", .faint)]]
            + summary.ranges.map { "  pg_waldump -p \(entry.path) -t \($0.timeline) -s \($0.from) -e \($0.to)" }
            .map { Line([Styled($0)]) }
    }
}
