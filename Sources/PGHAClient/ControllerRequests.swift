package import PGHACore

/// `POST /v1/init`.
package struct InitRequest: Hashable, Sendable, Codable {
    package var spec: SpecDocument
    /// Take over running servers instead of making new ones.
    package var adopt: Bool

    package init(spec: SpecDocument, adopt: Bool = false) {
        self.spec = spec
        self.adopt = adopt
    }
}

/// `POST /v1/store/adopt`.
package struct StoreAdoptRequest: Hashable, Sendable, Codable {
    /// For a store that is empty, or that lacks members; the store's own when nil.
    package var spec: SpecDocument?

    package init(spec: SpecDocument? = nil) { self.spec = spec }
}

/// `POST /v1/failover`.
package struct FailoverCommand: Hashable, Sendable, Codable {
    /// The best candidate when nil.
    package var target: String?
    /// Promote although commits may be lost; needs `accept_data_loss` too.
    package var force: Bool
    package var acceptDataLoss: Bool

    package init(target: String? = nil, force: Bool = false, acceptDataLoss: Bool = false) {
        self.target = target
        self.force = force
        self.acceptDataLoss = acceptDataLoss
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.target = try container.decodeIfPresent(String.self, forKey: .target)
        self.force = try container.decodeIfPresent(Bool.self, forKey: .force) ?? false
        self.acceptDataLoss = try container.decodeIfPresent(Bool.self, forKey: .acceptDataLoss) ?? false
    }

    enum CodingKeys: String, CodingKey {
        case target, force
        case acceptDataLoss = "accept_data_loss"
    }
}

/// `POST /v1/switchover`.
package struct SwitchoverCommand: Hashable, Sendable, Codable {
    /// The best candidate when nil.
    package var target: String?

    package init(target: String? = nil) { self.target = target }
}

/// `POST /v1/rejoin`.
package struct RejoinCommand: Hashable, Sendable, Codable {
    package var node: String
    /// WAL that cannot be saved, and data for which there is no room, may be given up.
    package var discard: Bool

    package init(node: String, discard: Bool = false) {
        self.node = node
        self.discard = discard
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.node = try container.decode(String.self, forKey: .node)
        self.discard = try container.decodeIfPresent(Bool.self, forKey: .discard) ?? false
    }
}

/// `POST /v1/restart`.
package struct RestartCommand: Hashable, Sendable, Codable {
    /// All nodes, one after the other, the leader last, when nil.
    package var node: String?

    package init(node: String? = nil) { self.node = node }
}

/// `PATCH /v1/nodes/NAME`: what is nil stays as it is.
package struct NodePatch: Hashable, Sendable, Codable {
    package var priority: Int?
    /// Empty: the node has no zone any more.
    package var zone: String?
    package var nofailover: Bool?
    package var nosync: Bool?
    package var noread: Bool?
    /// Where the node's agent is now.
    package var agent: String?

    package init(
        priority: Int? = nil, zone: String? = nil, nofailover: Bool? = nil, nosync: Bool? = nil, noread: Bool? = nil,
        agent: String? = nil
    ) {
        self.priority = priority
        self.zone = zone
        self.nofailover = nofailover
        self.nosync = nosync
        self.noread = noread
        self.agent = agent
    }

    /// `node` with these changes.
    package func applied(to node: NodeSpec) -> NodeSpec {
        var node = node
        if let priority = self.priority { node.priority = priority }
        if let zone = self.zone { node.zone = zone.isEmpty ? nil : zone }
        if let nofailover = self.nofailover { node.nofailover = nofailover }
        if let nosync = self.nosync { node.nosync = nosync }
        if let noread = self.noread { node.noread = noread }
        if let agent = self.agent { node.agent = agent }
        return node
    }
}

/// The answer to a request that was accepted. What it began shows in the status.
package struct Accepted: Hashable, Sendable, Codable {
    /// What was begun or done, for people.
    package var message: String
    /// The term in force when the request was accepted: a change of leader ends with a greater one.
    package var term: UInt64

    package init(message: String, term: UInt64) {
        self.message = message
        self.term = term
    }
}
