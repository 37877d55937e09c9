package import PGHACore

/// A password on its way to the one who needs it; never printed.
package struct WireSecret: Hashable, Sendable, Codable, CustomStringConvertible, CustomDebugStringConvertible {
    package let value: String

    package init(_ value: String) { self.value = value }

    package var description: String { "***" }
    package var debugDescription: String { "***" }

    package init(from decoder: any Decoder) throws {
        self.value = try decoder.singleValueContainer().decode(String.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.value)
    }
}

/// Where a server listens, for those that stream or copy from it.
package struct AgentUpstream: Hashable, Sendable, Codable {
    package var name: NodeName
    package var host: String
    package var port: Int

    package init(name: NodeName, host: String, port: Int) {
        self.name = name
        self.host = host
        self.port = port
    }
}

/// One line of `pg_hba.conf` for clients. Fields as PostgreSQL spells them ("The pg_hba.conf File").
package struct HBARule: Hashable, Sendable, Codable {
    /// `host`, `hostssl`, `hostnossl`, `local`.
    package var type: String
    package var database: String
    package var user: String
    /// A network, `samehost`, `samenet`, `all`; nil with `local`.
    package var address: String?
    package var method: String

    package init(type: String, database: String, user: String, address: String?, method: String) {
        self.type = type
        self.database = database
        self.user = user
        self.address = address
        self.method = method
    }
}

/// What the agent needs to configure its server, whichever way the data directory comes to be.
package struct ServerSetup: Hashable, Sendable, Codable {
    /// `listen_addresses`.
    package var listenAddresses: [String]
    package var port: Int
    /// Settings of PostgreSQL by name; those that pgha manages are refused.
    package var settings: [String: String]
    /// From where the roles of pgha may connect: networks, `samehost`, `samenet`, `all`.
    package var trustedNetworks: [String]
    /// Access rules for clients.
    package var access: [HBARule]
    /// The password of `pgha_replica`, with which standbys stream. Nil keeps the one the agent has.
    package var replicationPassword: WireSecret?
    /// How long saved WAL is kept; nil: for ever.
    package var keepDivergedSeconds: Int64?

    package init(
        listenAddresses: [String] = ["localhost"], port: Int, settings: [String: String] = [:],
        trustedNetworks: [String] = ["samehost", "127.0.0.1/32", "::1/128"], access: [HBARule] = [],
        replicationPassword: WireSecret? = nil
    ) {
        self.listenAddresses = listenAddresses
        self.port = port
        self.settings = settings
        self.trustedNetworks = trustedNetworks
        self.access = access
        self.replicationPassword = replicationPassword
    }
}

/// A role that `initialize` makes for the cluster's users.
package struct RoleSetup: Hashable, Sendable, Codable {
    package var name: String
    package var password: WireSecret?

    package init(name: String, password: WireSecret?) {
        self.name = name
        self.password = password
    }
}

/// A database that `initialize` makes.
package struct DatabaseSetup: Hashable, Sendable, Codable {
    package var name: String
    /// The superuser when nil.
    package var owner: String?

    package init(name: String, owner: String?) {
        self.name = name
        self.owner = owner
    }
}

/// `POST /v1/fence`.
package struct FenceRequest: Hashable, Sendable, Codable {
    package var pledge: Pledge
    /// A fast shutdown, so that the shutdown checkpoint reaches the standbys; otherwise an immediate one.
    package var clean: Bool
    /// How long a clean stop may take before it becomes an immediate one; 5 s when nil.
    package var drainMilliseconds: Int?

    package init(pledge: Pledge, clean: Bool, drainMilliseconds: Int? = nil) {
        self.pledge = pledge
        self.clean = clean
        self.drainMilliseconds = drainMilliseconds
    }
}

/// `POST /v1/start-leader`.
package struct StartLeaderRequest: Hashable, Sendable, Codable {
    package var pledge: Pledge

    package init(pledge: Pledge) { self.pledge = pledge }
}

/// `POST /v1/start-standby`.
package struct StartStandbyRequest: Hashable, Sendable, Codable {
    package var pledge: Pledge

    package init(pledge: Pledge) { self.pledge = pledge }
}

/// `POST /v1/rejoin`.
package struct RejoinRequest: Hashable, Sendable, Codable {
    package var pledge: Pledge
    package var leader: AgentUpstream
    package var replicationName: ReplicationName
    /// What may be done to the data; with `discard` the old data may go before the new is there, when there is no
    /// room for both.
    package var mode: RejoinMode
    /// As `pg_basebackup --max-rate` takes it: `32M`, `512k`.
    package var maxRate: String?
    /// The server to copy from; the leader when nil.
    package var source: AgentUpstream?
    /// Nil: as the agent was told last.
    package var server: ServerSetup?

    package init(
        pledge: Pledge, leader: AgentUpstream, replicationName: ReplicationName, mode: RejoinMode = .rebuild,
        maxRate: String? = nil, source: AgentUpstream? = nil, server: ServerSetup? = nil
    ) {
        self.pledge = pledge
        self.leader = leader
        self.replicationName = replicationName
        self.mode = mode
        self.maxRate = maxRate
        self.source = source
        self.server = server
    }
}

