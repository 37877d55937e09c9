import ArgumentParser
import FoundationEssentials
import PGHAClient
import PGHACommand
import PGHACore
import PGHATLS

enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table, json
}

/// Options of every command that asks a controller.
struct ControllerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The controller's address. Default: PGHA_CONTROLLER, else http://127.0.0.1:8432.", valueName: "url"))
    var controller: String?

    @Option(help: ArgumentHelp("A file with the cluster's token. Default: PGHA_TOKEN_FILE.", valueName: "path"))
    var tokenFile: String?

    @Option(
        help: ArgumentHelp(
            "Whose certificate the controller has, for TLS. Default: PGHA_HTTP_TLS_CA_FILE.", valueName: "path"))
    var httpTlsCaFile: String?

    @Option(
        help: ArgumentHelp(
            "A certificate to show to the controller. Default: PGHA_HTTP_TLS_CERT_FILE.", valueName: "path"))
    var httpTlsCertFile: String?

    @Option(help: ArgumentHelp("Its key. Default: PGHA_HTTP_TLS_KEY_FILE.", valueName: "path"))
    var httpTlsKeyFile: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("table or json.", valueName: "format"))
    var output: OutputFormat = .table

    func client() throws -> ControllerClient {
        let url = self.controller ?? Self.variable("PGHA_CONTROLLER") ?? "http://127.0.0.1:8432"
        return ControllerClient(baseURL: url, token: try self.token(), tls: try self.tls())
    }

    /// Nil when no file for TLS was named: an address https:// is then checked with the system's authorities.
    func tls() throws(TLSFailure) -> TLSIdentity? {
        try TLSFiles(
            certificate: self.httpTlsCertFile ?? Self.variable("PGHA_HTTP_TLS_CERT_FILE"),
            key: self.httpTlsKeyFile ?? Self.variable("PGHA_HTTP_TLS_KEY_FILE"),
            authority: self.httpTlsCaFile ?? Self.variable("PGHA_HTTP_TLS_CA_FILE")
        ).map { files throws(TLSFailure) in try TLSIdentity(files) }
    }

    /// The cluster's token, if one was named.
    func token() throws -> BearerToken? {
        try (self.tokenFile ?? Self.variable("PGHA_TOKEN_FILE")).map { try BearerToken.read(path: $0) }
    }

    /// An empty variable is as good as none.
    private static func variable(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Prints the report as asked for.
    func show(_ report: some Encodable, _ lines: [Line]) throws {
        switch self.output {
        case .table: Terminal.standardOutput.write(lines.rendered(colour: Terminal.standardOutput.hasColour))
        case .json: Terminal.standardOutput.write(try JSONText.pretty(report) + "\n")
        }
    }
}

enum JSONText {
    /// For people and snapshots: keys in order.
    static func pretty(_ value: some Encodable) throws -> String {
        try self.encode(value, [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    }

    /// One line.
    static func line(_ value: some Encodable) throws -> String {
        try self.encode(value, [.sortedKeys, .withoutEscapingSlashes])
    }

    private static func encode(_ value: some Encodable, _ format: JSONEncoder.OutputFormatting) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = format
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}

/// A node's name on the command line.
extension NodeName: ExpressibleByArgument {
    package init?(argument: String) { self.init(argument) }
}
