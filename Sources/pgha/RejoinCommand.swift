import ArgumentParser
import PGHAClient
import PGHACommand
import PGHACore

/// `pgha rejoin`.
struct RejoinCommandLine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rejoin", abstract: "Bring a node back as a standby of the leader.",
        discussion: """
            Needed only when a node does not come back by itself: a server that was promoted by hand, or one whose \
            data cannot be saved before it is rebuilt. WAL that only this node holds is saved first, unless \
            --discard gives it up.
            """)

    @Argument(help: "The node to bring back.")
    var node: NodeName

    @Flag(help: "Rebuild it even if what only it holds cannot be saved: that is lost then.")
    var discard = false

    @OptionGroup var wait: WaitOptions
    @OptionGroup var options: ControllerOptions

    func run() async throws {
        let client = try self.options.client()
        let accepted = try await client.rejoin(RejoinCommand(node: self.node.text, discard: self.discard))
        try await self.wait.finish(
            accepted, .streaming(node: self.node.text), timeout: .seconds(3600), self.options, client: client)
    }
}
