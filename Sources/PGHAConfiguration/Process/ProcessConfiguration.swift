package import PGHACore

/// How messages are written.
package struct LogConfiguration: Hashable, Sendable {
    package enum Format: String, Hashable, Sendable, CaseIterable {
        case logfmt, json
    }

    /// A level of swift-log: `info`.
    package let level: String
    package let format: Format

    /// For a program without settings of its own.
    package init(level: String) {
        self.level = level
        self.format = .logfmt
    }

    init(_ layers: SettingLayers) throws(ConfigurationError) {
        self.level = try layers.required("log_level")
        self.format = Format(rawValue: try layers.required("log_format")) ?? .logfmt
    }
}

/// Files for TLS of HTTP. Nil: not set.
package struct HTTPTLSConfiguration: Hashable, Sendable {
    package let certificate: String?
    package let key: String?
    package let authority: String?

    init(_ layers: SettingLayers) throws(ConfigurationError) {
        self.certificate = try layers.text("http_tls_cert_file")
        self.key = try layers.text("http_tls_key_file")
        self.authority = try layers.text("http_tls_ca_file")
    }
}

/// The settings of `pgha controller`.
package struct ControllerConfiguration: Hashable, Sendable {
    package let listen: ListenAddress
    package let storePath: String
    package let tokenFile: String
    package let passfile: String
    /// On the hosts of servers without an agent; nil: libpq's own place.
    package let replicationPassfile: String?
    /// A mode of libpq.
    package let sslMode: String
    /// Nil: libpq's own place.
    package let sslRootCert: String?
    package let tls: HTTPTLSConfiguration
    package let log: LogConfiguration

    /// Flags over `environment` over `file` (path and text) over the defaults. `flags` go by key: `token_file`.
    package init(
        file: (path: String, text: String)?, environment: [String: String], flags: [String: String] = [:]
    ) throws(ConfigurationError) {
        let layers = try SettingLayers(.controller, file: file, environment: environment, flags: flags)
        self.listen = try layers.listenAddress()
        self.storePath = try layers.required("store")
        self.tokenFile = try layers.required("token_file")
        self.passfile = try layers.required("passfile")
        self.replicationPassfile = try layers.text("replication_passfile")
        self.sslMode = try layers.required("sslmode")
        self.sslRootCert = try layers.text("sslrootcert")
        self.tls = try HTTPTLSConfiguration(layers)
        self.log = try LogConfiguration(layers)
    }
}

/// The settings of `pgha agent`.
package struct AgentConfiguration: Hashable, Sendable {
    package let node: NodeName
    package let directory: String
    /// Nil: in `directory`.
    package let data: String?
    package let listen: ListenAddress
    package let tokenFile: String
    /// Nil: looked for.
    package let binaryDirectory: String?
    /// Whether PostgreSQL is shut down with the agent.
    package let stopsServer: Bool
    /// Whether a gate in another container starts PostgreSQL.
    package let isExternal: Bool
    /// Who may reach the server's socket; nil: the agent's user alone.
    package let socketGroup: String?
    package let tls: HTTPTLSConfiguration
    package let log: LogConfiguration

    /// Flags over `environment` over `file` (path and text) over the defaults. `flags` go by key: `token_file`.
    package init(
        file: (path: String, text: String)?, environment: [String: String], flags: [String: String] = [:]
    ) throws(ConfigurationError) {
        let layers = try SettingLayers(.agent, file: file, environment: environment, flags: flags)
        let name = try layers.required("node")
        guard let node = NodeName(name) else {
            throw ConfigurationError(
                .nowhere, .wrongValue(key: "agent.node", value: name, expected: SettingKind.nodeName.expectation))
        }
        self.node = node
        self.directory = try layers.required("dir")
        self.data = try layers.text("data")
        self.listen = try layers.listenAddress()
        self.tokenFile = try layers.required("token_file")
        self.binaryDirectory = try layers.text("pg_bindir")
        self.isExternal = try layers.required("supervise") == "external"
        self.stopsServer = try layers.required("at_exit") == "stop"
        self.socketGroup = try layers.text("socket_group")
        self.tls = try HTTPTLSConfiguration(layers)
        self.log = try LogConfiguration(layers)
    }
}

extension SettingLayers {
    fileprivate func listenAddress() throws(ConfigurationError) -> ListenAddress {
        let text = try self.required("listen")
        guard let address = ListenAddress(text) else {
            throw ConfigurationError(
                .nowhere, .wrongValue(key: "listen", value: text, expected: SettingKind.listenAddress.expectation))
        }
        return address
    }
}
