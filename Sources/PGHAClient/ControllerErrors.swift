package import PGHACore

/// Why a controller did not do what it was asked: the body of every answer other than 2xx.
package struct ControllerRefusal: Error, Hashable, Sendable, Codable {
    /// Stable; for programs: `busy`, `unknown_node`, `no_cluster`, `invalid`, `not_ready`, `unauthorized`, …
    package var code: String
    /// For people; holds no secret.
    package var message: String
    /// The next step.
    package var hint: String

    package init(code: String, message: String, hint: String) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    package init(_ refusal: RequestRefusal) {
        self.init(code: refusal.code, message: refusal.message, hint: refusal.hint)
    }

    package static func invalid(_ message: String, hint: String) -> ControllerRefusal {
        ControllerRefusal(code: "invalid", message: message, hint: hint)
    }

    /// The status that fits the code.
    package var httpStatus: Int {
        switch self.code {
        case "unauthorized": 401
        case "no_certificate": 403
        case "unknown_node", "not_found": 404
        case "busy", "cluster_exists", "no_cluster", "not_ready", "halted", "cannot_adopt", "too_few_answers",
            "not_needed":
            409
        default: 422
        }
    }
}

/// What can go wrong when asking a controller.
package enum ControllerFailure: Error, Hashable, Sendable {
    /// No answer: refused, timed out, reset.
    case unreachable(url: String, reason: String)
    /// The controller said no; nothing was changed.
    case refused(ControllerRefusal)
    /// The controller tried and failed (5xx).
    case failed(ControllerRefusal)
    /// The token is missing or wrong.
    case unauthorised(url: String, hasToken: Bool)
    /// Something answered, but not as a controller of this version does.
    case undecodable(url: String, reason: String)
    /// The token file cannot be used.
    case tokenFile(path: String, reason: String)

    /// Stable; for programs.
    package var code: String {
        switch self {
        case .unreachable: "unreachable"
        case .refused(let refusal), .failed(let refusal): refusal.code
        case .unauthorised: "unauthorized"
        case .undecodable: "undecodable"
        case .tokenFile: "token_file"
        }
    }

    /// One line: what happened.
    package var message: String {
        switch self {
        case .unreachable(let url, let reason): "no controller answers at \(url): \(reason)"
        case .refused(let refusal), .failed(let refusal): refusal.message
        case .unauthorised(let url, let hasToken):
            hasToken ? "the controller at \(url) does not accept this token" : "the controller at \(url) needs a token"
        case .undecodable(let url, let reason): "the answer of \(url) was not understood: \(reason)"
        case .tokenFile(let path, let reason): "the token file \(path) cannot be used: \(reason)"
        }
    }

    /// One line: the next step.
    package var hint: String {
        switch self {
        case .unreachable: "Start it ('pgha controller'), or give its address with --controller or PGHA_CONTROLLER."
        case .refused(let refusal), .failed(let refusal): refusal.hint
        case .unauthorised: "Give the cluster's token with --token-file or PGHA_TOKEN_FILE."
        case .undecodable: "Check that the address is a pgha controller's, and that both have the same version."
        case .tokenFile: "Give a file that holds the token alone and that you may read."
        }
    }
}
