internal import PGHAWire

/// What log-ins need and files hold. A reload makes a new one; connections keep what they began with.
final class Security: Sendable {
    /// nil where clients are not offered TLS.
    let clientTLS: TLSContext?
    /// nil where servers are not asked for TLS.
    let serverTLS: TLSContext?
    let users: [WireText: KnownUser]
    let mockSecret: Secret

    /// `random` counts where the configuration has no secret at all.
    init(_ configuration: PoolerConfiguration, random: Secret) throws(PoolerFailure) {
        let authentication = configuration.authentication
        let file = try authentication.usersFile.map { path throws(PoolerFailure) in
            (path: path, content: try SecretFile.read(path))
        }
        // What all poolers of a cluster have in common, as servers of a cluster have `mock_authentication_nonce`.
        let shared = authentication.lookup.flatMap { configuration.passwords[$0.user] }
        let secret = shared ?? authentication.mockSecret ?? file?.content ?? random
        let mockSecret = SCRAMVerifier.mockSecret(of: secret)
        self.mockSecret = mockSecret
        self.clientTLS = try TLSContext.forClients(configuration.clientTLS)
        self.serverTLS = try TLSContext.forServers(configuration.serverTLS)
        self.users =
            try file.map { file throws(PoolerFailure) in
                try UsersFile(path: file.path, content: file.content, mockSecret: mockSecret).users
            } ?? [:]
    }

    /// When the first certificate of each file expires, in seconds since 1970, by the file's setting.
    var expiries: [String: Int] {
        var expiries: [String: Int] = [:]
        for (prefix, context) in [("", self.clientTLS), ("server_", self.serverTLS)] {
            expiries["\(prefix)tls_cert_file"] = context?.expires
            expiries["\(prefix)tls_ca_file"] = context?.authorityExpires
        }
        return expiries
    }
}
