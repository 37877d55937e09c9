import PGHAClient
import PGHACommand

/// Shows the status as it changes, and each change once.
struct StatusWatcher {
    let client: ControllerClient
    let format: OutputFormat

    private let terminal = Terminal.standardOutput
    private var last: WatchReport?
    private var samples: [LagSample] = []
    /// When `last` came.
    private var lastSeen = ""
    private var isReachable = true
    private var block: LiveBlock

    /// Before the controller is asked again that was lost.
    private static let pause = Duration.milliseconds(250)

    init(client: ControllerClient, format: OutputFormat) {
        self.client = client
        self.format = format
        self.block = LiveBlock(colour: Terminal.standardOutput.hasColour)
    }

    /// Until the process is interrupted. The first look must succeed: a wrong address is an error at once.
    mutating func run() async throws {
        let cursor = HiddenCursor(self.format == .table ? self.terminal : nil)
        defer { cursor.show() }
        while true {
            do {
                for try await event in self.client.watch() { self.take(event) }
            } catch {
                guard let failure = error as? ControllerFailure, self.last != nil else { throw error }
                self.lost(failure)
            }
            try await Task.sleep(for: Self.pause)
        }
    }

    private mutating func take(_ event: WatchEvent) {
        switch event {
        case .status(let report): self.show(report)
        case .samples(let samples): self.samples = samples
        case .sample(let sample): self.samples = self.samples.suffix(WatchView.samples - 1) + [sample]
        }
    }

    private mutating func show(_ report: WatchReport) {
        var changes = self.last.map { StatusChanges.lines(from: $0.status, to: report.status) } ?? []
        let isNews = self.last == nil || !changes.isEmpty
        if !self.isReachable { changes.insert("the controller answers again", at: 0) }
        let isFirst = self.last == nil
        (self.last, self.lastSeen, self.isReachable) = (report, HumanClock.timeOfDay, true)
        switch self.format {
        case .json: if isNews { self.terminal.write(((try? JSONText.line(report.status)) ?? "") + "\n") }
        case .table where self.terminal.isTerminal: self.draw(log: changes, report)
        case .table:
            let lines = isFirst ? StatusView.lines(report.status) : Self.stamped(changes)
            self.terminal.write(lines.rendered(colour: false))
        }
    }

    /// The last status stays, marked as old: nobody may take it for the present.
    private mutating func lost(_ failure: ControllerFailure) {
        let news: [Line] = self.isReachable ? [[Styled(failure.message, .bad)]] : []
        self.isReachable = false
        if self.format == .table, self.terminal.isTerminal, let last = self.last {
            self.draw(log: news, last, under: [[Styled("AS OF \(self.lastSeen): \(failure.message)", .bad)], ""])
        } else if !news.isEmpty {
            Terminal.standardError.write(Self.stamped(news).rendered(colour: false))
        }
    }

    private mutating func draw(log: [Line], _ report: WatchReport, under banner: [Line] = []) {
        let size = self.terminal.size
        let lines = banner + WatchView.lines(report, self.samples, columns: size.columns)
        // An empty line keeps the log apart from the status.
        self.terminal.write(
            self.block.frame(log: Self.stamped(log), block: [""] + lines, columns: size.columns, rows: size.rows))
    }

    private static func stamped(_ lines: [Line]) -> [Line] {
        lines.map { Line([Styled(HumanClock.timeOfDay + "  ", .faint)] + $0.pieces) }
    }
}
