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
    package struct Setting: Hashable, Sendable {
        package var value: String
        /// As `pg_settings.source`: `configuration file`, `command line`, …
        package var source: String
        package var pendingRestart: Bool

        package init(value: String, source: String, pendingRestart: Bool) {
            self.value = value
            self.source = source
            self.pendingRestart = pendingRestart
        }
    }

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

    /// As `server_version_num`.
    package var version: Int
    package var systemIdentifier: UInt64
    package var inRecovery: Bool
    package var timeline: TimelineID
    package var settings: [String: Setting]
    package var overrides: [Override]
    package var role: String
    /// Rights that the controller's role needs and lacks, in words.
    package var missingRights: [String]
    /// The server's clock minus this machine's, and how far off that may be.
    package var clockOffset: Duration
    package var clockError: Duration

    package init(
        version: Int, systemIdentifier: UInt64, inRecovery: Bool, timeline: TimelineID, settings: [String: Setting],
        overrides: [Override], role: String, missingRights: [String], clockOffset: Duration, clockError: Duration
    ) {
        self.version = version
        self.systemIdentifier = systemIdentifier
        self.inRecovery = inRecovery
        self.timeline = timeline
        self.settings = settings
        self.overrides = overrides
        self.role = role
        self.missingRights = missingRights
        self.clockOffset = clockOffset
        self.clockError = clockError
    }

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
