import ArgumentParser
import PGHAClient
import PGHACommand
import PGHACore

/// `pgha restart`.
struct RestartCommandLine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart", abstract: "Restart PostgreSQL on one node, or on all standbys one at a time.",
        discussion: """
            That is how settings that wait for a restart take effect. A leader is not restarted under its clients: \
            run 'pgha switchover' first, then restart it. Only while the cluster is paused it is restarted in place, \
            which limits such as max_connections need to be lowered.
            """)

    @Argument(help: "The node to restart; every standby when left out.")
    var node: NodeName?

    @OptionGroup var wait: WaitOptions
    @OptionGroup var options: ControllerOptions

    func run() async throws {
        let client = try self.options.client()
        let before = try await client.status()
        let nodes = before.nodes.filter {
            self.node.map(\.text) == $0.name || self.node == nil && $0.name != before.leader
        }
        let processes = nodes.map { ($0.name, $0.postmasterPID) }
        let accepted = try await client.restart(RestartCommand(node: self.node?.text))
        try await self.wait.finish(
            accepted, .restarted(before: Dictionary(processes) { first, _ in first }), timeout: .seconds(300),
            self.options, client: client)
    }
}
