import Hummingbird
import PGHAClient
import PGHAHTTP

func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
    try JSONBody.response(value, status: status)
}

func decode<Body: Decodable>(
    _ type: Body.Type, _ request: Request, _ context: PeerContext
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
        _ request: Request, context: PeerContext,
        next: (Request, PeerContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let refusal as ControllerRefusal {
            return try json(refusal, status: .init(code: refusal.httpStatus))
        }
    }
}

/// All that changes state needs the cluster's token, and where one is asked for a certificate.
struct EntranceMiddleware: RouterMiddleware {
    let entrance: Entrance

    func handle(
        _ request: Request, context: PeerContext,
        next: (Request, PeerContext) async throws -> Response
    ) async throws -> Response {
        try await self.entrance.check(request, context)
        return try await next(request, context)
    }
}

extension Entrance {
    func check(_ request: Request, _ context: PeerContext) async throws {
        switch await self.refusal(request, context) {
        case nil: return
        case .token:
            throw ControllerRefusal(
                code: "unauthorized", message: "the token is missing or wrong",
                hint: "Give the cluster's token with --token-file.")
        case .certificate:
            throw ControllerRefusal(
                code: "no_certificate", message: "this controller wants a certificate, and none was shown",
                hint: "Give one with --http-tls-cert-file and --http-tls-key-file, or PGHA_HTTP_TLS_….")
        }
    }
}
