import HTTPTypes
import Hummingbird
import PGHAClient
import PGHAHTTP

/// Lets only those pass who may come in: on everything but health and metrics.
struct EntranceMiddleware: RouterMiddleware {
    let entrance: Entrance

    func handle(
        _ input: Request, context: PeerContext, next: (Request, PeerContext) async throws -> Response
    ) async throws -> Response {
        switch await self.entrance.refusal(input, context) {
        case nil: try await next(input, context)
        case .token:
            try JSONAnswer.failure(
                AgentFailure(
                    code: "unauthorized", message: "The request does not bear the cluster's token",
                    hint: "Send `Authorization: Bearer TOKEN` with the content of the agent's --token-file."))
        case .certificate:
            try JSONAnswer.failure(
                AgentFailure(
                    code: "no_certificate", message: "No certificate was shown",
                    hint: "Show one that an authority of the agent's --http-tls-ca-file has signed."))
        }
    }
}
