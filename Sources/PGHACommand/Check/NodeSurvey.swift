package import PGHACore

/// What `pgha check` found out about one node. Plain values: what is unknown is nil.
package struct NodeSurvey: Hashable, Sendable {
    package enum Server: Hashable, Sendable {
        /// There is none and its agent knows that: `pgha init` will make it.
        case notMadeYet
        /// No session and no answer; `text` is libpq's.
        case unreachable(text: String)
        /// It answers, and opens no session.
        case refuses(Refusal, text: String)
        /// Too old to be asked more; as `server_version_num`.
        case tooOld(version: Int)
        case answers(ServerSurvey)
    }

    package enum Refusal: Hashable, Sendable {
        /// Wrong or no password, or no line in pg_hba.conf.
        case role
        case tls
        /// Starting up or shutting down.
        case starting
        /// Anything else, such as too many clients.
        case other
    }

    package enum Agent: Hashable, Sendable {
        case none
        case silent(url: String, reason: String)
        case answers(AgentFacts)
    }

    package var node: NodeSpec
    package var server: Server
    package var agent: Agent

    package init(node: NodeSpec, server: Server, agent: Agent) {
        self.node = node
        self.server = server
        self.agent = agent
    }

    package var answer: ServerSurvey? {
        if case .answers(let survey) = self.server { survey } else { nil }
    }

    package var facts: AgentFacts? {
        if case .answers(let facts) = self.agent { facts } else { nil }
    }
}

/// What a server said of itself.
package struct ServerSurvey: Hashable, Sendable {
    package typealias Setting = AdoptableServer.Setting

    /// A setting that a role or a database overrides.
    package struct Override: Hashable, Sendable {
        /// `role app`, `database shop`, `role app in database shop`.
        package var whose: String
        package var name: String
        package var value: String

        package init(whose: String, name: String, value: String) {
            self.whose = whose
            self.name = name
            self.value = value
        }
    }

    /// What it must show before it is taken over.
    package var server: AdoptableServer
    package var role: String
    package var overrides: [Override]
    /// The server's clock minus this machine's, and how far off that may be.
    package var clockOffset: Duration
    package var clockError: Duration

    package init(
        _ server: AdoptableServer, role: String, overrides: [Override] = [], clockOffset: Duration = .zero,
        clockError: Duration = .zero
    ) {
        self.server = server
        self.role = role
        self.overrides = overrides
        self.clockOffset = clockOffset
        self.clockError = clockError
    }

    /// As `server_version_num`.
    package var version: Int { self.server.version }
    package var systemIdentifier: UInt64 { self.server.systemIdentifier }
    package var inRecovery: Bool { self.server.inRecovery }
    package var timeline: TimelineID { self.server.position.history.timeline }
    package var settings: [String: Setting] { self.server.settings }
    /// Rights that the controller's role needs and lacks, in words.
    package var missingRights: [String] { self.server.missingRights }

    package func value(_ name: String) -> String? { self.settings[name]?.value }

    /// `15.18`.
    package var versionText: String { Self.versionText(self.version) }

    /// Of a `server_version_num`: 150018 is 15.18, 90624 is 9.6.24.
    package static func versionText(_ version: Int) -> String {
        version >= 100_000
            ? "\(version / 10_000).\(version % 10_000)"
            : "\(version / 10_000).\(version / 100 % 100).\(version % 100)"
    }
}
