import ArgumentParser
import FoundationEssentials
import PGHAClient
import PGHACommand
import PGHAConfiguration
import PGHACore
import PGHAPostgres

/// `pgha init`.
struct InitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make a cluster by a specification, or take over running servers.",
        discussion: """
            Sends the specification to the running controller, which makes the first server and copies it to the \
            others through their agents. Interrupted, it goes on by itself. With --adopt the servers run already: \
            they are taken over without a restart where their settings allow it.

            'pgha config --print-defaults' shows all that the file may hold.
            """)

    @Option(
        name: .shortAndLong, help: ArgumentHelp("The specification in YAML; '-' for standard input.", valueName: "path")
    )
    var file: String

    @Flag(help: "Take over servers that run already.")
    var adopt = false

    @Flag(help: "Succeed without a change where the controller has this cluster already: for what runs at every start.")
    var ifMissing = false

    @Option(
        help: ArgumentHelp(
            "With --adopt: a file with a superuser's connection string, such as 'user=postgres password=…'. Host and port "
                + "come from the specification. With it the roles and scripts of pgha are installed where they are missing.",
            valueName: "path"))
    var superuserFile: String?

    @Option(
        help: ArgumentHelp(
            "With --superuser-file: the file in .pgpass format with the passwords that pgha_control, pgha_replica and "
                + "pgha_pooler get; the controller's own.", valueName: "path"))
    var passfile: String?

    @OptionGroup var wait: WaitOptions
    @OptionGroup var options: ControllerOptions

    func validate() throws {
        guard self.adopt || (self.superuserFile == nil && self.passfile == nil) else {
            throw ValidationError(
                "--superuser-file and --passfile go with --adopt: new servers are made with the roles.")
        }
        guard self.superuserFile != nil || self.passfile == nil else {
            throw ValidationError("--passfile needs --superuser-file: only a superuser can set passwords of roles.")
        }
    }

    func run() async throws {
        let spec = try SpecFile.read(self.file)
        let client = try self.options.client()
        if self.ifMissing, let report = try await self.existing(spec.name, client) {
            try self.options.show(report, [[Styled("the cluster \(spec.name) is there already")]])
            return
        }
        if let superuserFile = self.superuserFile {
            let installer = SchemaInstaller(
                superuser: try SuperuserFile.read(superuserFile),
                passwords: try self.passfile.map { try Passfile.read(path: $0) })
            let done = try await installer.install(on: spec)
            for line in done { Terminal.standardError.write("\(line)\n") }
        }
        let accepted = try await client.initialize(InitRequest(spec: SpecDocument(spec), adopt: self.adopt))
        try await self.wait.finish(accepted, .formed, timeout: .seconds(3600), self.options, client: client)
    }

    /// Another cluster's controller is left to refuse.
    private func existing(_ name: String, _ client: ControllerClient) async throws -> StatusReport? {
        let report = try await client.status()
        return report.cluster == name ? report : nil
    }
}

/// A specification from a file or from standard input.
enum SpecFile {
    static func read(_ path: String) throws -> ClusterSpec {
        let data = path == "-" ? self.standardInput() : FileManager.default.contents(atPath: path)
        guard let data else {
            throw CommandError(.failed, "\(path) cannot be read", hint: "Give the path of a YAML file with --file.")
        }
        do {
            return try ClusterSpecFile.parse(
                text: String(decoding: data, as: UTF8.self), path: path == "-" ? "standard input" : path)
        } catch {
            throw CommandError(error)
        }
    }

    private static func standardInput() -> Data? {
        var data = Data()
        while let line = readLine(strippingNewline: false) { data.append(contentsOf: line.utf8) }
        return data
    }
}
