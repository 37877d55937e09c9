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
            """,
        subcommands: [GateCommand.self])

    @Option(help: .setting("node", of: .agent)) var node: String?
    @Option(help: .setting("dir", of: .agent)) var dir: String?
    @Option(help: .setting("data", of: .agent)) var data: String?
    @Option(help: .setting("listen", of: .agent)) var listen: String?
    @Option(help: .setting("token_file", of: .agent)) var tokenFile: String?
    @Option(help: .setting("pg_bindir", of: .agent)) var pgBindir: String?
    @Option(help: .setting("supervise", of: .agent)) var supervise: String?
    @Option(help: .setting("at_exit", of: .agent)) var atExit: String?
    @Option(help: .setting("socket_group", of: .agent)) var socketGroup: String?
    @OptionGroup var tls: HTTPTLSOptions

    @OptionGroup var options: ServiceOptions

    func run() async throws {
        let configuration = try AgentConfiguration(
            file: try self.options.file(), environment: ProcessInfo.processInfo.environment,
            flags: self.options.flags(
                [
                    "node": self.node, "dir": self.dir, "data": self.data, "listen": self.listen,
                    "token_file": self.tokenFile, "pg_bindir": self.pgBindir, "supervise": self.supervise,
                    "at_exit": self.atExit, "socket_group": self.socketGroup,
                ].merging(self.tls.flags) { $1 }))
        let tls = try configuration.tls.identity()
        let settings = AgentSettings(
            node: configuration.node, directory: configuration.directory, data: configuration.data,
            listen: configuration.listen.description, tokenFile: configuration.tokenFile,
            binaryDirectory: configuration.binaryDirectory, stopsServer: configuration.stopsServer,
            isExternal: configuration.isExternal, socketGroup: configuration.socketGroup, tls: tls)
        let logger = configuration.log.start(label: "pgha.agent")
        let service: AgentService
        do {
            service = try await AgentService(settings, logger: logger)
        } catch let error as AgentStartError {
            throw CommandFailure(error.description)
        }
        try await ServiceGroup(
            configuration: .init(
                services: [.init(service: service), StartupMemory.configuration] + .watching(tls, logger),
                gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        ).run()
    }
}
