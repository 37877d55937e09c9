import ArgumentParser
import PGHAClient
import PGHACore
import PGHAPostgres
import PGHASchema

/// `pgha schema`.
struct SchemaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema",
        abstract: "The roles and tables of pgha on the servers: what 'pgha check' may find missing.",
        subcommands: [Apply.self, Print.self])

    struct Print: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print all scripts, for psql as a superuser on the primary; what is there already stays.")

        func run() { for script in PGHASchema.scripts { print(script.transaction) } }
    }

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Apply the scripts that the primary lacks, as after an upgrade of pgha.")

        @Option(
            help: ArgumentHelp(
                "A file with a superuser's connection string, such as 'user=postgres password=…', without host and port.",
                valueName: "path"))
        var superuserFile: String

        @Option(
            help: ArgumentHelp(
                "The file in .pgpass format with the passwords that the roles of pgha get; the controller's own. Without it "
                    + "they keep theirs, and a role that is new has none.", valueName: "path"))
        var passfile: String?

        @Option(
            name: .shortAndLong,
            help: ArgumentHelp(
                "A specification, instead of the running cluster; '-' for standard input.", valueName: "path"))
        var file: String?

        @OptionGroup var options: ControllerOptions

        func run() async throws {
            let installer = SchemaInstaller(
                superuser: try SuperuserFile.read(self.superuserFile),
                passwords: try self.passfile.map { try Passfile.read(path: $0) })
            let done = try await installer.install(on: try await self.spec())
            Terminal.standardOutput.write(done.isEmpty ? "nothing was missing\n" : done.map { "\($0)\n" }.joined())
        }

        private func spec() async throws -> ClusterSpec {
            if let file = self.file { return try SpecFile.read(file) }
            return ClusterSpec(
                name: "", nodes: try await self.options.client().nodes().nodes.map { try $0.spec() })
        }
    }
}
