import PGHAClient
import PGHACommand
import PGHACore

/// Watches the status until a procedure has ended. Progress goes to standard error by default: the result may be
/// piped.
struct OperationWaiter {
    let client: ControllerClient
    let timeout: Duration
    var terminal = Terminal.standardError

    /// Between two looks. A failover takes about 100 ms, so the first seconds are watched closely.
    private static func interval(after elapsed: Duration) -> Duration {
        elapsed < .seconds(3) ? .milliseconds(40) : .milliseconds(250)
    }

    /// What was reached, in words, and the status that shows it.
    func wait(for goal: OperationWatch.Goal, after accepted: Accepted) async throws -> (String, StatusReport) {
        let start = ContinuousClock.now
        var watch = OperationWatch(goal)
        var progress = ProgressDisplay(self.terminal)
        defer { progress.end() }
        progress.log([Line([Styled(accepted.message)])], at: .zero)
        while true {
            let elapsed = start.duration(to: .now)
            if let report = try await self.look() {
                progress.log(watch.observe(report, at: elapsed), at: elapsed)
                switch watch.outcome {
                case .done(let words): return (words, report)
                case .failed(let words):
                    throw CommandError(.failed, words, hint: "See 'pgha history' and 'pgha status' for the reason.")
                case .running: break
                }
            }
            guard elapsed < self.timeout else { throw self.timedOut(watch) }
            progress.wait(watch.obstacle, at: elapsed)
            try await Task.sleep(for: Self.interval(after: elapsed))
        }
    }

    /// Nil when no controller answers: it may be restarting, and another one finishes what it began.
    private func look() async throws -> StatusReport? {
        do {
            return try await self.client.status()
        } catch .unreachable {
            return nil
        }
    }

    private func timedOut(_ watch: OperationWatch) -> CommandError {
        CommandError(
            .failed, "not done after \(HumanUnits.took(self.timeout)): \(watch.obstacle)",
            hint: "It goes on: see 'pgha status --watch'. Wait longer with --timeout.")
    }
}

/// Lines with the time since the start, and on a terminal one line below them that is alive.
struct ProgressDisplay {
    private let terminal: Terminal
    private var block: LiveBlock
    private var turns = 0
    private static let spinner = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]

    init(_ terminal: Terminal) {
        self.terminal = terminal
        self.block = LiveBlock(colour: terminal.hasColour)
    }

    mutating func log(_ lines: [Line], at elapsed: Duration) {
        guard !lines.isEmpty else { return }
        let stamped = lines.map { Line([Styled(HumanUnits.elapsed(elapsed) + "  ", .faint)] + $0.pieces) }
        guard self.terminal.isTerminal else {
            self.terminal.write(stamped.rendered(colour: false))
            return
        }
        self.terminal.write(self.block.clear() + stamped.rendered(colour: self.terminal.hasColour))
    }

    /// Says what is waited for; only on a terminal.
    mutating func wait(_ words: String, at elapsed: Duration) {
        guard self.terminal.isTerminal else { return }
        self.turns += 1
        let line: Line = [
            Styled(HumanUnits.elapsed(elapsed) + "  ", .faint),
            Styled("\(Self.spinner[self.turns % Self.spinner.count]) \(words)", .faint),
        ]
        let size = self.terminal.size
        self.terminal.write(self.block.frame(block: [line], columns: size.columns, rows: size.rows))
    }

    mutating func end() {
        if self.terminal.isTerminal { self.terminal.write(self.block.clear()) }
    }
}
