import FoundationEssentials
import PGHAClient
import PGHACore

extension DivergedSummary {
    /// Counts and names what was found, by the names that are known now.
    mutating func take(_ scan: DivergedScan, names: [String: String]) {
        func name(_ file: String) -> String { names[file] ?? Self.numbers(file) }
        self.relations = scan.relations.filter { !DivergedScan.isShared($0) }.map(name)
            .filter { !DivergedScan.isHeartbeat($0) && !Self.isCatalog($0) }.sorted()
        let heartbeats = scan.kinds.filter { relations, _ in
            !relations.isEmpty && relations.allSatisfy { DivergedScan.isHeartbeat(name($0)) }
        }
        let others = scan.kinds.filter { heartbeats[$0.key] == nil }.values
        self.heartbeatCommits = heartbeats.values.reduce(0) { $0 + $1.count }
        self.commits = others.reduce(0) { $0 + $1.count }
        self.firstCommit = others.compactMap(\.firstCommit).min()
        self.lastCommit = others.compactMap(\.lastCommit).max()
        var rows: [String: DivergedScan.Rows] = [:]
        for kind in others { rows.merge(kind.rows) { $0 + $1 } }
        self.changes = Self.changes(rows, name: name)
        self.transactions = others.flatMap(\.first).sorted { $0.order < $1.order }.prefix(Self.keptTransactions).map {
            Transaction(id: $0.id, committed: $0.time, changes: Self.changes($0.rows, name: name))
        }
    }

    private static func changes(_ rows: [String: DivergedScan.Rows], name: (String) -> String) -> [Change] {
        rows.filter { !DivergedScan.isShared($0.key) }.map { file, rows in
            Change(relation: name(file), inserted: rows.inserted, updated: rows.updated, deleted: rows.deleted)
        }.filter { !Self.isCatalog($0.relation) }.sorted { $0.relation < $1.relation }
    }

    /// Also of what is too long for its row: that row is counted.
    private static func isCatalog(_ name: String) -> Bool {
        name.contains(".pg_catalog.") || name.contains(".pg_toast.")
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
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        }
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
    /// what an operator has not looked at yet.
    static func expired(_ names: [DivergedName], before limit: Int64) -> [DivergedName] {
        let newest = Dictionary(grouping: names, by: \.node).values.compactMap { $0.max { $0.savedAt < $1.savedAt } }
        return names.filter { $0.savedAt < limit && !newest.contains($0) }.sorted { $0.description < $1.description }
    }
}

/// What an agent keeps of diverged servers, by name. Everything else in these directories is somebody else's. All calls
/// block.
struct DivergedPlaces: Sendable {
    /// Of saved WAL, and of data directories that were kept whole: within their volume.
    private let places: [String]

    init(_ directory: StateDirectory) {
        self.places = [directory.diverged] + (directory.volume == directory.root ? [] : [directory.volume])
    }

    /// The oldest first.
    var names: [DivergedName] {
        self.places.flatMap { (try? DurableFile.list($0)) ?? [] }.compactMap { DivergedName($0) }
            .sorted { $0.description < $1.description }
    }

    func path(_ name: DivergedName) -> String? {
        self.places.map { "\($0)/\(name)" }.first { DurableFile.exists($0) }
    }

    func entry(_ name: DivergedName) -> DivergedEntry? {
        guard let path = self.path(name) else { return nil }
        let text = try? DurableFile.read(path + "/summary.json")
        let summary = text.flatMap { try? JSONDecoder().decode(DivergedSummary.self, from: Data($0.utf8)) }
        return DivergedEntry(name, path: path, diskBytes: DurableFile.treeSize(path), summary: summary)
    }
}
