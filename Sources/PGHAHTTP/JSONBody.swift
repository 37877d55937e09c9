package import Foundation
package import Hummingbird
import NIOCore

/// JSON bodies both ways, as controller and agent write and read them.
package enum JSONBody {
    /// Largest body of a request. Bytes.
    private static let requestLimit = 1 << 20

    /// Stable output: sorted keys.
    package static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(value)
    }

    package static func response(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: try self.encode(value))))
    }

    /// Decodes the body; an empty one counts as `{}`. Throws ``Misunderstood``.
    package static func decode<Value: Decodable>(_ request: Request, as type: Value.Type) async throws -> Value {
        let buffer = try await request.body.collect(upTo: self.requestLimit)
        let data = buffer.readableBytes == 0 ? Data("{}".utf8) : Data(buffer.readableBytesView)
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch let error as DecodingError {
            throw Misunderstood(place: self.place(error))
        }
    }

    /// A body that is not what the route takes.
    package struct Misunderstood: Error, Hashable, Sendable {
        /// What is wrong, without the value: that may be a password.
        package let place: String
    }

    private static func place(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "\(key.stringValue) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            context.codingPath.isEmpty
                ? "it is not JSON of the kind expected"
                : "value of \(context.codingPath.map(\.stringValue).joined(separator: "."))"
        @unknown default: "unknown"
        }
    }
}
