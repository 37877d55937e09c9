/// One line: who may log in from where, and how they prove who they are.
package struct HBARule: Hashable, Sendable {
    package enum ConnectionType: String, CaseIterable, Sendable {
        case local
        case host
        case hostssl
        case hostnossl
    }

    package enum Method: String, CaseIterable, Sendable {
        case trust
        case reject
        case scramSHA256 = "scram-sha-256"
        /// SCRAM where the role has a verifier, MD5 where it has only that: as in PostgreSQL.
        case md5
        /// In the clear: for the console over TLS, and for clients that know nothing else.
        case password
        case cert
        case peer

        static let list = Self.allCases.map(\.rawValue).joined(separator: ", ")
    }

    /// What a certificate is asked for besides the method.
    package enum ClientCertificate: String, CaseIterable, Sendable {
        /// Signed by the authority.
        case verifyCA = "verify-ca"
        /// And its name is the user's, or maps to it.
        case verifyFull = "verify-full"
    }

    /// Which name of a certificate counts.
    package enum ClientName: String, CaseIterable, Sendable {
        case commonName = "CN"
        case distinguishedName = "DN"
    }

    enum Database: Hashable, Sendable {
        case all
        case sameUser
        case replication
        case named(WireText)
    }

    enum User: Hashable, Sendable {
        case all
        case named(WireText)
    }

    enum Address: Hashable, Sendable {
        case all
        case network(IPAddress, bits: Int)
    }

    /// From 1, for messages.
    package let line: Int
    package let type: ConnectionType
    let databases: [Database]
    let users: [User]
    /// `all` for local lines.
    let address: Address
    package let method: Method
    /// The identity map to go by; nil: names must be equal.
    package let map: String?
    package let clientCertificate: ClientCertificate?
    package let clientName: ClientName

    func matches(_ login: HBALogin) -> Bool {
        self.matches(login.origin) && self.databases.contains { $0.matches(login) }
            && self.users.contains { $0.matches(login.user) }
    }

    private func matches(_ origin: HBALogin.Origin) -> Bool {
        switch (origin, self.type) {
        case (.unixSocket, .local): true
        case (.network(let address, _), .host): self.address.holds(address)
        case (.network(let address, let isEncrypted), .hostssl): isEncrypted && self.address.holds(address)
        case (.network(let address, let isEncrypted), .hostnossl): !isEncrypted && self.address.holds(address)
        default: false
        }
    }
}

extension HBARule.Database {
    /// Connections for physical replication name no database: only the keyword is meant for them.
    func matches(_ login: HBALogin) -> Bool {
        switch self {
        case .replication: login.isPhysicalReplication
        case .all: !login.isPhysicalReplication
        case .sameUser: !login.isPhysicalReplication && login.database == login.user
        case .named(let name): !login.isPhysicalReplication && login.database == name
        }
    }
}

extension HBARule.User {
    func matches(_ user: WireText) -> Bool {
        switch self {
        case .all: true
        case .named(let name): user == name
        }
    }
}

extension HBARule.Address {
    func holds(_ address: IPAddress) -> Bool {
        switch self {
        case .all: true
        case .network(let network, let bits): address.shares(bits, bitsWith: network)
        }
    }
}

/// A log-in as the rules see it.
package struct HBALogin: Sendable {
    package enum Origin: Hashable, Sendable {
        case unixSocket
        case network(IPAddress, isEncrypted: Bool)
    }

    package let database: WireText
    package let user: WireText
    package let isPhysicalReplication: Bool
    package let origin: Origin

    package init(_ message: StartupMessage, from origin: Origin) {
        self.database = message.database
        self.user = message.user
        self.isPhysicalReplication = message.replication == .physical
        self.origin = origin
    }
}
