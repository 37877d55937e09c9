package import PGHACore

/// Why a session could not be opened, or a statement gave no result.
package struct PostgresError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Kind: String, Sendable, Hashable {
        /// ECONNREFUSED, or the Unix socket is not there.
        case refused
        /// An established connection was reset or closed by the other side.
        case reset
        /// No answer within the time allowed, or no route.
        case timedOut
        /// The host name has no address, now or at all.
        case cannotResolve
        case tls
        /// The server asks for a password that we lack, or the exchange failed. A refusal by the server has a
        /// SQLSTATE and this kind too.
        case authentication
        /// The server answered with an error; `sqlstate` is set.
        case server
        /// The answer is not what the caller's types allow.
        case undecodable
        /// This side has closed the session.
        case closed
        /// The task was cancelled; the session is closed and the statement's outcome unknown.
        case cancelled
        /// libpq refused to start: bad parameters or no memory.
        case client
    }

    package let kind: Kind
    /// As the server sent it; nil when no server said anything.
    package let sqlstate: String?
    /// For people; one line.
    package let message: String

    package init(_ kind: Kind, sqlstate: String? = nil, message: String) {
        self.kind = kind
        self.sqlstate = sqlstate
        self.message = message
    }

    package var description: String {
        self.sqlstate.map { "\(self.kind.rawValue) (\($0)): \(self.message)" }
            ?? "\(self.kind.rawValue): \(self.message)"
    }

    /// What this error says about the server when a probe met it.
    package var probeFailure: ProbeFailure {
        if let code = self.sqlstate {
            switch code {
            case "57P03": return .startingUp
            // The session was ended by an administrator or by the crash of another backend.
            case "57P01", "57P02": return .reset
            default: return .aliveBut(code: code, message: self.message)
            }
        }
        switch self.kind {
        case .refused: return .refused
        case .reset, .closed: return .reset
        // A name that does not resolve says nothing about the server; like silence it must persist to count.
        case .timedOut, .cannotResolve, .cancelled, .client: return .timedOut
        // 28000 invalid_authorization_specification, 08001 unable_to_establish_sqlconnection: what the server
        // would have said if libpq had not given up first.
        case .authentication: return .aliveBut(code: "28000", message: self.message)
        case .tls, .server: return .aliveBut(code: "08001", message: self.message)
        case .undecodable: return .undecodable(self.message)
        }
    }

    /// What this error says to a procedure.
    package var nodeFailure: NodeFailure {
        switch self.kind {
        case .refused, .reset, .timedOut, .cannotResolve, .closed, .cancelled: .unreachable(self.description)
        case .tls, .authentication, .server, .undecodable, .client: .other(self.description)
        }
    }
}
