import HTTPTypes
import Hummingbird
import PGHAClient
import PGHAHTTP

/// The agent's answers: values and failures as JSON.
enum JSONAnswer {
    static func make(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        try JSONBody.response(value, status: status)
    }

    static func failure(_ failure: AgentFailure) throws -> Response {
        try self.make(failure, status: self.status(of: failure))
    }

    static func body<Value: Decodable>(_ request: Request, as type: Value.Type) async throws -> Value {
        do {
            return try await JSONBody.decode(request, as: type)
        } catch let error as JSONBody.Misunderstood {
            throw AgentFailure(
                code: "bad_request", message: "The body is not understood: \(error.place)",
                hint: "See the reference of the agent's HTTP interface.")
        }
    }

    private static func status(of failure: AgentFailure) -> HTTPResponse.Status {
        switch failure.code {
        case "unauthorized": .unauthorized
        case "no_certificate": .forbidden
        case "bad_request", "invalid_setup", "managed_setting": .badRequest
        case "older_pledge", "busy", "superseded", "foreign_cluster", "data_directory_not_empty", "half_rewound",
            "standby_signal_missing", "no_data_directory", "rebuild_needed", "not_running", "no_setup":
            .conflict
        case "unknown_diverged": .notFound
        case "leader_unreadable": .badGateway
        case "no_room": .init(code: 507, reasonPhrase: "Insufficient Storage")
        default: .internalServerError
        }
    }
}
