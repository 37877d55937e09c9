internal import PGHAWire

/// What log-ins need and files hold. A reload makes a new one; connections keep what they began with.
final class Security: Sendable {
    /// nil where clients are not offered TLS.
    let clientTLS: TLSContext?
    /// nil where servers are not asked for TLS.
    let serverTLS: TLSContext?
    let users: [WireText: KnownUser]
    let mockSecret: Secret

    /// `mockSecret` counts where the configuration has none.
    init(_ configuration: PoolerConfiguration, mockSecret: Secret) throws(PoolerFailure) {
        self.mockSecret = configuration.authentication.mockSecret ?? mockSecret
        self.clientTLS = try TLSContext.forClients(configuration.clientTLS)
        self.serverTLS = try TLSContext.forServers(configuration.serverTLS)
        if let path = configuration.authentication.usersFile {
            self.users = try UsersFile(path: path, mockSecret: self.mockSecret).users
        } else {
            self.users = [:]
        }
    }
}
