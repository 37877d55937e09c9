import ArgumentParser
import PGHAClient
import PGHACommand
import PGHACore

/// `pgha failover`.
struct FailoverCommandLine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failover", abstract: "Replace the leader, whether it answers or not.",
        discussion: """
            The old leader is fenced or outvoted first, so no acknowledged commit is lost and it rejoins by itself. \
            For planned work use 'pgha switchover'. When too few servers answer to be sure, the failover waits and \
            says for what; --force --accept-data-loss promotes nevertheless, and is recorded.
            """)

    @Argument(help: "The node that shall lead; by default the one furthest ahead.")
    var node: NodeName?

    @Flag(help: "Say who would win, why each other would not, and what is at risk. Changes nothing.")
    var dryRun = false

    @Flag(help: "Promote although acknowledged commits may be missing. Needs --accept-data-loss.")
    var force = false

    @Flag(help: "Confirms --force.")
    var acceptDataLoss = false

    @OptionGroup var wait: WaitOptions
    @OptionGroup var options: ControllerOptions

    func validate() throws {
        guard self.force == self.acceptDataLoss else {
            throw ValidationError(
                "--force and --accept-data-loss go together: acknowledged commits may be lost. "
                    + "See 'pgha failover --dry-run' first.")
        }
    }

    func run() async throws {
        let client = try self.options.client()
        if self.dryRun {
            let plan = try await client.failoverPlan(target: self.node)
            try self.options.show(plan, PlanView.lines(plan))
            return
        }
        let accepted = try await client.failover(
            FailoverCommand(target: self.node?.text, force: self.force, acceptDataLoss: self.acceptDataLoss))
        try await self.wait.finish(
            accepted, .newLeader(after: accepted.term, target: self.node?.text), timeout: .seconds(60), self.options,
            client: client)
    }
}

/// `pgha switchover`.
struct SwitchoverCommandLine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "switchover", abstract: "Hand leadership over, planned and without loss.",
        discussion: """
            The leader is stopped cleanly, the candidate has all of its WAL before it is promoted, and the old \
            leader follows it afterwards. Nothing changes when a condition is not met.
            """)

    @Argument(help: "The node that shall lead; by default the standby with the highest priority.")
    var node: NodeName?

    @OptionGroup var wait: WaitOptions
    @OptionGroup var options: ControllerOptions

    func run() async throws {
        let client = try self.options.client()
        let accepted = try await client.switchover(SwitchoverCommand(target: self.node?.text))
        try await self.wait.finish(
            accepted, .newLeader(after: accepted.term, target: self.node?.text), timeout: .seconds(60), self.options,
            client: client)
    }
}
