import ArgumentParser

@main
struct PGHA: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pgha", subcommands: [AgentCommand.self, ControllerCommand.self])
}
