import ArgumentParser
import PGHAClient
import PGHACommand

/// `pgha health`: what container engines and orchestrators run, where no `curl` is.
struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health", abstract: "Ask one health path of a service; for health checks of containers.",
        discussion: """
            Ends with 0 when the path answers with 200 in time, else with 1. The controller has /liveness and \
            /nodes/NAME/primary, the agent /liveness, /readiness, /primary and /replica, the pooler /liveness and \
            /readiness.
            """)

    @Argument(help: ArgumentHelp("Such as http://127.0.0.1:8433/readiness.", valueName: "url"))
    var url: String

    @Option(help: ArgumentHelp("How long to wait for the answer.", valueName: "duration"))
    var timeout = DurationArgument(.seconds(2))

    func run() async throws {
        guard await HealthCheck.isOK(self.url, within: self.timeout.duration) else {
            throw CommandError(.failed, "\(self.url) does not answer with 200", hint: "See the log of the service.")
        }
    }
}
