import ArgumentParser
import Logging
import PGHAAgent
import PGHACore
import PGHAObservability
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
    var node: String

    @Option(help: "The state directory: data, log, socket and the agent's own files. Made when missing.")
    var dir: String

    @Option(help: "Where the HTTP interface listens, host:port.")
    var listen: String = AgentSettings.defaultListen

    @Option(help: "A file with the cluster's token, at least 16 bytes, not readable by others.")
    var tokenFile: String

    @Option(help: "The directory of PostgreSQL's programs. Default: as pg_config says, else Debian's newest.")
    var pgBindir: String?

    mutating func run() async throws {
        guard let name = NodeName(self.node) else {
            throw ValidationError(
                "\(self.node) is no node name: lower-case letters, digits and _, starting with a letter, at most 40.")
        }
        let settings = AgentSettings(
            node: name, directory: self.dir, listen: self.listen, tokenFile: self.tokenFile,
            binaryDirectory: self.pgBindir)
        let logger = Logger(label: "pgha.agent") { StructuredLogHandler(label: $0) }
        let service: AgentService
        do {
            service = try await AgentService(settings, logger: logger)
        } catch let error as AgentStartError {
            throw CommandFailure(error.description)
        }
        try await ServiceGroup(
            configuration: .init(
                services: [.init(service: service)], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        ).run()
    }
}

/// A failure whose text is for the operator as it stands.
struct CommandFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
