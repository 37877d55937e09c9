import Hummingbird
import PGHAClient
import PGHAHTTP

func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
    try JSONBody.response(value, status: status)
}

func decode<Body: Decodable>(
    _ type: Body.Type, _ request: Request, _ context: BasicRequestContext
) async throws -> Body {
    do {
        return try await JSONBody.decode(request, as: type)
    } catch let error as JSONBody.Misunderstood {
        throw ControllerRefusal.invalid(
            "the request's body is not understood: \(error.place)", hint: "Use a pgha of the same version.")
    }
}

/// Refusals become JSON with their status.
struct RefusalMiddleware: RouterMiddleware {
    func handle(
        _ request: Request, context: BasicRequestContext,
        next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let refusal as ControllerRefusal {
            return try json(refusal, status: .init(code: refusal.httpStatus))
        }
    }
}

/// All that changes state needs the cluster's token.
struct TokenMiddleware: RouterMiddleware {
    let token: WireSecret

    func handle(
        _ request: Request, context: BasicRequestContext,
        next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        guard BearerCheck.bears(request.headers[.authorization], token: self.token.value) else {
            throw ControllerRefusal(
                code: "unauthorized", message: "the token is missing or wrong",
                hint: "Give the cluster's token with --token-file.")
        }
        return try await next(request, context)
    }
}
