import ArgumentParser
import Foundation
import PGHAAgent
import PGHAConfiguration
import ServiceLifecycle
import UnixSignals

/// `pgha agent gate`: what an unmodified PostgreSQL's container runs in place of its own command.
struct GateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gate",
        abstract: "Start PostgreSQL in a container of its own, whenever the agent beside it says so.",
        discussion: """
            For 'supervise: external': the agent prepares the data and decides, this starts COMMAND and stays when it \
            ends. Both need the volume under the same path, the same user and one process namespace. Without the agent \
            nothing is started.

            An image without pgha's libraries runs it from a volume that 'pgha agent gate --install DIR' has filled:
            DIR/lib/ld.so --library-path DIR/lib DIR/pgha agent gate --dir … -- postgres -D …
            """)

    /// Takes the options that both have: what is given behind `gate` too.
    @ParentCommand var agent: AgentCommand

    /// For the help.
    @Option(help: .setting("dir", of: .agent)) var dir: String?

    @Option(help: ArgumentHelp("Copy this program and its libraries there, and end.", valueName: "path"))
    var install: String?

    @Argument(parsing: .postTerminator, help: ArgumentHelp("What starts the server.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        guard (self.install == nil) != self.command.isEmpty else {
            throw ValidationError("Give either --install DIR, or -- and the command that starts PostgreSQL.")
        }
    }

    func run() async throws {
        if let install = self.install { return try GateInstaller.install(into: install) }
        let environment = ProcessInfo.processInfo.environment
        guard let directory = self.dir ?? self.agent.dir ?? environment["PGHA_AGENT_DIR"] else {
            throw CommandError(.failed, "no state directory", hint: "Give --dir or PGHA_AGENT_DIR: the agent's.")
        }
        let logger = LogConfiguration(level: self.agent.options.logLevel ?? "info").start(label: "pgha.gate")
        let gate: Gate
        do {
            gate = try Gate(directory: directory, command: self.command, environment: environment, logger: logger)
        } catch let error as GateError {
            throw CommandFailure(error.description)
        }
        try await ServiceGroup(
            configuration: .init(
                services: [.init(service: gate)], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        ).run()
    }
}
