package import PGHACore

/// `GET /v1/status` and `pgha status -o json`. An interface: fields are added, never renamed or removed, and a
/// value that is unknown is null, never left out.
package struct StatusReport: Hashable, Sendable, Codable {
    package struct Durability: Hashable, Sendable, Codable {
        /// `quorum` or `async`; nil without a cluster, as the other fields.
        package var mode: String?
        /// Copies that the spec asks for.
        package var copies: Int?
        /// Copies under the current rule.
        package var effectiveCopies: Int?
    }

    package struct Controller: Hashable, Sendable, Codable {
        /// Whether the controller that answered is the one that decides.
        package var leading: Bool
        /// `sqlite`, `etcd`, …
        package var store: String
    }

    /// Nil before `pgha init`.
    package var cluster: String?
    package var term: UInt64
    /// `term.version` of the current rule.
    package var rule: String?
    package var leader: String?
    /// The leader and the standbys whose acknowledgement may count.
    package var cohort: [String]
    /// See ``ClusterStatus/phase``.
    package var phase: String
    package var durability: Durability
    package var atRisk: Bool
    package var atRiskReason: String?
    /// What is thought of the leader: `healthy`, `suspect: …`, `inconclusive: …`, `replace: …`.
    package var verdict: String
    package var waitingFor: String?
    package var paused: Bool
    package var controller: Controller
    package var nodes: [Node]

    package init(_ status: ClusterStatus, store: String, leading: Bool) {
        self.cluster = status.cluster
        self.term = status.term.number
        self.rule = status.rule?.number.description
        self.leader = status.leader?.text
        self.cohort = status.rule?.cohort.map(\.text) ?? []
        self.phase = status.phase
        self.durability = Durability(
            mode: status.durability?.mode.rawValue, copies: status.durability?.copies,
            effectiveCopies: status.effectiveCopies)
        self.atRisk = status.atRiskReason != nil
        self.atRiskReason = status.atRiskReason
        self.verdict = status.verdict
        self.waitingFor = status.waitingFor
        self.paused = status.paused
        self.controller = Controller(leading: leading, store: store)
        self.nodes = status.nodes.map(Node.init)
    }

    /// The node of this name.
    package subscript(_ name: String) -> Node? { self.nodes.first { $0.name == name } }

    enum CodingKeys: String, CodingKey {
        case cluster, term, rule, leader, cohort, phase, durability, verdict, paused, controller, nodes
        case atRisk = "at_risk"
        case atRiskReason = "at_risk_reason"
        case waitingFor = "waiting_for"
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.cluster, forKey: .cluster)
        try container.encode(self.term, forKey: .term)
        try container.encode(self.rule, forKey: .rule)
        try container.encode(self.leader, forKey: .leader)
        try container.encode(self.cohort, forKey: .cohort)
        try container.encode(self.phase, forKey: .phase)
        try container.encode(self.durability, forKey: .durability)
        try container.encode(self.atRisk, forKey: .atRisk)
        try container.encode(self.atRiskReason, forKey: .atRiskReason)
        try container.encode(self.verdict, forKey: .verdict)
        try container.encode(self.waitingFor, forKey: .waitingFor)
        try container.encode(self.paused, forKey: .paused)
        try container.encode(self.controller, forKey: .controller)
        try container.encode(self.nodes, forKey: .nodes)
    }
}

extension StatusReport.Durability {
    enum CodingKeys: String, CodingKey {
        case mode, copies
        case effectiveCopies = "effective_copies"
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.mode, forKey: .mode)
        try container.encode(self.copies, forKey: .copies)
        try container.encode(self.effectiveCopies, forKey: .effectiveCopies)
    }
}
