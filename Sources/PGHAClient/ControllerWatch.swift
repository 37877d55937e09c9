package import PGHACore

/// The event `status` of `GET /v1/watch`.
package struct WatchReport: Hashable, Sendable, Codable {
    /// A phase of the procedure under way, or of the last one.
    package struct Step: Hashable, Sendable, Codable {
        package var phase: String
        /// How long it took; nil while it lasts.
        package var milliseconds: Int64?

        package init(phase: String, milliseconds: Int64?) {
            self.phase = phase
            self.milliseconds = milliseconds
        }

        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(self.phase, forKey: .phase)
            try container.encode(self.milliseconds, forKey: .milliseconds)
        }

        enum CodingKeys: String, CodingKey {
            case phase
            case milliseconds = "ms"
        }
    }

    package var status: StatusReport
    package var procedure: [Step]
    /// How long the phase of the status lasts.
    package var phaseMilliseconds: Int64
    /// The poolers that follow this controller, by name.
    package var poolers: [Pooler]

    package init(status: StatusReport, procedure: [Step], phaseMilliseconds: Int64, poolers: [Pooler]) {
        self.status = status
        self.procedure = procedure
        self.phaseMilliseconds = phaseMilliseconds
        self.poolers = poolers
    }

    enum CodingKeys: String, CodingKey {
        case status, procedure, poolers
        case phaseMilliseconds = "phase_ms"
    }
}

/// How far the servers were at one moment: the event `sample` of `GET /v1/watch`, and in an array `samples`.
package struct LagSample: Hashable, Sendable, Codable {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    package var unixMilliseconds: Int64
    /// Nil when nobody led.
    package var leader: String?
    /// Bytes of WAL from the start of the stream to where the leader was.
    package var wal: UInt64?
    /// Bytes behind the leader, for each other node; left out where unknown.
    package var lag: [String: UInt64]
    /// Transactions that ended at all poolers, for each second; nil where no pooler said anything of late.
    package var transactions: Double?

    package init(_ status: ClusterStatus, transactions: Double? = nil, unixMilliseconds: Int64) {
        let leader = status.nodes.first { $0.spec.name == status.leader && $0.state == "leading" }
        self.unixMilliseconds = unixMilliseconds
        self.leader = leader?.spec.name.text
        self.wal = leader?.position?.byteOffset
        self.lag = [:]
        self.transactions = transactions
        for node in status.nodes { if let bytes = node.lagBytes { self.lag[node.spec.name.text] = bytes } }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.unixMilliseconds, forKey: .unixMilliseconds)
        try container.encode(self.leader, forKey: .leader)
        try container.encode(self.wal, forKey: .wal)
        try container.encode(self.lag, forKey: .lag)
        try container.encode(self.transactions, forKey: .transactions)
    }

    enum CodingKeys: String, CodingKey {
        case leader, wal, lag, transactions
        case unixMilliseconds = "unix_ms"
    }
}
