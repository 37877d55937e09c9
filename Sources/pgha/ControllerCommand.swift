import ArgumentParser
import Foundation
import Hummingbird
import Logging
import PGHAClient
import PGHAConfiguration
import PGHAController
import PGHAPostgres
import PGHASchema
import PGHAStore
import ServiceLifecycle
import UnixSignals

/// `pgha controller`: one leads a cluster, and opens its store alone.
struct ControllerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "controller", abstract: "Run the controller: probe, judge, decide, execute.",
        discussion: """
            One controller leads a cluster; its store is opened by it alone. While it is down nothing fails over, and \
            nothing else stops. 'pgha config --print-defaults' shows every setting.
            """)

    @Option(help: "Where the HTTP interface listens: HOST:PORT.")
    var listen: String?

    @Option(help: "The store's SQLite file; made when it does not exist.")
    var store: String?

    @Option(help: "A file with the cluster's token, readable by this user alone.")
    var tokenFile: String?

    @Option(help: "A file in .pgpass format with the passwords of pgha_control and pgha_replica.")
    var passfile: String?

    @Option(
        help: ArgumentHelp(
            "On the hosts of servers without an agent: the file with the password of pgha_replica; libpq's own by default.",
            valueName: "path"))
    var replicationPassfile: String?

    @Option(help: "libpq's sslmode for connections to the servers.")
    var sslmode: String?

    @Option(help: "A file with the certificates to trust.")
    var sslrootcert: String?

    @OptionGroup var options: ServiceOptions

    func run() async throws {
        let settings = try self.settings()
        let logger = settings.log.start(label: "pgha.controller")
        let credentials = try self.credentials(settings)
        let store = try await SQLiteStore.open(at: settings.storePath)
        let controller = Controller.live(
            store: store, storeKind: "sqlite", credentials: credentials,
            requiredScripts: PGHASchema.scripts.map(\.number), httpClient: AgentClient.sharedHTTPClient, logger: logger)
        let routes = ControllerRoutes(controller: controller, token: credentials.token)
        let application = Application(
            router: routes.router(),
            configuration: .init(
                address: .hostname(settings.listen.host, port: settings.listen.port), serverName: "pgha"),
            logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: ControllerService(controller: controller)), .init(service: application),
                    StartupMemory.configuration,
                ], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }

    private func settings() throws -> ControllerConfiguration {
        try ControllerConfiguration(
            file: try self.options.file(), environment: ProcessInfo.processInfo.environment,
            flags: self.options.flags([
                "listen": self.listen, "store": self.store, "token_file": self.tokenFile, "passfile": self.passfile,
                "sslmode": self.sslmode, "sslrootcert": self.sslrootcert,
                "replication_passfile": self.replicationPassfile,
            ]))
    }

    private func credentials(_ settings: ControllerConfiguration) throws -> NodeCredentials {
        let passwords = try Passfile.read(path: settings.passfile)
        return NodeCredentials(
            password: passwords.password(user: "pgha_control"), passfile: settings.passfile,
            sslMode: ConnectionParameters.SSLMode(rawValue: settings.sslMode) ?? .prefer,
            sslRootCert: settings.sslRootCert, replicationPassword: passwords.password(user: "pgha_replica"),
            replicationPassfile: settings.replicationPassfile, token: WireSecret(try BearerToken.read(path: settings.tokenFile).value))
    }
}
