import FoundationEssentials
import Glibc
import PGHACore

/// What only this server held when it was rewound or copied anew: kept as files, and summed up for people.
struct DivergedSummary: Codable, Hashable, Sendable {
    var node: NodeName
    /// Seconds since 1970.
    var savedAt: Int64
    var systemIdentifier: UInt64
    var timeline: TimelineID
    /// The last position shared with the new leader, and the end of what is saved.
    var first: LSN
    var last: LSN
    /// Bytes of WAL between the two.
    var bytes: UInt64
    /// Commits other than the agent's own heartbeats.
    var commits: Int
    var heartbeatCommits: Int
    /// Relations that were written to, catalogs left out: names where the new leader knows them, else `tablespace/database/file`.
    var relations: [String]
    /// The saved files.
    var files: [String]
    /// Whether all WAL could be read; if not, the counts are lower bounds.
    var complete: Bool
}

/// Counts commits and the relations they touched from `pg_waldump`'s lines.
struct DivergedScan: Sendable {
    /// Commits by the set of relations that their transaction wrote.
    private(set) var commits: [Set<String>: Int] = [:]
    private var open: [UInt32: Set<String>] = [:]
    private(set) var relations: Set<String> = []

    mutating func add(_ line: String) {
        let transaction = Self.number(after: "tx:", in: line)
        for relation in Self.relations(in: line) {
            self.relations.insert(relation)
            if let transaction, transaction != 0 { self.open[transaction, default: []].insert(relation) }
        }
        guard let transaction, line.contains("desc: COMMIT") else { return }
        self.commits[self.open.removeValue(forKey: transaction) ?? [], default: 0] += 1
    }

    /// Commits whose every relation is named a heartbeat's by `name`, and the others.
    func counts(name: (String) -> String) -> (heartbeats: Int, others: Int) {
        var heartbeats = 0
        var others = 0
        for (relations, count) in self.commits {
            let isHeartbeat = !relations.isEmpty && relations.allSatisfy { Self.isHeartbeat(name($0)) }
            if isHeartbeat { heartbeats += count } else { others += count }
        }
        return (heartbeats, others)
    }

    static func isHeartbeat(_ name: String) -> Bool {
        name.hasSuffix("pgha.heartbeat") || name.hasSuffix("pgha.heartbeat_pkey")
    }

    /// `rel 1663/5/16384` in block references.
    private static func relations(in line: String) -> [String] {
        var result: [String] = []
        for part in line.split(separator: " ", omittingEmptySubsequences: true).dropFirst() where part.contains("/") {
            let word = part.hasSuffix(",") ? part.dropLast() : part
            let numbers = word.split(separator: "/", omittingEmptySubsequences: false)
            guard numbers.count == 3, numbers.allSatisfy({ UInt32($0) != nil }) else { continue }
            result.append(String(word))
        }
        return result
    }

    private static func number(after label: String, in line: String) -> UInt32? {
        let words = line.split(separator: " ", omittingEmptySubsequences: true)
        guard let index = words.firstIndex(of: Substring(label)), index + 1 < words.count else { return nil }
        return UInt32(words[index + 1].filter(\.isNumber))
    }
}

/// The files of `pg_wal` that hold WAL beyond a position.
enum DivergedFiles {
    /// Segments of the timelines that `history` passes through after `fork`, and the history files: what it takes
    /// to read that WAL again.
    static func list(walDirectory: String, history: TimelineHistory, fork: LSN, segmentSize: UInt64) throws -> [String]
    {
        let timelines = Set(history.segments.filter { $0.end.map { $0 > fork } ?? true }.map(\.timeline))
        return try DurableFile.list(walDirectory).filter { name in
            let base = name.hasSuffix(".partial") ? String(name.dropLast(8)) : name
            if let segment = WALSegmentName(base, segmentSize: segmentSize) {
                return timelines.contains(segment.timeline) && segment.start.byteOffset + segmentSize > fork.byteOffset
            }
            return timelines.contains { name == WALSegmentName.historyFileName($0) }
        }
    }

    /// Recycled segments lie ahead of the end of WAL under future names and hold nothing: left out.
    static func beforeEnd(_ names: [String], end: LSN, segmentSize: UInt64) -> [String] {
        names.filter { WALSegmentName($0, segmentSize: segmentSize).map { $0.start < end } ?? true }
    }

    /// `20261121T080910Z_node_tl3`.
    static func directoryName(node: NodeName, timeline: TimelineID, seconds: Int64) -> String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let date = "\(parts.tm_year + 1900)\(two(parts.tm_mon + 1))\(two(parts.tm_mday))"
        let clock = "\(two(parts.tm_hour))\(two(parts.tm_min))\(two(parts.tm_sec))"
        return "\(date)T\(clock)Z_\(node)_tl\(timeline)"
    }
}
