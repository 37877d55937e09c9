import ArgumentParser
import Foundation
import PGHAClient
import PGHACommand
import PGHATLS

/// `pgha health`: what container engines and orchestrators run, where no `curl` is.
struct HealthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "health", abstract: "Ask one health path of a service; for health checks of containers.",
        discussion: """
            Ends with 0 when the path answers with 200 in time, else with 1. The controller has /liveness and \
            /nodes/NAME/primary, the agent /liveness, /readiness, /primary and /replica, the pooler /liveness and \
            /readiness. Where the environment has the service's certificate for HTTP, http:// means https://; the \
            certificate is not checked, and nothing is shown or sent.
            """)

    @Argument(help: ArgumentHelp("Such as http://127.0.0.1:8433/readiness.", valueName: "url"))
    var url: String

    @Option(help: ArgumentHelp("How long to wait for the answer.", valueName: "duration"))
    var timeout = DurationArgument(.seconds(2))

    func run() async throws {
        let url = Self.address(self.url, environment: ProcessInfo.processInfo.environment)
        guard await HealthCheck.isOK(url, within: self.timeout.duration) else {
            throw CommandError(.failed, "\(url) does not answer with 200", hint: "See the log of the service.")
        }
    }

    /// A check that an image brings along holds whether TLS is switched on or not.
    static func address(_ url: String, environment: [String: String]) -> String {
        let hasCertificate = ["AGENT", "CONTROLLER", "POOLER"].contains { name in
            environment["PGHA_\(name)_HTTP_TLS_CERT_FILE"]?.isEmpty == false
        }
        return hasCertificate ? TLSIdentity.overTLS(url) : url
    }
}
