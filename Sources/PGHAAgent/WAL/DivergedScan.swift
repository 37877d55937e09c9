import Glibc
import PGHAClient

/// Counts commits, the relations they touched and the rows they changed from `pg_waldump`'s lines.
///
/// Relations are numbers here, `tablespace/database/file`: what they are called is asked afterwards. So the heartbeats
/// cannot be told yet, of which an isolated server makes one a second, and transactions are kept by the set of relations
/// that they wrote: however many of one kind there are, the first of every other kind are kept.
struct DivergedScan: Sendable {
    struct Rows: Hashable, Sendable {
        var inserted = 0
        var updated = 0
        var deleted = 0

        static func + (a: Rows, b: Rows) -> Rows {
            Rows(inserted: a.inserted + b.inserted, updated: a.updated + b.updated, deleted: a.deleted + b.deleted)
        }
    }

    /// A committed transaction.
    struct Committed: Hashable, Sendable {
        var id: UInt32
        /// Among all commits.
        var order: Int
        /// Microseconds since 1970.
        var time: Int64?
        var rows: [String: Rows]
    }

    /// Transactions that wrote to the same relations.
    struct Kind: Sendable {
        var count = 0
        var firstCommit: Int64?
        var lastCommit: Int64?
        var rows: [String: Rows] = [:]
        /// At most ``DivergedSummary/keptTransactions``.
        var first: [Committed] = []
    }

    private struct Open {
        var relations: Set<String> = []
        var rows: [String: Rows] = [:]
    }

    private(set) var kinds: [Set<String>: Kind] = [:]
    private(set) var relations: Set<String> = []
    private var open: [UInt32: Open] = [:]
    private var commitCount = 0

    mutating func add(_ text: String) {
        let line = WaldumpLine(text)
        self.relations.formUnion(line.relations)
        if let id = line.transaction, !line.relations.isEmpty {
            self.open[id, default: Open()].relations.formUnion(line.relations)
            if let rows = line.rows, let relation = line.relations.first {
                self.open[id, default: Open()].rows.merge([relation: rows]) { $0 + $1 }
            }
        }
        guard let commit = line.commit else { return }
        self.commit(commit)
    }

    private mutating func commit(_ commit: WaldumpLine.Commit) {
        var whole = Open()
        for id in [commit.id] + commit.subtransactions {
            guard let part = self.open.removeValue(forKey: id) else { continue }
            whole.relations.formUnion(part.relations)
            whole.rows.merge(part.rows) { $0 + $1 }
        }
        self.commitCount += 1
        var kind = self.kinds[whole.relations] ?? Kind()
        kind.count += 1
        if let time = commit.time {
            kind.firstCommit = min(kind.firstCommit ?? time, time)
            kind.lastCommit = max(kind.lastCommit ?? time, time)
        }
        kind.rows.merge(whole.rows) { $0 + $1 }
        if kind.first.count < DivergedSummary.keptTransactions {
            kind.first.append(
                Committed(id: commit.id, order: self.commitCount, time: commit.time, rows: whole.rows))
        }
        self.kinds[whole.relations] = kind
    }

    /// A catalog of all databases (roles, databases, …), in the tablespace `pg_global`.
    static func isShared(_ file: String) -> Bool { file.hasPrefix("1664/") }

    static func isHeartbeat(_ name: String) -> Bool {
        name.hasSuffix("pgha.heartbeat") || name.hasSuffix("pgha.heartbeat_pkey")
    }
}

/// One line of `pg_waldump`, as far as it tells what was done to rows. Source: `pg_waldump.c`, `XLogDumpDisplayRecord`,
/// `heapdesc.c`, `xactdesc.c` of PostgreSQL 15 to 18.
struct WaldumpLine {
    struct Commit: Hashable {
        var id: UInt32
        var subtransactions: [UInt32]
        /// Microseconds since 1970.
        var time: Int64?
    }

