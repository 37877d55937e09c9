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

    @Option(help: ArgumentHelp("With --watch: time between two looks.", valueName: "duration"))
    var interval: DurationArgument = DurationArgument(.milliseconds(250))

    func run() async throws {
        let client = try self.options.client()
        guard self.watch else {
            let report = try await client.status()
            try self.options.show(report, StatusView.lines(report))
            return
        }
        var watcher = StatusWatcher(client: client, format: self.options.output, interval: self.interval.duration)
        try await watcher.run()
    }
}

/// Shows the status again and again, and each change once.
struct StatusWatcher {
    let client: ControllerClient
    let format: OutputFormat
    let interval: Duration

    private let terminal = Terminal.standardOutput
    private var last: StatusReport?
    /// When `last` came.
    private var lastSeen = ""
    private var isReachable = true
    private var block: LiveBlock

    init(client: ControllerClient, format: OutputFormat, interval: Duration) {
        self.client = client
        self.format = format
        self.interval = interval
        self.block = LiveBlock(colour: Terminal.standardOutput.hasColour)
    }

    /// Until the process is interrupted. The first look must succeed: a wrong address is an error at once.
    mutating func run() async throws {
        let cursor = HiddenCursor(self.format == .table ? self.terminal : nil)
        defer { cursor.show() }
        try self.show(try await self.client.status())
        while true {
            try await Task.sleep(for: self.interval)
            do throws(ControllerFailure) {
                try self.show(try await self.client.status())
            } catch {
                self.lost(error)
            }
        }
    }

    private mutating func show(_ report: StatusReport) throws(ControllerFailure) {
        var changes = self.last.map { StatusChanges.lines(from: $0, to: report) } ?? []
        if !self.isReachable { changes.insert("the controller answers again", at: 0) }
        defer { (self.last, self.lastSeen, self.isReachable) = (report, HumanClock.timeOfDay, true) }
        switch self.format {
        case .json:
            if self.last.map({ !StatusChanges.lines(from: $0, to: report).isEmpty }) ?? true {
                self.terminal.write(((try? JSONText.line(report)) ?? "") + "\n")
            }
        case .table where self.terminal.isTerminal:
            self.draw(log: changes, StatusView.lines(report))
        case .table:
            let lines = self.last == nil ? StatusView.lines(report) : Self.stamped(changes)
            self.terminal.write(lines.rendered(colour: false))
        }
    }

    /// The last status stays, marked as old: nobody may take it for the present.
    private mutating func lost(_ failure: ControllerFailure) {
        let news: [Line] = self.isReachable ? [[Styled(failure.message, .bad)]] : []
        self.isReachable = false
        if self.format == .table, self.terminal.isTerminal {
            let old = self.last.map(StatusView.lines) ?? []
            let banner: Line = [Styled("AS OF \(self.lastSeen): \(failure.message)", .bad)]
            self.draw(log: news, [banner, ""] + old)
        } else if !news.isEmpty {
            Terminal.standardError.write(Self.stamped(news).rendered(colour: false))
        }
    }

    private mutating func draw(log: [Line], _ lines: [Line]) {
        let size = self.terminal.size
        // An empty line keeps the log apart from the status.
        self.terminal.write(
            self.block.frame(log: Self.stamped(log), block: [""] + lines, columns: size.columns, rows: size.rows))
    }

    private static func stamped(_ lines: [Line]) -> [Line] {
        lines.map { Line([Styled(HumanClock.timeOfDay + "  ", .faint)] + $0.pieces) }
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
