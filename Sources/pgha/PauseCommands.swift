import ArgumentParser
import PGHAClient
import PGHACommand

/// `pgha pause`.
struct PauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Let nothing fail over by itself, for work on the servers.",
        discussion: "Failovers and switchovers that you ask for still happen. Writes and reads go on.")

    @OptionGroup var options: ControllerOptions

    func run() async throws {
        let accepted = try await self.options.client().pause()
        try self.options.show(accepted, [[Styled(accepted.message)], [Styled("Undo with 'pgha resume'.", .faint)]])
    }
}

/// `pgha resume`.
struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "End 'pgha pause': the leader is replaced again when it fails.")

    @OptionGroup var options: ControllerOptions

    func run() async throws {
        let accepted = try await self.options.client().resume()
        try self.options.show(accepted, [[Styled(accepted.message)]])
    }
}
