import ArgumentParser
import Dispatch
import Glibc
import PGHAClient
import PGHACommand
import PGHACore

/// `pgha status`.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the cluster as the evidence has it.",
        discussion: """
            What is not known is shown as unknown; SEEN is the age of the newest evidence. A degraded cluster is no \
            error: the exit code is 0 as long as the controller answers.
            """)

    @OptionGroup var options: ControllerOptions

    @Flag(name: .shortAndLong, help: "Go on showing it, with what changes; JSON: one line for each change.")
    var watch = false

    func run() async throws {
        let client = try self.options.client()
        guard self.watch else {
            let report = try await client.status()
            try self.options.show(report, StatusView.lines(report))
            return
        }
        var watcher = StatusWatcher(client: client, format: self.options.output)
        try await watcher.run()
    }
}

/// Hides the cursor of a terminal until the command ends, by Ctrl-C too.
final class HiddenCursor {
    private let terminal: Terminal?
    private let sources: [any DispatchSourceSignal]

    init(_ terminal: Terminal?) {
        self.terminal = terminal?.isTerminal == true ? terminal : nil
        guard let terminal = self.terminal else {
            self.sources = []
            return
        }
        terminal.write("\u{1B}[?25l")
        self.sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                terminal.write("\u{1B}[?25h")
                _exit(number == SIGINT ? 0 : 128 + number)
            }
            source.resume()
            return source as any DispatchSourceSignal
        }
    }

    func show() { self.terminal?.write("\u{1B}[?25h") }
}
