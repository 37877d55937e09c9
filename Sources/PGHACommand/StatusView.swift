package import PGHAClient
import PGHACore

/// `pgha status` as people read it. What is unknown says so.
package enum StatusView {
    /// Bytes of lag that stand out.
    static let muchLag: UInt64 = 16 << 20
    private static let labelWidth = 12
    /// A whole progress such as `rewind: 1024/2048 kB (50%) copied` fits; a line of a server's log does not.
    private static let stateWidth = 40

    /// Header, table of nodes, problems. With `columns` no wider than that: sentences go on in the next line, and the
    /// table does without what matters least. `also` is one more row of the header.
    package static func lines(
        _ report: StatusReport, columns: Int? = nil, also row: (String, [Styled])? = nil
    ) -> [Line] {
        var lines = self.header(report, also: row).flatMap { $0.wrapped(to: columns, indent: self.labelWidth) }
        if !report.nodes.isEmpty {
            let table = self.table(report)
            lines +=
                [""]
                + (columns.map { table.fitting($0, without: ["ADDRESS", "LSN", "TL", "SYNC", "SEEN"]) } ?? table).lines
        }
        let problems = report.nodes.flatMap { node in node.problems.map { (node.name, $0) } }
        if !problems.isEmpty {
            lines += [""]
            lines += problems.flatMap { name, problem in
                Line([Styled(name, .strong), "  ", Styled(problem, .warning)]).wrapped(
                    to: columns, indent: name.count + 2)
            }
        }
        return lines
    }

    private static func header(_ report: StatusReport, also row: (String, [Styled])?) -> [Line] {
        guard report.cluster != nil || report.phase != "none" else {
            return ["There is no cluster yet.", [Styled("Make one with 'pgha init -f FILE'.", .faint)]]
        }
        var rows: [(String, [Styled])] = [
            ("cluster", [Styled(report.cluster ?? "being made", .strong)]),
            ("leader", self.leader(report)),
            ("durability", self.durability(report)),
            ("phase", self.phase(report)),
        ]
        if report.leader != nil, report.verdict != "healthy" {
            rows.append(("health", [Styled(report.verdict, .warning)]))
        }
        if report.paused { rows.append(("paused", [Styled("yes: nothing fails over by itself", .warning)])) }
        rows.append(("at risk", self.risk(report)))
        if !report.controller.leading {
            rows.append(("controller", [Styled("this one does not lead: what it shows may be old", .warning)]))
        }
        if let row { rows.insert(row, at: 4) }
        return rows.map { Line([Styled($0.padded(to: self.labelWidth), .faint)] + $1) }
    }

    private static func leader(_ report: StatusReport) -> [Styled] {
        guard let leader = report.leader else { return [Styled("none", .warning)] }
        let address = report[leader].map { " at \($0.host):\($0.port)" } ?? ""
        let rule = report.rule.map { ", rule \($0)" } ?? ""
        return [Styled(leader, .strong), Styled("\(address), term \(report.term)\(rule)")]
    }

    private static func durability(_ report: StatusReport) -> [Styled] {
        guard let mode = report.durability.mode, let copies = report.durability.copies else { return ["unknown"] }
        let words = "\(mode), \(copies) \(copies == 1 ? "copy" : "copies")"
        guard let effective = report.durability.effectiveCopies, effective != copies else { return [Styled(words)] }
        return [Styled(words), Styled(", at present \(effective)", .warning)]
    }

    private static func phase(_ report: StatusReport) -> [Styled] {
        let isSteady = report.phase == "steady"
        let phase = Styled(
            report.phase.replacing("_", with: " "),
            isSteady ? .good : report.phase == "halted" ? .bad : .warning)
        return [phase] + (report.waitingFor.map { [Styled(": \($0)", .warning)] } ?? [])
    }

    private static func risk(_ report: StatusReport) -> [Styled] {
        if let reason = report.atRiskReason { return [Styled("yes", .bad), Styled(": \(reason)", .warning)] }
        // "no" needs a leader that was judged; without one nothing is known.
        return report.leader == nil ? ["unknown"] : ["no"]
    }

    private static func table(_ report: StatusReport) -> TextTable {
        var table = TextTable([
            ("NODE", .left), ("ROLE", .left), ("STATE", .left), ("SYNC", .left), ("TL", .right), ("LSN", .left),
            ("LAG", .right), ("SEEN", .right), ("ADDRESS", .left),
        ])
        table.rows = report.nodes.map { node in
            [
                Styled(node.name, node.name == report.leader ? .strong : .plain),
                Styled(node.role, self.emphasis(role: node.role)),
                Styled(self.shortened(node.state), self.emphasis(node)),
                Styled(node.sync), Styled(node.timeline.map(String.init) ?? "-"), Styled(node.lsn ?? "-"),
                self.lag(node), self.seen(node), Styled("\(node.host):\(node.port)"),
            ]
        }
        return table
    }

    private static func shortened(_ state: String) -> String {
        state.count > self.stateWidth ? state.prefix(self.stateWidth - 1) + "…" : state
    }

    private static func lag(_ node: StatusReport.Node) -> Styled {
        guard let bytes = node.lagBytes else { return node.sync == "leader" ? "-" : "unknown" }
        let seconds = node.lagSeconds ?? 0
        let time = seconds >= 1 && bytes > 0 ? ", \(HumanUnits.age(.seconds(seconds)))" : ""
        return Styled(HumanUnits.bytes(bytes) + time, bytes >= self.muchLag ? .warning : .plain)
    }

    private static func seen(_ node: StatusReport.Node) -> Styled {
        guard let age = node.evidenceAgeMilliseconds else { return Styled("never", .warning) }
        return Styled(HumanUnits.age(.milliseconds(age)), age >= 3000 ? .warning : .plain)
    }

    private static func emphasis(role: String) -> Emphasis {
        switch role {
        case "primary": .good
        case "down": .bad
        case "unknown": .warning
        default: .plain
        }
    }

    private static func emphasis(_ node: StatusReport.Node) -> Emphasis {
        switch node.state {
        case "leading", "streaming": .good
        case "unreachable", "refused", "stopped", "forked": .bad
        default: .warning
        }
    }
}

extension String {
    /// With spaces behind, `width` characters long; never cut.
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - self.count)) }
}
