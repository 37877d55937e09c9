import ArgumentParser
import Foundation
import Hummingbird
import Logging
import PGHAClient
import PGHAConfiguration
import PGHAController
import PGHAHTTP
import PGHAPostgres
import PGHASchema
import PGHAStore
import PGHATLS
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

    @Option(help: .setting("listen", of: .controller)) var listen: String?
    @Option(help: .setting("store", of: .controller)) var store: String?
    @Option(help: .setting("token_file", of: .controller)) var tokenFile: String?
    @Option(help: .setting("passfile", of: .controller)) var passfile: String?
    @Option(help: .setting("replication_passfile", of: .controller)) var replicationPassfile: String?
    @Option(help: .setting("sslmode", of: .controller)) var sslmode: String?
    @Option(help: .setting("sslrootcert", of: .controller)) var sslrootcert: String?
    @OptionGroup var tls: HTTPTLSOptions

    @OptionGroup var options: ServiceOptions

    func run() async throws {
        let settings = try self.settings()
        let logger = settings.log.start(label: "pgha.controller")
        let tls = try settings.tls.identity()
        let credentials = try self.credentials(settings, tls)
        let store = try await SQLiteStore.open(at: settings.storePath)
        let controller = Controller.live(
            store: store, storeKind: "sqlite", credentials: credentials,
            requiredScripts: PGHASchema.scripts.map(\.number), httpClient: AgentClient.sharedHTTPClient, logger: logger)
        let routes = ControllerRoutes(controller: controller, token: credentials.token, tls: tls)
        let application = Application(
            router: routes.router(),
            server: .over(tls),
            configuration: .init(
                address: .hostname(settings.listen.host, port: settings.listen.port), serverName: "pgha"),
            logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: ControllerService(controller: controller)), .init(service: application),
                    StartupMemory.configuration,
                ] + .watching(tls, logger), gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }

    private func settings() throws -> ControllerConfiguration {
        try ControllerConfiguration(
            file: try self.options.file(), environment: ProcessInfo.processInfo.environment,
            flags: self.options.flags(
                [
                    "listen": self.listen, "store": self.store, "token_file": self.tokenFile, "passfile": self.passfile,
                    "sslmode": self.sslmode, "sslrootcert": self.sslrootcert,
                    "replication_passfile": self.replicationPassfile,
                ].merging(self.tls.flags) { $1 }))
    }

    private func credentials(_ settings: ControllerConfiguration, _ tls: TLSIdentity?) throws -> NodeCredentials {
        let passwords = try Passfile.read(path: settings.passfile)
        return NodeCredentials(
            password: passwords.password(user: "pgha_control"), passfile: settings.passfile,
            sslMode: ConnectionParameters.SSLMode(rawValue: settings.sslMode) ?? .prefer,
            sslRootCert: settings.sslRootCert, replicationPassword: passwords.password(user: "pgha_replica"),
            poolerPassword: passwords.password(user: "pgha_pooler"), replicationPassfile: settings.replicationPassfile,
            token: WireSecret(try BearerToken.read(path: settings.tokenFile).value), tls: tls)
    }
}
