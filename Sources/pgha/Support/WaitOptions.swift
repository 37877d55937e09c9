import ArgumentParser
import PGHAClient
import PGHACommand
import PGHAConfiguration
import PGHACore

/// A duration on the command line: `500ms`, `30s`, `5min`, or seconds.
struct DurationArgument: ExpressibleByArgument {
    var duration: Duration

    init(_ duration: Duration) { self.duration = duration }

    /// As the help shows a default.
    var defaultValueDescription: String { DurationValue.text(self.duration) }

    init?(argument: String) {
        let seconds = Int64(argument).map { Duration.seconds($0) }
        guard let duration = seconds ?? DurationValue.parse(argument), duration > .zero else { return nil }
        self.duration = duration
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
