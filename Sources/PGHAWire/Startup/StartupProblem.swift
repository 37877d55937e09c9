/// Why a first packet is refused. The texts are PostgreSQL's own where it has one, because drivers and people search
/// for them.
package enum StartupProblem: Error, Hashable, Sendable {
    /// Bytes by the length word. Most often something else than PostgreSQL's protocol: HTTP, a port scan.
    case invalidLength(UInt32)
    case invalidRequest
    case invalidCancelKeyLength(Int)
    case unsupportedVersion(ProtocolVersion)
    /// The parameters do not end where the packet ends.
    case unterminated
    case missingUser
    case invalidReplication(WireText)
    case options(OptionsProblem)
    /// A second SSLRequest or GSSENCRequest, or one inside of TLS.
    case repeatedNegotiation
    /// Bytes that came with the request and before the handshake: an attacker in the middle could have put them
    /// there to be taken for the client's (CVE-2021-23214, CVE-2021-3935).
    case bytesBehindRequest
    /// A TLS hello where TLS is not offered.
    case unexpectedTLS

    package var sqlState: SQLState {
        switch self {
        case .unsupportedVersion: .featureNotSupported
        case .missingUser: .invalidAuthorization
        case .invalidReplication: .invalidParameterValue
        case .options: .syntaxError
        default: .protocolViolation
        }
    }

    package var message: String {
        switch self {
        case .invalidLength: "invalid length of startup packet"
        case .invalidRequest: "invalid encryption request"
        case .invalidCancelKeyLength: "invalid length of cancel request key"
        case .unsupportedVersion(let version):
            "unsupported frontend protocol \(version.major).\(version.minor): server supports 3.0 to 3.2"
        case .unterminated: "invalid startup packet layout: expected terminator as last byte"
        case .missingUser: "no PostgreSQL user name specified in startup packet"
        case .invalidReplication(let value): "invalid value for parameter \"replication\": \"\(value)\""
        case .options(let problem): problem.message
        case .repeatedNegotiation: "encryption may be negotiated once only"
        case .bytesBehindRequest: "received unencrypted data after encryption request"
        case .unexpectedTLS: "received direct TLS connection, but TLS is not enabled"
        }
    }
}

/// What is wrong with a client's `options`.
package enum OptionsProblem: Error, Hashable, Sendable {
    /// `-c name` or `--name` without `=`.
    case missingValue(WireText)
    /// `-c` as the last word.
    case missingArgument
    /// A switch of the server's command line that is no setting by name, such as `-F`.
    case unsupportedSwitch(WireText)
    /// A word that is no switch.
    case unexpectedWord(WireText)

    package var message: String {
        switch self {
        case .missingValue(let word): "\(word) requires a value"
        case .missingArgument: "option requires an argument: -c"
        case .unsupportedSwitch(let word):
            "unsupported switch in \"options\": \(word) (write -c name=value)"
        case .unexpectedWord(let word): "invalid command-line argument for server process: \(word)"
        }
    }
}