/// `POST /v1/initialize`.
package struct InitializeRequest: Hashable, Sendable, Codable {
    package var pledge: Pledge
    package var server: ServerSetup
    /// The password of `pgha_control`.
    package var controlPassword: WireSecret?
    /// The password of `pgha_pooler`. Nil: poolers look nobody up.
    package var poolerPassword: WireSecret?
    package var roles: [RoleSetup]
    package var databases: [DatabaseSetup]

    package init(
        pledge: Pledge, server: ServerSetup, controlPassword: WireSecret?, poolerPassword: WireSecret? = nil,
        roles: [RoleSetup] = [], databases: [DatabaseSetup] = []
    ) {
        self.pledge = pledge
        self.server = server
        self.controlPassword = controlPassword
        self.poolerPassword = poolerPassword
        self.roles = roles
        self.databases = databases
    }
}

/// `POST /v1/adopt`: prepares a running server that somebody else made.
package struct AdoptRequest: Hashable, Sendable, Codable {
    package var server: ServerSetup
    /// The password of `pgha_control`.
    package var controlPassword: WireSecret?
    /// The password of `pgha_pooler`. Nil: it stays as it is.
    package var poolerPassword: WireSecret?

    package init(server: ServerSetup, controlPassword: WireSecret?, poolerPassword: WireSecret? = nil) {
        self.server = server
        self.controlPassword = controlPassword
        self.poolerPassword = poolerPassword
    }
}

/// `POST /v1/end-sessions`: ends superusers' sessions that hold replay up.
package struct EndSessionsRequest: Hashable, Sendable, Codable {
    package var pledge: Pledge

    package init(pledge: Pledge) { self.pledge = pledge }
}

/// How a server is stopped; PostgreSQL manual, "Shutting Down the Server".
package enum StopMode: String, Hashable, Sendable, Codable, CaseIterable {
    case smart, fast, immediate
}

/// `POST /v1/stop`, `/v1/restart`.
package struct StopRequest: Hashable, Sendable, Codable {
    package var mode: StopMode
    /// Refused when the agent holds a newer pledge; nil for an operator's request.
    package var pledge: Pledge?

    package init(mode: StopMode = .fast, pledge: Pledge? = nil) {
        self.mode = mode
        self.pledge = pledge
    }
}

/// `POST /v1/start`, `/v1/reload`.
package struct PlainRequest: Hashable, Sendable, Codable {
    package var pledge: Pledge?

    package init(pledge: Pledge? = nil) { self.pledge = pledge }
}

/// `POST /v1/settings`: writes the managed files again and reloads.
package struct SettingsRequest: Hashable, Sendable, Codable {
    package var pledge: Pledge?
    package var server: ServerSetup

    package init(pledge: Pledge? = nil, server: ServerSetup) {
        self.pledge = pledge
        self.server = server
    }
}

/// What came of a request that changes something. Only the fields that the request calls for are set.
package struct AgentResult: Hashable, Sendable, Codable {
    package var position: WALPosition?
    package var systemIdentifier: UInt64?
    /// `follow`, `rewind`, `clone`, `unchanged`: how a rejoin went.
    package var method: String?
    /// Where WAL that only this server held was saved.
    package var saved: String?
    /// Settings that wait for a restart.
    package var pendingRestart: [String]?

    package init(
        position: WALPosition? = nil, systemIdentifier: UInt64? = nil, method: String? = nil, saved: String? = nil,
        pendingRestart: [String]? = nil
    ) {
        self.position = position
        self.systemIdentifier = systemIdentifier
        self.method = method
        self.saved = saved
        self.pendingRestart = pendingRestart
    }
}

/// Why an agent did not do what it was asked. The body of every answer other than 2xx.
package struct AgentFailure: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// Stable; for programs: `older_pledge`, `unauthorized`, `data_directory_not_empty`, …
    package var code: String
    /// For people; holds no secret.
    package var message: String
    /// What to do next.
    package var hint: String
    /// With `older_pledge`: the agent's pledge and the request's.
    package var holding: Pledge?
    package var asked: Pledge?
    /// With `foreign_cluster`: the system identifier that the data directory has.
    package var systemIdentifier: UInt64?

    package init(
        code: String, message: String, hint: String, holding: Pledge? = nil, asked: Pledge? = nil,
        systemIdentifier: UInt64? = nil
    ) {
        self.code = code
        self.message = message
        self.hint = hint
        self.holding = holding
        self.asked = asked
        self.systemIdentifier = systemIdentifier
    }

    package var description: String { "\(self.message) (\(self.code)). \(self.hint)" }
}

/// One line of `GET /v1/events`.
package struct AgentEvent: Hashable, Sendable, Codable {
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// The first line of every stream.
        case facts
        case postmasterStarted
        case postmasterStopped
        case activity
        case problem
        /// The pledge, `standby.signal` or the control data changed.
        case changed
        /// Each second: a stream without it for three seconds is dead.
        case heartbeat
    }

    package var kind: Kind
    /// The whole of the facts, so that a lost line costs nothing.
    package var facts: AgentFacts

    package init(kind: Kind, facts: AgentFacts) {
        self.kind = kind
        self.facts = facts
    }
}
