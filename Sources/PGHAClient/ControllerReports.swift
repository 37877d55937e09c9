package import PGHACore

/// `GET /v1/failover/plan?target=NODE`: what `pgha failover --dry-run` shows. Nothing is changed by asking.
package struct FailoverPlan: Hashable, Sendable, Codable {
    package struct Candidate: Hashable, Sendable, Codable {
        package var name: String
        /// Why it would not win; nil for the one that would.
        package var reason: String?
        package var timeline: UInt32?
        package var lsn: String?
        /// Bytes of WAL that the furthest known server has and this one has not; nil when unknown.
        package var behindBytes: UInt64?
        package var priority: Int
        package var sync: String

        package init(
            name: String, reason: String?, timeline: UInt32?, lsn: String?, behindBytes: UInt64?, priority: Int,
            sync: String
        ) {
            self.name = name
            self.reason = reason
            self.timeline = timeline
            self.lsn = lsn
            self.behindBytes = behindBytes
            self.priority = priority
            self.sync = sync
        }

        enum CodingKeys: String, CodingKey {
            case name, reason, timeline, lsn, priority, sync
            case behindBytes = "behind_bytes"
        }
    }

    /// Who leads now.
    package var leader: String?
    /// The term that a failover would install.
    package var term: UInt64
    /// Nil when nobody could be promoted: see `obstacle`.
    package var winner: String?
    /// Why a failover would wait, without `--force`.
    package var obstacle: String?
    /// Bytes of WAL that acknowledged commits may hold and the winner may lack; 0 in `quorum`, nil when unknown.
    package var bytesAtRisk: UInt64?
    /// From the request to the first acknowledged commit; nil without a winner.
    package var expectedMilliseconds: Int64?
    /// Every node, the leader included.
    package var candidates: [Candidate]

    package init(
        leader: String?, term: UInt64, winner: String?, obstacle: String?, bytesAtRisk: UInt64?,
        expectedMilliseconds: Int64?, candidates: [Candidate]
    ) {
        self.leader = leader
        self.term = term
        self.winner = winner
        self.obstacle = obstacle
        self.bytesAtRisk = bytesAtRisk
        self.expectedMilliseconds = expectedMilliseconds
        self.candidates = candidates
    }

    enum CodingKeys: String, CodingKey {
        case leader, term, winner, obstacle, candidates
        case bytesAtRisk = "bytes_at_risk"
        case expectedMilliseconds = "expected_ms"
    }
}

/// `GET /v1/history?limit=N`: the newest first.
package struct HistoryReport: Hashable, Sendable, Codable {
    package struct Entry: Hashable, Sendable, Codable {
        /// Microseconds since 1970-01-01T00:00:00Z.
        package var unixMicroseconds: Int64
        /// See ``HistoryEntry/kind``.
        package var kind: String
        package var term: UInt64
        package var leader: String?
        package var detail: String
        package var milliseconds: Int64?

        package init(_ entry: HistoryEntry) {
            self.unixMicroseconds = entry.unixMicroseconds
            self.kind = entry.kind
            self.term = entry.term.number
            self.leader = entry.leader?.text
            self.detail = entry.detail
            self.milliseconds = entry.milliseconds
        }

        enum CodingKeys: String, CodingKey {
            case kind, term, leader, detail
            case unixMicroseconds = "unix_us"
            case milliseconds = "duration_ms"
        }
    }

    package var entries: [Entry]

    package init(_ entries: [HistoryEntry]) { self.entries = entries.map(Entry.init) }
}

/// `GET /v1/nodes`.
package struct NodesReport: Hashable, Sendable, Codable {
    package var nodes: [NodeDocument]

    package init(_ nodes: [NodeSpec]) { self.nodes = nodes.map(NodeDocument.init) }
}

