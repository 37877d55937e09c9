extension PoolerConfiguration {
    /// How much TLS one side wants, in libpq's words.
    package enum TLSMode: String, CaseIterable, Sendable {
        case disable
        /// If the other side asks for it.
        case allow
        /// If the other side can.
        case prefer
        case require
        /// And a certificate that the authority signed.
        case verifyCA = "verify-ca"
        /// And whose name is the right one.
        case verifyFull = "verify-full"

        var isCompulsory: Bool {
            switch self {
            case .disable, .allow, .prefer: false
            case .require, .verifyCA, .verifyFull: true
            }
        }

        var verifies: Bool { self == .verifyCA || self == .verifyFull }
    }

    /// The oldest version of the protocol that is spoken.
    package enum TLSVersion: String, CaseIterable, Sendable {
        case v12 = "TLSv1.2"
        case v13 = "TLSv1.3"
    }

    /// Towards clients. Never on Unix sockets.
    package struct ClientTLS: Equatable, Sendable {
        /// `allow` and `prefer` leave it to the client. `verify-ca` and `verify-full` want a certificate of every
        /// client; whether its name is the user's is for the rules to say (`clientcert`, `cert`).
        package var mode = TLSMode.disable
        /// Files in PEM. The key must be readable for its owner alone, or for root and a group.
        package var certificateFile: String?
        package var keyFile: String?
        /// Who signs clients' certificates; none is asked for without it.
        package var authorityFile: String?
        package var minimumVersion = TLSVersion.v12

        package init() {}
    }

    /// Towards servers. Never on Unix sockets.
    package struct ServerTLS: Equatable, Sendable {
        /// `allow` is `disable` here: a server never asks.
        package var mode = TLSMode.prefer
        /// Who signs servers' certificates; compulsory for the verifying modes.
        package var authorityFile: String?
        /// The pooler's own, for servers that ask for one.
        package var certificateFile: String?
        package var keyFile: String?
        /// The name that `verify-full` looks for in every server's certificate; nil: the address that the topology
        /// has of the server.
        package var serverName: String?
        package var minimumVersion = TLSVersion.v12

        package init() {}
    }
}
