/// A running server as it was found before it is taken over. Reading it changed nothing.
package struct AdoptableServer: Hashable, Sendable {
    package struct Setting: Hashable, Sendable {
        /// As `pg_settings.setting`.
        package var value: String
        /// As `pg_settings.source`: `configuration file`, `command line`, `default`, …
        package var source: String
        /// Whether a changed value waits for a restart.
        package var pendingRestart: Bool

        package init(_ value: String, source: String = "configuration file", pendingRestart: Bool = false) {
            self.value = value
            self.source = source
            self.pendingRestart = pendingRestart
        }
    }

    /// As `server_version_num`: 150018 for 15.18.
    package var version: Int
    package var systemIdentifier: UInt64
    package var inRecovery: Bool
    package var pledge: Pledge?
    package var position: WALPosition
    /// Those of ``ManagedSettings/surveyed``, where the server knows them.
    package var settings: [String: Setting]
    /// Rights that the controller's role needs and lacks, in words.
    package var missingRights: [String]
    /// Names of replication slots that are not pgha's.
    package var foreignSlots: [String]
    /// Applied scripts of `sql/`.
    package var scripts: [Int]

    package init(
        version: Int, systemIdentifier: UInt64, inRecovery: Bool, pledge: Pledge? = nil, position: WALPosition,
        settings: [String: Setting], missingRights: [String] = [], foreignSlots: [String] = [], scripts: [Int] = []
    ) {
        self.version = version
        self.systemIdentifier = systemIdentifier
        self.inRecovery = inRecovery
        self.pledge = pledge
        self.position = position
        self.settings = settings
        self.missingRights = missingRights
        self.foreignSlots = foreignSlots
        self.scripts = scripts
    }
}

/// What came of looking at one node that is to be taken over.
package struct AdoptionSurvey: Hashable, Sendable {
    package enum Server: Hashable, Sendable {
        case found(AdoptableServer)
        /// As `server_version_num`; nothing else was asked.
        case tooOld(version: Int)
        /// Why it could not be read; for people, without secrets.
        case unreadable(String)
    }

    package enum Agent: Hashable, Sendable {
        case none
        case facts(AgentFacts)
        case silent(String)
    }

    package var server: Server
    package var agent: Agent

    package init(_ server: Server, agent: Agent = .none) {
        self.server = server
        self.agent = agent
    }
}
