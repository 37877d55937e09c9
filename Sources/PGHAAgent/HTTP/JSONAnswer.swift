import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import PGHAClient

/// JSON bodies both ways.
enum JSONAnswer {
    /// Largest body of a request. Bytes.
    private static let requestLimit = 1 << 20

    static func make(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: Array(try JSONEncoder().encode(value)))))
    }

    static func failure(_ failure: AgentFailure, status: HTTPResponse.Status? = nil) throws -> Response {
        try self.make(failure, status: status ?? self.status(of: failure))
    }

    /// Decodes the body; an empty one counts as `{}`.
    static func body<Value: Decodable>(_ request: Request, as type: Value.Type) async throws -> Value {
        let buffer = try await request.body.collect(upTo: self.requestLimit)
        let data = buffer.readableBytes == 0 ? Data("{}".utf8) : Data(buffer.readableBytesView)
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch let error as DecodingError {
            throw AgentFailure(
                code: "bad_request", message: "The body is not understood: \(Self.place(error))",
                hint: "See the reference of the agent's HTTP interface.")
        }
    }

    /// What is wrong, without the value: that may be a password.
    private static func place(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "\(key.stringValue) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            "value of \(context.codingPath.map(\.stringValue).joined(separator: "."))"
        @unknown default: "unknown"
        }
    }

    private static func status(of failure: AgentFailure) -> HTTPResponse.Status {
        switch failure.code {
        case "bad_request", "invalid_setup", "managed_setting": .badRequest
        case "older_pledge", "busy", "superseded", "foreign_cluster", "data_directory_not_empty", "half_rewound",
            "standby_signal_missing", "no_data_directory", "rebuild_needed", "not_running", "no_setup":
            .conflict
        case "leader_unreadable": .badGateway
        case "no_room": .init(code: 507, reasonPhrase: "Insufficient Storage")
        default: .internalServerError
        }
    }
}
