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
    /// Relations that were written to, catalogs left out: names where the new leader or this server knows them, else
    /// `file 16384 of database 5 in tablespace 1663`.
    var relations: [String]
    /// The saved files.
    var files: [String]
    /// Whether all WAL could be read; if not, the counts are lower bounds.
    var complete: Bool

    init(
        node: NodeName, savedAt: Int64, systemIdentifier: UInt64, timeline: TimelineID, first: LSN, last: LSN,
        bytes: UInt64, scan: DivergedScan, names: [String: String], files: [String], complete: Bool
    ) {
        self.node = node
        self.savedAt = savedAt
        self.systemIdentifier = systemIdentifier
        self.timeline = timeline
        self.first = first
        self.last = last
        self.bytes = bytes
        self.commits = 0
        self.heartbeatCommits = 0
        self.relations = []
        self.files = files
        self.complete = complete
        self.take(scan, names: names)
    }

    /// Counts and names what was found, by the names that are known now.
    mutating func take(_ scan: DivergedScan, names: [String: String]) {
        let counts = scan.counts { names[$0] ?? $0 }
        self.commits = counts.others
        self.heartbeatCommits = counts.heartbeats
        self.relations = scan.relations.filter { !DivergedScan.isShared($0) }.map { names[$0] ?? Self.numbers($0) }
            .filter { !DivergedScan.isHeartbeat($0) && !$0.contains(".pg_catalog.") }.sorted()
    }

    private static func numbers(_ file: String) -> String {
        let parts = file.split(separator: "/")
        guard parts.count == 3 else { return file }
        return "file \(parts[2]) of database \(parts[1]) in tablespace \(parts[0])"
    }

    /// As it is kept.
    var text: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        }
    }
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

    /// A catalog of all databases (roles, databases, …), in the tablespace `pg_global`.
    static func isShared(_ file: String) -> Bool { file.hasPrefix("1664/") }

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

    /// Those of `names` that were saved before `limit`, the newest of each node left out: it may be the only trace of
    /// what an operator has not looked at yet. Names that are not ``directoryName(node:timeline:seconds:)``'s are
    /// somebody else's.
    static func expired(_ names: [String], before limit: Int64) -> [String] {
        let saved = names.compactMap { name in self.savedAt(name).map { (name: name, at: $0.seconds, node: $0.node) } }
        let newest = Dictionary(grouping: saved, by: \.node).values.compactMap { $0.map(\.name).max() }
        return saved.filter { $0.at < limit && !newest.contains($0.name) }.map(\.name).sorted()
    }

    private static func savedAt(_ name: String) -> (seconds: Int64, node: String)? {
        guard let match = name.wholeMatch(of: #/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z_(.+)_tl\d+(?:_data)?/#) else {
            return nil
        }
        func number(_ text: Substring) -> Int32 { Int32(text) ?? 0 }
        var parts = tm()
        parts.tm_year = number(match.output.1) - 1900
        parts.tm_mon = number(match.output.2) - 1
        parts.tm_mday = number(match.output.3)
        parts.tm_hour = number(match.output.4)
        parts.tm_min = number(match.output.5)
        parts.tm_sec = number(match.output.6)
        return (Int64(timegm(&parts)), String(match.output.7))
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
