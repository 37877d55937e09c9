import ArgumentParser

@main
struct PGHA: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pgha",
        abstract: "Keeps a PostgreSQL primary-standby cluster available.",
        discussion: """
            Exit codes: 0 done, 1 it failed, 2 the cluster refused and nothing was changed, 3 the controller cannot \
            be reached, 64 wrong usage. A cluster that is degraded or at risk is shown as such and is no error.
            """,
        version: Version.text,
        groupedSubcommands: [
            CommandGroup(
                name: "Cluster:",
                subcommands: [
                    InitCommand.self, CheckCommand.self, StatusCommand.self, HistoryCommand.self, DivergedCommand.self,
                    FailoverCommandLine.self,
                    SwitchoverCommandLine.self, RejoinCommandLine.self, RestartCommandLine.self, PauseCommand.self,
                    ResumeCommand.self, NodeCommandLine.self, ConfigCommand.self, SchemaCommand.self, StoreCommand.self,
                ]),
            CommandGroup(
                name: "Services:",
                subcommands: [
                    ControllerCommand.self, AgentCommand.self, PoolerCommand.self, HealthCommand.self, DemoCommand.self,
                ]),
            CommandGroup(name: "Tests:", subcommands: [SimulateCommand.self]),
        ])

    static func main() async {
        do {
            var command = try Self.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            CommandError.report(error)
        }
    }
}
