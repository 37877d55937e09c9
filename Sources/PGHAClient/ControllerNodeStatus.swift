package import PGHACore

extension StatusReport {
    /// One server and the agent beside it, as ``ClusterStatus/Node``.
    package struct Node: Hashable, Sendable, Codable {
        package var name: String
        package var host: String
        package var port: Int
        /// `http://host:port`; nil when the server has no agent.
        package var agent: String?
        /// `primary`, `standby`, `down`, `unknown`.
        package var role: String
        package var state: String
        package var timeline: UInt32?
        /// As PostgreSQL prints it: `16/B374D848`.
        package var lsn: String?
        package var lagBytes: UInt64?
        package var lagSeconds: Double?
        /// `leader`, `quorum`, `observer`.
        package var sync: String
        package var priority: Int
        package var zone: String?
        package var nofailover: Bool
        package var nosync: Bool
        package var noread: Bool
        package var postmasterPID: Int32?
        package var agentPID: Int32?
        /// Age of the newest evidence. Milliseconds; nil when there is none.
        package var evidenceAgeMilliseconds: Int64?
        package var problems: [String]

        package init(_ node: ClusterStatus.Node) {
            self.name = node.spec.name.text
            self.host = node.spec.host
            self.port = node.spec.port
            self.agent = node.spec.agent
            self.role = node.role.rawValue
            self.state = node.state
            self.timeline = node.timeline?.number
            self.lsn = node.position?.description
            self.lagBytes = node.lagBytes
            self.lagSeconds = node.lagSeconds
            self.sync = node.sync.rawValue
            self.priority = node.spec.priority
            self.zone = node.spec.zone
            self.nofailover = node.spec.nofailover
            self.nosync = node.spec.nosync
            self.noread = node.spec.noread
            self.postmasterPID = node.postmasterPID
            self.agentPID = node.agentPID
            self.evidenceAgeMilliseconds = node.evidenceAge?.milliseconds
            self.problems = node.problems
        }

        enum CodingKeys: String, CodingKey {
            case name, host, port, agent, role, state, timeline, lsn, sync, priority, zone, nofailover, nosync, noread
            case problems
            case lagBytes = "lag_bytes"
            case lagSeconds = "lag_seconds"
            case postmasterPID = "postmaster_pid"
            case agentPID = "agent_pid"
            case evidenceAgeMilliseconds = "evidence_age_ms"
        }

        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(self.name, forKey: .name)
            try container.encode(self.host, forKey: .host)
            try container.encode(self.port, forKey: .port)
            try container.encode(self.agent, forKey: .agent)
            try container.encode(self.role, forKey: .role)
            try container.encode(self.state, forKey: .state)
            try container.encode(self.timeline, forKey: .timeline)
            try container.encode(self.lsn, forKey: .lsn)
            try container.encode(self.lagBytes, forKey: .lagBytes)
            try container.encode(self.lagSeconds, forKey: .lagSeconds)
            try container.encode(self.sync, forKey: .sync)
            try container.encode(self.priority, forKey: .priority)
            try container.encode(self.zone, forKey: .zone)
            try container.encode(self.nofailover, forKey: .nofailover)
            try container.encode(self.nosync, forKey: .nosync)
            try container.encode(self.noread, forKey: .noread)
            try container.encode(self.postmasterPID, forKey: .postmasterPID)
            try container.encode(self.agentPID, forKey: .agentPID)
            try container.encode(self.evidenceAgeMilliseconds, forKey: .evidenceAgeMilliseconds)
            try container.encode(self.problems, forKey: .problems)
        }
    }
}
