import HTTPTypes
import Hummingbird
import PGHAClient

/// Lets only those pass who bear the cluster's token: everything under `/v1`, and every POST.
struct TokenMiddleware<Context: RequestContext>: RouterMiddleware {
    let token: WireSecret

    func handle(
        _ input: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let path = input.uri.path
        let isOpen =
            !path.hasPrefix("/v1") && (input.method == .get || input.method == .head || input.method == .options)
        guard isOpen || Self.bears(input.headers[.authorization], self.token.value) else {
            return try JSONAnswer.failure(
                AgentFailure(
                    code: "unauthorized", message: "The request does not bear the cluster's token",
                    hint: "Send `Authorization: Bearer TOKEN` with the content of the agent's --token-file."),
                status: .unauthorized)
        }
        return try await next(input, context)
    }

    /// In time that depends on the lengths alone.
    static func bears(_ header: String?, _ token: String) -> Bool {
        let wanted = Array("Bearer \(token)".utf8)
        let given = Array((header ?? "").utf8)
        var difference = UInt8(given.count == wanted.count ? 0 : 1)
        for index in wanted.indices { difference |= wanted[index] ^ (index < given.count ? given[index] : 0xFF) }
        return difference == 0
    }
}
