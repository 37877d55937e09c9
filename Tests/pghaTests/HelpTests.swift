import ArgumentParser
import Testing

@testable import pgha

@Suite struct HelpTests {
    /// Every command, so that a change of the interface is seen in review.
    @Test func theHelpOfEveryCommandIsKnown() throws {
        var text = ""
        for command in Self.all(PGHA.self) { text += PGHA.helpMessage(for: command, columns: 80) + "\n" + rule + "\n" }
        try expectSnapshot(text, "help.txt")
    }

    @Test(arguments: [
        ["failover", "--force"], ["failover", "--accept-data-loss"], ["failover", "Not-A-Name"],
        ["node", "set", "a"], ["history", "--limit", "0"], ["demo", "--nodes", "10"], ["demo", "--base-port", "80"],
        ["switchover", "--timeout", "soon"], ["nonsense"],
    ])
    func wrongUsageIsRefusedWithCode64(arguments: [String]) {
        let error = #expect(throws: (any Error).self) { try PGHA.parseAsRoot(arguments) }
        if let error { #expect(PGHA.exitCode(for: error) == .validationFailure) }
    }

    @Test(arguments: [
        ("", "dev"), ("v1.2.3", "1.2.3"), ("v1.2.3-4-g0123abc", "dev (v1.2.3-4-g0123abc)"),
        ("v1.2.3-dirty", "dev (v1.2.3-dirty)"), ("0123abc", "dev (0123abc)"),
    ])
    func onlyATagIsAVersion(source: String, version: String) {
        #expect(Version.text(source: source) == version)
    }

    @Test func theVersionIsPrinted() {
        let end = #expect(throws: (any Error).self) { try PGHA.parseAsRoot(["--version"]) }
        if let end {
            #expect(PGHA.exitCode(for: end) == .success)
            #expect(PGHA.message(for: end) == Version.text)
        }
    }

    @Test func durationsTakeUnitsAndBareSeconds() throws {
        let command = try #require(
            try PGHA.parseAsRoot(["switchover", "b", "--timeout", "5min"]) as? SwitchoverCommandLine)
        #expect(command.wait.timeout?.duration == .seconds(300))
        #expect(DurationArgument(argument: "7")?.duration == .seconds(7))
        #expect(DurationArgument(argument: "0s") == nil)
    }

    private let rule = String(repeating: "-", count: 80)

    private static func all(_ command: any ParsableCommand.Type) -> [any ParsableCommand.Type] {
        let children =
            command.configuration.groupedSubcommands.flatMap(\.subcommands) + command.configuration.ungroupedSubcommands
        return [command] + children.flatMap { self.all($0) }
    }
}
