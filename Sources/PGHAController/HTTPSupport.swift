import Foundation
import Hummingbird
import NIOCore
import PGHAClient

extension JSONEncoder {
    /// Stable output: sorted keys.
    static var sorted: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}

func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
    Response(
        status: status, headers: [.contentType: "application/json"],
        body: .init(byteBuffer: ByteBuffer(bytes: try JSONEncoder.sorted.encode(value))))
}

/// The request's body, at most 1 MiB; an empty one is `{}`.
func decode<Body: Decodable>(
    _: Body.Type, _ request: Request, _ context: BasicRequestContext
) async throws -> Body {
    let buffer = try await request.body.collect(upTo: 1 << 20)
    let data = buffer.readableBytes == 0 ? Data("{}".utf8) : Data(buffer.readableBytesView)
    do {
        return try JSONDecoder().decode(Body.self, from: data)
    } catch {
        throw ControllerRefusal.invalid(
            "the request's body is not understood: \(error)", hint: "Use a pgha of the same version.")
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

/// All that changes state needs the cluster's token. Compared in constant time.
struct TokenMiddleware: RouterMiddleware {
    let token: WireSecret

    func handle(
        _ request: Request, context: BasicRequestContext,
        next: (Request, BasicRequestContext) async throws -> Response
    ) async throws -> Response {
        let expected = Array("Bearer \(self.token.value)".utf8)
        let given = Array((request.headers[.authorization] ?? "").utf8)
        var difference = UInt8(expected.count == given.count ? 0 : 1)
        for (index, byte) in expected.enumerated() { difference |= byte ^ (index < given.count ? given[index] : 0) }
        guard difference == 0 else {
            throw ControllerRefusal(
                code: "unauthorized", message: "the token is missing or wrong",
                hint: "Give the cluster's token with --token-file.")
        }
        return try await next(request, context)
    }
}
