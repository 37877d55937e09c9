import HTTPTypes
import Hummingbird
import PGHAClient
import PGHAHTTP

/// Lets only those pass who bear the cluster's token: everything under `/v1`, and every POST.
struct TokenMiddleware<Context: RequestContext>: RouterMiddleware {
    let token: WireSecret

    func handle(
        _ input: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let path = input.uri.path
        let isOpen =
            !path.hasPrefix("/v1") && (input.method == .get || input.method == .head || input.method == .options)
        guard isOpen || BearerCheck.bears(input.headers[.authorization], token: self.token.value) else {
            return try JSONAnswer.failure(
                AgentFailure(
                    code: "unauthorized", message: "The request does not bear the cluster's token",
                    hint: "Send `Authorization: Bearer TOKEN` with the content of the agent's --token-file."),
                status: .unauthorized)
        }
        return try await next(input, context)
    }
}
