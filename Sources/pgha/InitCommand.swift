import ArgumentParser
import FoundationEssentials
import PGHAClient
import PGHACommand
import PGHAConfiguration
import PGHACore

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

    @OptionGroup var wait: WaitOptions
    @OptionGroup var options: ControllerOptions

    func run() async throws {
        let spec = try SpecFile.read(self.file)
        let client = try self.options.client()
        let accepted = try await client.initialize(InitRequest(spec: SpecDocument(spec), adopt: self.adopt))
        try await self.wait.finish(accepted, .formed, timeout: .seconds(3600), self.options, client: client)
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