/// `GET /v1/topology`, and each line of `GET /v1/topology?watch=1`: where poolers send clients.
package struct TopologyReport: Hashable, Sendable, Codable {
    package struct Server: Hashable, Sendable, Codable {
        package var name: String
        package var host: String
        package var port: Int
        package var timeline: UInt32?
        package var lsn: String?
        package var lagBytes: UInt64?
        package var lagSeconds: Double?
        /// Like `lagBytes`, of what it has replayed: that is what reads see.
        package var replayLagBytes: UInt64?
        package var zone: String?
        package var noread: Bool
        /// Of its Unix socket, for poolers on its host; nil when no agent has said.
        package var socketDirectory: String?

        package init(_ node: ClusterStatus.Node) {
            self.name = node.spec.name.text
            self.host = node.spec.host
            self.port = node.spec.port
            self.timeline = node.timeline?.number
            self.lsn = node.position?.description
            self.lagBytes = node.lagBytes
            self.lagSeconds = node.lagSeconds
            self.replayLagBytes = node.replayLagBytes
            self.zone = node.spec.zone
            self.noread = node.spec.noread
            self.socketDirectory = node.socketDirectory
        }

        enum CodingKeys: String, CodingKey {
            case name, host, port, timeline, lsn, zone, noread
            case socketDirectory = "socket_directory"
            case lagBytes = "lag_bytes"
            case lagSeconds = "lag_seconds"
            case replayLagBytes = "replay_lag_bytes"
        }
    }

    package var term: UInt64
    /// `term.version`; nil before the first rule.
    package var rule: String?
    /// Nil before the first rule.
    package var leader: Server?
    /// The standbys that stream, or did when the leader was last heard: reads go on without it.
    package var standbys: [Server]
    /// New transactions are held: a change of leader is under way.
    package var hold: Bool
    /// The term that is being installed while `hold`; what poolers report names it.
    package var claim: UInt64?
    /// Who leads next, while `hold` and if it is known.
    package var successor: String?
    /// How the last terms began; nil from controllers that do not say.
    package var terms: [TermStart]?

    package struct TermStart: Hashable, Sendable, Codable {
        package var term: UInt64
        /// Where the promoted server left the old leader's WAL; nil for one that led on in place, and for the first.
        package var fork: String?
    }

    package init(
        _ status: ClusterStatus, claim: Term? = nil, successor: NodeName? = nil, terms: [PoolTopology.TermStart] = []
    ) {
        self.terms = terms.suffix(8).map { TermStart(term: $0.term.number, fork: $0.fork?.description) }
        self.hold = claim != nil
        self.claim = claim?.number
        self.successor = successor?.text
        self.term = status.term.number
        self.rule = status.rule?.number.description
        self.leader = status.nodes.first { $0.spec.name == status.leader }.map(Server.init)
        self.standbys = status.nodes.filter(\.followed).map(Server.init)
    }
}

extension TopologyReport {
    /// As a pooler takes it; nil when it holds something that no controller says.
    package var poolTopology: PoolTopology? {
        var standbys: [PoolTopology.Node] = []
        for server in self.standbys {
            guard let node = server.poolNode(at: server.host) else { return nil }
            standbys.append(node)
        }
        let leader = self.leader.flatMap { $0.poolNode(at: $0.host) }
        guard (leader == nil) == (self.leader == nil) else { return nil }
        return PoolTopology(
            term: Term(self.term), leader: leader, standbys: standbys, claim: self.claim.map { Term($0) },
            successor: self.successor.flatMap { NodeName($0) }, terms: self.termStarts)
    }

    package var termStarts: [PoolTopology.TermStart] {
        (self.terms ?? []).map { .init(term: Term($0.term), fork: $0.fork.flatMap { LSN($0) }) }
    }
}

extension TopologyReport.Server {
    /// As a pooler reads from it, reached at `host`, or over a Unix socket in the directory `socket` where that lets
    /// users in; nil when it is something that no controller says.
    package func poolNode(at host: String, socket: String? = nil) -> PoolTopology.Node? {
        guard let name = NodeName(self.name), let port = UInt16(exactly: self.port) else { return nil }
        return PoolTopology.Node(
            name: name, host: host, socket: socket, port: port, position: self.lsn.flatMap { LSN($0) },
            lagBytes: self.replayLagBytes ?? self.lagBytes, lagSeconds: self.lagSeconds, noRead: self.noread,
            zone: self.zone)
    }
}

/// `POST /v1/poolers/NAME`: what a pooler says of itself.
package struct PoolerReport: Hashable, Sendable, Codable {
    /// ``TopologyReport/claim``: no transaction is left on the leader that it replaces.
    package var drained: UInt64

    package init(drained: UInt64) { self.drained = drained }
}
