import ArgumentParser
import Foundation
import Logging
import PGHAAgent
import PGHAConfiguration
import ServiceLifecycle
import UnixSignals

/// `pgha agent`: runs beside one PostgreSQL server, as the user who owns its data.
struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent", abstract: "Run the agent beside one PostgreSQL server, as the user who owns its data.",
        discussion: """
            Starts, stops, copies and configures the server as the controller asks. The agent's own end leaves the \
            server running; the next agent for the directory adopts it.
            """)

    @Option(help: "The node's name in the cluster.")
    var node: String?

    @Option(help: "The state directory: data, log, socket and the agent's own files. Made when missing.")
    var dir: String?

    @Option(help: "Where the HTTP interface listens: HOST:PORT.")
    var listen: String?

    @Option(help: "A file with the cluster's token, at least 16 bytes, not readable by others.")
    var tokenFile: String?

    @Option(help: "The directory of PostgreSQL's programs. Default: as pg_config says, else Debian's newest.")
    var pgBindir: String?

    @OptionGroup var options: ServiceOptions

    func run() async throws {
        let configuration = try AgentConfiguration(
            file: try self.options.file(), environment: ProcessInfo.processInfo.environment,
            flags: self.options.flags([
                "node": self.node, "dir": self.dir, "listen": self.listen, "token_file": self.tokenFile,
                "pg_bindir": self.pgBindir,
            ]))
        let settings = AgentSettings(
            node: configuration.node, directory: configuration.directory, listen: configuration.listen.description,
            tokenFile: configuration.tokenFile, binaryDirectory: configuration.binaryDirectory)
        let logger = configuration.log.start(label: "pgha.agent")
        let service: AgentService
        do {
            service = try await AgentService(settings, logger: logger)
        } catch let error as AgentStartError {
            throw CommandFailure(error.description)
        }
        try await ServiceGroup(
            configuration: .init(
                services: [.init(service: service), StartupMemory.configuration], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        ).run()
    }
}