    /// Nil for records of no transaction.
    let transaction: UInt32?
    /// `tablespace/database/file` of each block reference.
    let relations: [String]
    let rows: DivergedScan.Rows?
    let commit: Commit?

    init(_ line: String) {
        let words = line.split(separator: " ", omittingEmptySubsequences: true)
        func number(at index: Int) -> UInt32? {
            words.indices.contains(index) ? UInt32(words[index].prefix { $0.isNumber }) : nil
        }
        let transaction = words.firstIndex(of: "tx:").flatMap { number(at: $0 + 1) }.flatMap { $0 == 0 ? nil : $0 }
        self.transaction = transaction
        self.relations = Self.relations(words)
        guard let description = words.firstIndex(of: "desc:"), description + 1 < words.count, words.count > 1 else {
            (self.rows, self.commit) = (nil, nil)
            return
        }
        let operation = words[description + 1]
        let rest = words[(description + 2)...]
        switch words[1] {
        case "Heap", "Heap2":
            self.rows = Self.rows(operation, rest)
            self.commit = nil
        case "Transaction" where operation == "COMMIT":
            self.rows = nil
            self.commit = transaction.map { Self.commit($0, rest) }
        case "Transaction" where operation == "COMMIT_PREPARED":
            self.rows = nil
            self.commit = number(at: description + 2).map { Self.commit($0, rest.dropFirst()) }
        default: (self.rows, self.commit) = (nil, nil)
        }
    }

    /// `INSERT`, `INSERT+INIT`, `HOT_UPDATE`, …; `MULTI_INSERT 3 tuples` or, from 16 on, `MULTI_INSERT ntuples: 3,`.
    private static func rows(_ operation: Substring, _ rest: ArraySlice<Substring>) -> DivergedScan.Rows? {
        switch operation.prefix(while: { $0 != "+" }) {
        case "INSERT": return .init(inserted: 1)
        case "UPDATE", "HOT_UPDATE": return .init(updated: 1)
        case "DELETE": return .init(deleted: 1)
        case "MULTI_INSERT":
            return rest.prefix(2).lazy.compactMap { Int($0.prefix { $0.isNumber }) }.first.map { .init(inserted: $0) }
        default: return nil
        }
    }

    /// `2026-11-21 08:09:10.123456 UTC; rels: …; subxacts: 733 734; …`.
    private static func commit(_ id: UInt32, _ rest: ArraySlice<Substring>) -> Commit {
        var result = Commit(id: id, subtransactions: [], time: nil)
        if rest.count >= 3, rest[rest.startIndex + 2].hasPrefix("UTC") {
            result.time = Self.time(rest[rest.startIndex], rest[rest.startIndex + 1])
        }
        if let label = rest.firstIndex(of: "subxacts:") {
            for word in rest[(label + 1)...] {
                guard let number = UInt32(word.prefix { $0.isNumber }) else { break }
                result.subtransactions.append(number)
                if word.hasSuffix(";") { break }
            }
        }
        return result
    }

    private static func time(_ date: Substring, _ clock: Substring) -> Int64? {
        let days = date.split(separator: "-").compactMap { Int32($0) }
        let hours = clock.split { $0 == ":" || $0 == "." }.compactMap { Int32($0) }
        guard days.count == 3, hours.count == 4 else { return nil }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (days[0] - 1900, days[1] - 1, days[2])
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (hours[0], hours[1], hours[2])
        return Int64(timegm(&parts)) * 1_000_000 + Int64(hours[3])
    }

    /// `rel 1663/5/16384` in block references.
    private static func relations(_ words: [Substring]) -> [String] {
        zip(words, words.dropFirst()).compactMap { label, word in
            guard label == "rel" else { return nil }
            let word = word.hasSuffix(",") ? word.dropLast() : word
            let numbers = word.split(separator: "/", omittingEmptySubsequences: false)
            return numbers.count == 3 && numbers.allSatisfy { UInt32($0) != nil } ? String(word) : nil
        }
    }
}
