/// `POST /v1/poolers/NAME/figures`: how busy a pooler is, as it says itself.
package struct PoolerFigures: Hashable, Sendable, Codable {
    /// The term of the leader that it follows.
    package var term: UInt64
    /// Whether transactions that write can begin there.
    package var hasLeader: Bool
    /// Connections of clients, those that log in included.
    package var clients: Int
    /// Clients that wait for a server.
    package var waiting: Int
    /// How long the first of them has waited.
    package var longestWaitMilliseconds: UInt64
    /// Connections to servers, and those of them that are in use.
    package var servers: Int
    package var serversActive: Int
    /// What ended since the report before, for each second.
    package var transactions: Double
    package var statements: Double
    /// Errors that servers reported, for each second.
    package var errors: Double

    package init(
        term: UInt64, hasLeader: Bool, clients: Int, waiting: Int, longestWaitMilliseconds: UInt64, servers: Int,
        serversActive: Int, transactions: Double, statements: Double, errors: Double
    ) {
        self.term = term
        self.hasLeader = hasLeader
        self.clients = clients
        self.waiting = waiting
        self.longestWaitMilliseconds = longestWaitMilliseconds
        self.servers = servers
        self.serversActive = serversActive
        self.transactions = transactions
        self.statements = statements
        self.errors = errors
    }

    enum CodingKeys: String, CodingKey {
        case term, clients, waiting, servers
        case hasLeader = "has_leader"
        case longestWaitMilliseconds = "longest_wait_ms"
        case serversActive = "servers_active"
        case transactions = "transactions_per_second"
        case statements = "statements_per_second"
        case errors = "errors_per_second"
    }
}

extension WatchReport {
    /// A pooler that follows the controller by name.
    package struct Pooler: Hashable, Sendable, Codable {
        package var name: String
        /// Nil until it has said anything.
        package var figures: PoolerFigures?
        /// How long ago it said so.
        package var ageMilliseconds: Int64?

        package init(name: String, figures: PoolerFigures?, ageMilliseconds: Int64?) {
            self.name = name
            self.figures = figures
            self.ageMilliseconds = ageMilliseconds
        }

        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(self.name, forKey: .name)
            try container.encode(self.figures, forKey: .figures)
            try container.encode(self.ageMilliseconds, forKey: .ageMilliseconds)
        }

        enum CodingKeys: String, CodingKey {
            case name, figures
            case ageMilliseconds = "age_ms"
        }
    }
}
