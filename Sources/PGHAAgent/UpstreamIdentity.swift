import PGHAClient
import PGHACore

/// What of a `primary_conninfo` says whom a standby follows and as whom. Two settings with the same identity mean the
/// same stream, whoever wrote them: the agent, or the controller over SQL.
struct UpstreamIdentity: Hashable, Sendable {
    var host: String
    var port: String
    var name: String

    init(leader: AgentUpstream, name: ReplicationName) {
        self.host = leader.host
        self.port = "\(leader.port)"
        self.name = name.description
    }

    /// Nil when a part is missing or the text is not understood. Source: PostgreSQL manual, "Keyword/Value Connection
    /// Strings".
    init?(conninfo text: String) {
        var pairs: [String: String] = [:]
        var rest = Substring(text)
        while true {
            rest = rest.drop { $0.isWhitespace }
            guard !rest.isEmpty else { break }
            guard let equals = rest.firstIndex(of: "=") else { return nil }
            let keyword = rest[..<equals].filter { !$0.isWhitespace }
            rest = rest[rest.index(after: equals)...].drop { $0.isWhitespace }
            guard let value = Self.value(&rest) else { return nil }
            pairs[keyword] = value
        }
        guard let host = pairs["host"], let port = pairs["port"], let name = pairs["application_name"] else {
            return nil
        }
        self.host = host
        self.port = port
        self.name = name
    }

    private static func value(_ rest: inout Substring) -> String? {
        var result = ""
        let isQuoted = rest.first == "'"
        if isQuoted { rest = rest.dropFirst() }
        while let character = rest.popFirst() {
            if character == "\\" {
                guard let next = rest.popFirst() else { return nil }
                result.append(next)
            } else if isQuoted ? character == "'" : character.isWhitespace {
                return result
            } else {
                result.append(character)
            }
        }
        return isQuoted ? nil : result
    }
}
