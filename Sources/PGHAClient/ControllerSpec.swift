package import PGHACore

/// A ``NodeSpec`` in the API: what may be left out has the default of ``NodeSpec``.
package struct NodeDocument: Hashable, Sendable, Codable {
    package var name: String
    package var host: String
    package var port: Int
    package var agent: String?
    package var priority: Int?
    package var zone: String?
    package var nofailover: Bool?
    package var nosync: Bool?
    package var noread: Bool?

    package init(_ node: NodeSpec) {
        self.name = node.name.text
        self.host = node.host
        self.port = node.port
        self.agent = node.agent
        self.priority = node.priority
        self.zone = node.zone
        self.nofailover = node.nofailover
        self.nosync = node.nosync
        self.noread = node.noread
    }

    /// Throws `invalid` when a field says what no node can be.
    package func spec() throws(ControllerRefusal) -> NodeSpec {
        guard let name = NodeName(self.name) else {
            throw ControllerRefusal.invalid(
                "'\(self.name)' is not a node name",
                hint: "Use lower-case letters, digits and '_', a letter first, at most 40 bytes.")
        }
        guard (1...65_535).contains(self.port) else {
            throw ControllerRefusal.invalid("node \(name): \(self.port) is not a port", hint: "Use 1 to 65535.")
        }
        guard !self.host.isEmpty else {
            throw ControllerRefusal.invalid("node \(name) has no host", hint: "Give its address.")
        }
        return NodeSpec(
            name: name, host: self.host, port: self.port, agent: self.agent, priority: self.priority ?? 100,
            zone: self.zone, nofailover: self.nofailover ?? false, nosync: self.nosync ?? false,
            noread: self.noread ?? false)
    }
}

/// ``PGHACore/Durability`` in the API.
package struct DurabilityDocument: Hashable, Sendable, Codable {
    /// `quorum` or `async`.
    package var mode: String?
    package var copies: Int?
    /// `degrade`, `block`, or empty for the default.
    package var onStandbyLoss: String?

    package init(_ durability: Durability) {
        self.mode = durability.mode.rawValue
        self.copies = durability.copies
        self.onStandbyLoss = durability.onStandbyLoss?.rawValue ?? ""
    }

    package init(mode: String? = nil, copies: Int? = nil, onStandbyLoss: String? = nil) {
        self.mode = mode
        self.copies = copies
        self.onStandbyLoss = onStandbyLoss
    }

    /// `durability` with what is given here.
    package func applied(to durability: Durability) throws(ControllerRefusal) -> Durability {
        var durability = durability
        if let mode = self.mode {
            guard let known = Durability.Mode(rawValue: mode) else {
                throw ControllerRefusal.invalid("there is no mode '\(mode)'", hint: "Use quorum or async.")
            }
            durability.mode = known
        }
        if let copies = self.copies { durability.copies = copies }
        if let loss = self.onStandbyLoss {
            guard loss.isEmpty || Durability.StandbyLoss(rawValue: loss) != nil else {
                throw ControllerRefusal.invalid("there is no on_standby_loss '\(loss)'", hint: "Use degrade or block.")
            }
            durability.onStandbyLoss = Durability.StandbyLoss(rawValue: loss)
        }
        return durability
    }

    enum CodingKeys: String, CodingKey {
        case mode, copies
        case onStandbyLoss = "on_standby_loss"
    }
}

/// A ``ClusterSpec`` in the API.
package struct SpecDocument: Hashable, Sendable, Codable {
    package var name: String
    package var nodes: [NodeDocument]
    package var durability: DurabilityDocument?
    package var timings: TimingsDocument?
    package var postgres: [String: String]?
    package var access: [AccessRule]?

    package init(_ spec: ClusterSpec) {
        self.name = spec.name
        self.nodes = spec.nodes.map(NodeDocument.init)
        self.durability = DurabilityDocument(spec.durability)
        self.timings = TimingsDocument(spec.timings)
        self.postgres = spec.postgres
        self.access = spec.access
    }

    package func spec() throws(ControllerRefusal) -> ClusterSpec {
        var nodes: [NodeSpec] = []
        for node in self.nodes { nodes.append(try node.spec()) }
        try self.access?.requireSound()
        return ClusterSpec(
            name: self.name, nodes: nodes,
            durability: try self.durability?.applied(to: Durability()) ?? Durability(),
            timings: try self.timings?.applied(to: Timings()) ?? Timings(), postgres: self.postgres ?? [:],
            access: self.access)
    }
}

extension [AccessRule] {
    /// Throws for the first rule that no server would accept.
    func requireSound() throws(ControllerRefusal) {
        guard let problem = self.lazy.compactMap(\.problem).first else { return }
        throw ControllerRefusal.invalid(
            "access: '\(problem.value)' is not what '\(problem.field)' takes", hint: "Give \(problem.expected).")
    }
}
