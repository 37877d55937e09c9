import ArgumentParser
import Glibc
import PGHAClient
import PGHACommand

/// `pgha history`.
struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "List changes of leader and of rules, the newest first, in local time.")

    @Option(name: .shortAndLong, help: ArgumentHelp("How many lines at most.", valueName: "count"))
    var limit = 20

    @OptionGroup var options: ControllerOptions

    func validate() throws {
        guard (1...10_000).contains(self.limit) else { throw ValidationError("--limit takes 1 to 10000.") }
    }

    func run() async throws {
        let report = try await self.options.client().history(limit: self.limit)
        try self.options.show(report, HistoryView.lines(report, offset: Terminal.offsetFromUTC(at: time(nil))))
    }
}
