package import PGHAClient
import PGHACore

/// Whether what a command asked for is done, judged by the statuses that follow. Pure: the caller polls.
package struct OperationWatch: Sendable {
    package enum Goal: Hashable, Sendable {
        /// A leader leads, every other node streams and counts, as far as it may, and all agents answer.
        case formed
        /// A term above `term` is in force, led by `target` when one was named.
        case newLeader(after: UInt64, target: String?)
        case streaming(node: String)
        /// Each node's server runs as another process than before (nil: it did not run) and is in place again.
        case restarted(before: [String: Int32?])
    }

    package enum Outcome: Hashable, Sendable {
        case running
        case done(String)
        case failed(String)
    }

    /// A request that was accepted and left no trace for this long was given up.
    static let giveUpAfter = Duration.seconds(2)

    private let goal: Goal
    private var last: StatusReport?
    /// Since when the cluster has been steady without the goal reached.
    private var idleSince: Duration?
    package private(set) var outcome: Outcome = .running

    package init(_ goal: Goal) { self.goal = goal }

    /// Takes a status seen `elapsed` after the request; returns what to tell the user.
    package mutating func observe(_ report: StatusReport, at elapsed: Duration) -> [Line] {
        defer { self.last = report }
        self.outcome = self.judge(report, at: elapsed)
        guard let last = self.last else {
            return report.phase == "steady"
                ? [] : [["phase ", Styled(report.phase.replacing("_", with: " "), .strong)]]
        }
        return StatusChanges.lines(from: last, to: report, brief: true)
    }

    /// Why it is not done yet, for a time-out.
    package var obstacle: String {
        guard let last = self.last else { return "the controller has not answered" }
        let waiting = last.waitingFor.map { ": \($0)" } ?? ""
        let missing = last.nodes.filter { $0.state != "leading" && $0.state != "streaming" }
        let nodes = missing.map { ", \($0.name): \($0.state)" }.joined()
        return "phase \(last.phase.replacing("_", with: " "))\(waiting)\(nodes)"
    }

    private mutating func judge(_ report: StatusReport, at elapsed: Duration) -> Outcome {
        switch self.goal {
        case .formed: return self.judgeFormed(report)
        case .newLeader(let term, let target): return self.judgeLeader(report, after: term, target, at: elapsed)
        case .streaming(let node):
            return report[node]?.state == "streaming" ? .done("\(node) streams from \(report.leader ?? "?")") : .running
        case .restarted(let before): return Self.judgeRestart(report, before)
        }
    }

    private func judgeFormed(_ report: StatusReport) -> Outcome {
        guard report.phase == "steady", report.verdict == "healthy", let leader = report.leader,
            report[leader]?.state == "leading",
            report.nodes.allSatisfy({
                $0.name == leader || $0.state == "streaming" && ($0.sync == "quorum" || $0.nosync)
            }),
            report.nodes.allSatisfy({ $0.agent == nil || $0.agentPID != nil }),
            report.durability.effectiveCopies == report.durability.copies
        else { return .running }
        let standbys = report.nodes.count - 1
        return .done(
            "\(leader) leads"
                + (standbys == 0 ? "" : ", \(standbys) \(standbys == 1 ? "standby streams" : "standbys stream")"))
    }

    private mutating func judgeLeader(
        _ report: StatusReport, after term: UInt64, _ target: String?, at elapsed: Duration
    ) -> Outcome {
        guard report.phase == "steady" || report.phase == "changing_rule" else {
            self.idleSince = nil
            return .running
        }
        if report.term > term, let leader = report.leader {
            guard target == nil || target == leader else {
                return .failed("\(leader) leads term \(report.term), not \(target ?? "")")
            }
            return .done("\(leader) leads term \(report.term)")
        }
        let since = self.idleSince ?? elapsed
        self.idleSince = since
        guard elapsed - since >= Self.giveUpAfter else { return .running }
        return .failed("it was given up; \(report.leader ?? "nobody") still leads term \(report.term)")
    }

    private static func judgeRestart(_ report: StatusReport, _ before: [String: Int32?]) -> Outcome {
        let isDone = before.allSatisfy { name, pid in
            guard let node = report[name], let now = node.postmasterPID, now != pid else { return false }
            return node.state == "leading" || node.state == "streaming"
        }
        return isDone ? .done("\(before.keys.sorted().joined(separator: ", ")) restarted") : .running
    }
}
