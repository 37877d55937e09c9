import ArgumentParser
import PGHAClient
import PGHACommand
import PGHACore

/// A duration on the command line: `500ms`, `30s`, `5min`, or seconds.
struct DurationArgument: ExpressibleByArgument {
    var duration: Duration

    init?(argument: String) {
        guard let milliseconds = DurationText.milliseconds(argument, bareUnit: 1000), milliseconds > 0 else {
            return nil
        }
        self.duration = .milliseconds(milliseconds)
    }
}

/// Options of every command that begins a procedure.
struct WaitOptions: ParsableArguments {
    @Flag(help: "Return as soon as the controller has accepted.")
    var noWait = false

    @Option(
        help: ArgumentHelp(
            "How long to wait for the end, such as 30s or 5min. What was begun goes on afterwards.",
            valueName: "duration"))
    var timeout: DurationArgument?

    /// Shows what happens until `goal` is reached, then the result.
    func finish(
        _ accepted: Accepted, _ goal: OperationWatch.Goal, timeout: Duration, _ options: ControllerOptions,
        client: ControllerClient
    ) async throws {
        if self.noWait {
            try options.show(accepted, [Line([Styled(accepted.message)])])
            return
        }
        let waiter = OperationWaiter(client: client, timeout: self.timeout?.duration ?? timeout)
        let (words, report) = try await waiter.wait(for: goal, after: accepted)
        try options.show(report, [[Styled("done: ", .good), Styled(words)]])
    }
}
