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

        @OptionGroup var options: ControllerOptions

        func run() async throws {
            let accepted = try await self.options.client().adoptStore()
            try self.options.show(accepted, [[Styled(accepted.message)]])
        }
    }
}
