import ArgumentParser
import PGHAClient
import PGHACommand

/// `pgha store`.
struct StoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store", abstract: "Work on the controller's store.", subcommands: [Adopt.self])

    struct Adopt: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a store that is older than the cluster lead it again.",
            discussion: """
                A controller whose store was restored from a backup stops: it could hand out a term that was used \
                already. This reads the newest rule from the servers and goes on above it. Make sure first that \
                no other controller leads this cluster.
                """)

        @Option(
            name: .shortAndLong,
            help: ArgumentHelp(
                "The specification, for a store that was lost or that lacks nodes; '-' for standard input.",
                valueName: "path"))
        var file: String?

        @OptionGroup var wait: WaitOptions
        @OptionGroup var options: ControllerOptions

        func run() async throws {
            let spec = try self.file.map { SpecDocument(try SpecFile.read($0)) }
            let client = try self.options.client()
            let accepted = try await client.adoptStore(StoreAdoptRequest(spec: spec))
            try await self.wait.finish(accepted, .formed, timeout: .seconds(120), self.options, client: client)
        }
    }
}
