package import PGHAClient

/// What changed between two statuses, in words. Counters and positions change all the time and are left out.
package enum StatusChanges {
    /// `brief` leaves out what is thought of the leader and of the risk: during a change of leader both say
    /// only that it is under way.
    package static func lines(from old: StatusReport, to new: StatusReport, brief: Bool = false) -> [Line] {
        var lines: [Line] = []
        if old.cluster == nil, let cluster = new.cluster { lines.append(["cluster ", Styled(cluster, .strong)]) }
        if old.phase != new.phase { lines.append(["phase ", Styled(new.phase.replacing("_", with: " "), .strong)]) }
        if old.leader != new.leader || old.term != new.term, let leader = new.leader {
            lines.append([Styled(leader, .strong), " leads term \(new.term)"])
        } else if old.rule != new.rule, let rule = new.rule {
            lines.append(["rule \(rule): \(new.cohort.joined(separator: ", "))"])
        }
        if old.paused != new.paused { lines.append(new.paused ? "paused" : "resumed") }
        if self.withoutNumbers(old.waitingFor) != self.withoutNumbers(new.waitingFor), let waiting = new.waitingFor {
            lines.append(["waiting: ", Styled(waiting, .warning)])
        }
        if !brief { lines += self.judgementLines(from: old, to: new) }
        return lines + self.nodeLines(from: old, to: new)
    }

    private static func judgementLines(from old: StatusReport, to new: StatusReport) -> [Line] {
        var lines: [Line] = []
        if self.withoutNumbers(old.verdict) != self.withoutNumbers(new.verdict), new.leader != nil {
            lines.append(["leader \(new.verdict)"])
        }
        guard self.withoutNumbers(old.atRiskReason) != self.withoutNumbers(new.atRiskReason) else { return lines }
        guard let reason = new.atRiskReason else { return lines + ["no longer at risk"] }
        return lines + [["at risk: ", Styled(reason, .warning)]]
    }

    private static func nodeLines(from old: StatusReport, to new: StatusReport) -> [Line] {
        var lines: [Line] = []
        for node in new.nodes {
            guard let before = old[node.name] else {
                lines.append([Styled(node.name, .strong), ": \(node.state)"])
                continue
            }
            if self.withoutNumbers(before.state) != self.withoutNumbers(node.state) {
                lines.append(
                    [Styled(node.name, .strong), ": \(node.state)", Styled(", was \(before.state)", .faint)])
            }
            let known = Set(before.problems.map(self.withoutNumbers))
            for problem in node.problems where !known.contains(self.withoutNumbers(problem)) {
                lines.append([Styled(node.name, .strong), ": ", Styled(problem, .warning)])
            }
        }
        return lines + old.nodes.filter { new[$0.name] == nil }.map { [Styled($0.name, .strong), ": removed"] }
    }

    /// `clone from a: 45 %` and `clone from a` are one state.
    private static func withoutNumbers(_ text: String?) -> String? { text.map { $0.filter(\.isLetter) } }
}
