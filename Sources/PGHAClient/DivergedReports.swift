package import PGHACore

/// What only one server held when it was rewound or copied anew: the `summary.json` beside the saved WAL.
package struct DivergedSummary: Hashable, Sendable, Codable {
    package var node: NodeName
    /// Seconds since 1970.
    package var savedAt: Int64
    /// The term, and its leader, that the server was made a standby for: their history has what this one has not.
    package var term: Term
    package var leader: NodeName
    package var systemIdentifier: UInt64
    package var timeline: TimelineID
    /// The last position shared with the leader, and the end of what is saved.
    package var from: LSN
    package var to: LSN
    /// Bytes of WAL between the two.
    package var bytes: UInt64
    /// The same along the timelines that it passes through, as pg_waldump takes it.
    package var ranges: [Range]
    /// Commits other than the agent's own heartbeats.
    package var commits: Int
    package var heartbeatCommits: Int
    /// When the first and the last of these commits were made by that server's clock, microseconds since 1970.
    package var firstCommit: Int64?
    package var lastCommit: Int64?
    /// Relations that were written to, catalogs left out: names where the leader or this server knows them, else
    /// `file 16384 of database 5 in tablespace 1663`.
    package var relations: [String]
    /// Rows that these commits changed. Nil in lists, as what follows.
    package var changes: [Change]?
    /// The first of these commits, at most ``keptTransactions``.
    package var transactions: [Transaction]?
    /// The saved files.
    package var files: [String]?
    /// Whether all WAL could be read; if not, the counts are lower bounds.
    package var complete: Bool

    /// Enough to find out what was going on; the files have the rest.
    package static let keptTransactions = 100

    package struct Range: Hashable, Sendable, Codable {
        package var timeline: TimelineID
        package var from: LSN
        package var to: LSN

        package init(timeline: TimelineID, from: LSN, to: LSN) {
            self.timeline = timeline
            self.from = from
            self.to = to
        }
    }

    /// Rows of one relation.
    package struct Change: Hashable, Sendable, Codable {
        package var relation: String
        package var inserted: Int
        package var updated: Int
        package var deleted: Int

        package init(relation: String, inserted: Int, updated: Int, deleted: Int) {
            self.relation = relation
            self.inserted = inserted
            self.updated = updated
            self.deleted = deleted
        }
    }

    package struct Transaction: Hashable, Sendable, Codable {
        package var id: UInt32
        /// Microseconds since 1970; nil where the record's text was not understood.
        package var committed: Int64?
        /// Empty for one that changed catalogs alone, or no rows.
        package var changes: [Change]

        package init(id: UInt32, committed: Int64?, changes: [Change]) {
            self.id = id
            self.committed = committed
            self.changes = changes
        }

        enum CodingKeys: String, CodingKey {
            case id, changes
            case committed = "committed_unix_us"
        }
    }

    package init(
        node: NodeName, savedAt: Int64, term: Term, leader: NodeName, systemIdentifier: UInt64, timeline: TimelineID,
        from: LSN, to: LSN, ranges: [Range] = [], files: [String] = [], complete: Bool = true
    ) {
        self.node = node
        self.savedAt = savedAt
        self.term = term
        self.leader = leader
        self.systemIdentifier = systemIdentifier
        self.timeline = timeline
        self.from = from
        self.to = to
        self.bytes = to.bytesAhead(of: from)
        self.ranges = ranges
        self.commits = 0
        self.heartbeatCommits = 0
        self.relations = []
        self.files = files
        self.complete = complete
    }

    /// Without what grows with the WAL.
    package var brief: DivergedSummary {
        var result = self
        (result.changes, result.transactions, result.files) = (nil, nil, nil)
        return result
    }

    enum CodingKeys: String, CodingKey {
        case node, term, leader, timeline, from, to, bytes, ranges, commits, relations, changes, transactions, files
        case complete
        case savedAt = "saved_unix_s"
        case systemIdentifier = "system_identifier"
        case heartbeatCommits = "heartbeat_commits"
        case firstCommit = "first_commit_unix_us"
        case lastCommit = "last_commit_unix_us"
    }
}

/// One thing that an agent keeps.
package struct DivergedEntry: Hashable, Sendable, Codable {
    /// See ``DivergedName``.
    package var name: String
    package var node: String
    /// Seconds since 1970.
    package var savedAt: Int64
    /// On the node's host.
    package var path: String
    /// Bytes that it occupies there.
    package var diskBytes: UInt64
    /// Nil for a data directory that was kept whole because its WAL could not be read, or when the summary cannot be.
    package var summary: DivergedSummary?

    package init(_ name: DivergedName, path: String, diskBytes: UInt64, summary: DivergedSummary?) {
        self.name = name.description
        self.node = name.node.text
        self.savedAt = name.savedAt
        self.path = path
        self.diskBytes = diskBytes
        self.summary = summary
    }

    /// As a list has it.
    package var brief: DivergedEntry {
        var result = self
        result.summary = self.summary?.brief
        return result
    }

    enum CodingKeys: String, CodingKey {
        case name, node, path, summary
        case savedAt = "saved_unix_s"
        case diskBytes = "disk_bytes"
    }
}

/// An agent's `GET /v1/diverged`.
package struct DivergedList: Hashable, Sendable, Codable {
    /// By name: the oldest first.
    package var entries: [DivergedEntry]

    package init(entries: [DivergedEntry]) { self.entries = entries }
}

/// A controller's `GET /v1/diverged`: what all agents keep.
package struct DivergedReport: Hashable, Sendable, Codable {
    /// A node that may keep something as well.
    package struct Silent: Hashable, Sendable, Codable {
        package var node: String
        package var reason: String

        package init(node: String, reason: String) {
            self.node = node
            self.reason = reason
        }
    }

    /// The oldest first.
    package var entries: [DivergedEntry]
    package var unknown: [Silent]

    package init(entries: [DivergedEntry], unknown: [Silent]) {
        self.entries = entries
        self.unknown = unknown
    }
}
