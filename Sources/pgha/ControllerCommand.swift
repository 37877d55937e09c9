import ArgumentParser
import Foundation
import Hummingbird
import Logging
import PGHAClient
import PGHAController
import PGHACore
import PGHAObservability
import PGHAPostgres
import PGHASchema
import PGHAStore
import ServiceLifecycle
import UnixSignals

struct ControllerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "controller", abstract: "Run the controller: probe, judge, decide, execute.",
        discussion: """
            One controller leads a cluster; its store is opened by it alone. While it is down nothing fails over, and
            nothing else stops.
            """)

    @Option(help: "Where the HTTP interface listens: HOST:PORT.")
    var listen = "127.0.0.1:8432"

    @Option(help: "The store's SQLite file; made when it does not exist.")
    var store: String

    @Option(help: "A file with the cluster's token, readable by this user alone.")
    var tokenFile: String

    @Option(help: "A file in .pgpass format with the passwords of pgha_control and pgha_replica.")
    var passfile: String

    @Option(
        help: ArgumentHelp(
            "On the hosts of servers without an agent: the file with the password of pgha_replica; libpq's own by default.",
            valueName: "path"))
    var replicationPassfile: String?

    @Option(help: "libpq's sslmode for connections to the servers.")
    var sslmode: String = "prefer"

    @Option(help: "A file with the certificates to trust.")
    var sslrootcert: String?

    @Option(help: "trace, debug, info, notice, warning or error.")
    var logLevel: String = "info"

    func run() async throws {
        guard let sslMode = ConnectionParameters.SSLMode(rawValue: self.sslmode) else {
            throw ValidationError("--sslmode \(self.sslmode) is not one of libpq's modes")
        }
        guard let level = Logger.Level(rawValue: self.logLevel) else {
            throw ValidationError("--log-level \(self.logLevel) is not a level")
        }
        let (host, port) = try parseAddress(self.listen, option: "--listen")
        let passwords = try Passfile.read(path: self.passfile)
        let credentials = NodeCredentials(
            password: passwords.password(user: "pgha_control"), passfile: self.passfile, sslMode: sslMode,
            sslRootCert: self.sslrootcert, replicationPassword: passwords.password(user: "pgha_replica"),
            replicationPassfile: self.replicationPassfile, token: WireSecret(try BearerToken.read(path: self.tokenFile).value))
        let logger = Logger(label: "pgha.controller") { StructuredLogHandler(label: $0, level: level) }
        let store = try await SQLiteStore.open(at: self.store)
        let controller = Controller.live(
            store: store, storeKind: "sqlite", credentials: credentials,
            requiredScripts: PGHASchema.scripts.map(\.number), httpClient: AgentClient.sharedHTTPClient, logger: logger)
        let routes = ControllerRoutes(controller: controller, token: credentials.token)
        let application = Application(
            router: routes.router(), configuration: .init(address: .hostname(host, port: port), serverName: "pgha"),
            logger: logger)
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: ControllerService(controller: controller)), .init(service: application),
                ], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger))
        try await group.run()
    }
}

/// `HOST:PORT`; an IPv6 address in brackets.
func parseAddress(_ text: String, option: String) throws -> (host: String, port: Int) {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
        (1...65_535).contains(port)
    else { throw ValidationError("\(option) '\(text)' is not HOST:PORT") }
    let host = text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
    guard !host.isEmpty else { throw ValidationError("\(option) '\(text)' has no host") }
    return (host, port)
}
