import FoundationEssentials
import Glibc
import Logging
import PGHAClient
import PGHACore
import PGHAPostgres
import Synchronization

extension Agent {
    /// Saves the WAL of the stopped server beyond `fork`, durably, with a summary.
    ///
    /// - Parameter discard: with no room for it, go on without; otherwise that is a failure.
    /// - Returns: The directory; nil when it was discarded.
    func saveDiverged(
        from fork: LSN, local: RejoinLocal, segmentSize: UInt64, leader: AgentUpstream, discard: Bool
    ) async throws -> String? {
        self.report("saving diverged WAL")
        let walDirectory = self.directory.data + "/pg_wal"
        let end = local.position.end
        let history = local.position.history
        let names = try await Offload.run {
            DivergedFiles.beforeEnd(
                try DivergedFiles.list(
                    walDirectory: walDirectory, history: history, fork: fork, segmentSize: segmentSize),
                end: end, segmentSize: segmentSize)
        }
        let now = Self.clockMicroseconds() / 1_000_000
        let directoryName = DivergedFiles.directoryName(node: self.node, timeline: history.timeline, seconds: now)
        let target = self.directory.diverged + "/" + directoryName
        let needed = UInt64(names.count + 1) * segmentSize
        if let free = DurableFile.freeBytes(self.directory.diverged), free < needed {
            guard discard else {
                throw Refusal.noRoom("Saving the WAL that only this server holds", needed: needed, free: free)
            }
            self.logger.warning("diverged WAL is given up: no room", metadata: ["needed_bytes": "\(needed)"])
            return nil
        }
        let (scan, complete) = await self.scan(from: fork, to: end, history: history)
        let translate = await self.relationNames(scan.relations, leader: leader)
        let counts = scan.counts { translate[$0] ?? $0 }
        let relations = scan.relations.map { translate[$0] ?? $0 }
            .filter { !DivergedScan.isHeartbeat($0) && !$0.contains(".pg_catalog.") }.sorted()
        let summary = DivergedSummary(
            node: self.node, savedAt: now, systemIdentifier: local.systemIdentifier, timeline: history.timeline,
            first: fork, last: end, bytes: end.bytesAhead(of: fork), commits: counts.others,
            heartbeatCommits: counts.heartbeats, relations: relations, files: names, complete: complete)
        try await self.copy(names, from: walDirectory, to: target, summary: summary)
        self.logger.warning(
            "saved WAL that only this server held",
            metadata: [
                "directory": "\(target)", "bytes": "\(summary.bytes)", "commits": "\(summary.commits)",
                "relations": "\(relations)",
            ])
        return target
    }

    private func copy(_ names: [String], from: String, to: String, summary: DivergedSummary) async throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let text = String(decoding: try encoder.encode(summary), as: UTF8.self) + "\n"
        try await Offload.run {
            // Under a temporary name until whole: a directory with its final name is complete.
            let temporary = to + ".part"
            try DurableFile.removeTree(temporary)
            try DurableFile.makeDirectory(temporary)
            for name in names { try DurableFile.copy(from + "/" + name, to: temporary + "/" + name) }
            try DurableFile.write(text, to: temporary + "/summary.json")
            try DurableFile.removeTree(to)
            try DurableFile.move(temporary, to: to)
        }
    }

    /// Reads the WAL beyond the fork. False when a part could not be read.
    private func scan(from fork: LSN, to end: LSN, history: TimelineHistory) async -> (DivergedScan, Bool) {
        let collected = Collected()
        var complete = true
        for segment in history.segments where segment.end.map({ $0 > fork }) ?? true {
            let start = max(fork, segment.begin ?? fork)
            var arguments = [
                "--path=\(self.directory.data)/pg_wal", "--start=\(start)", "--timeline=\(segment.timeline)",
            ]
            arguments.append("--end=\(segment.end ?? end)")
            let output = try? await Program.run(
                self.programs.path("pg_waldump"), arguments,
                lines: { line in collected.scan.withLock { $0.add(line) } })
            if output?.status != 0 { complete = false }
        }
        return (collected.scan.withLock { $0 }, complete)
    }

    private final class Collected: Sendable {
        let scan = Mutex(DivergedScan())
    }

    /// Names for `tablespace/database/file` numbers, asked of the new leader: those of relations that it has under
    /// the same number. A relation made after the fork keeps its numbers.
    private func relationNames(_ relations: Set<String>, leader: AgentUpstream) async -> [String: String] {
        var result: [String: String] = [:]
        let byDatabase = Dictionary(grouping: relations) { $0.split(separator: "/")[1] }
        guard let databases = try? await self.leaderQuery(leader, "SELECT oid::text AS oid, datname FROM pg_database")
        else {
            return result
        }
        for row in databases {
            guard let oid = try? row.string("oid"), let name = try? row.string("datname"),
                let files = byDatabase[Substring(oid)]
            else { continue }
            for file in files {
                let numbers = file.split(separator: "/")
                let sql = """
                    SELECT n.nspname || '.' || c.relname AS name FROM pg_class c
                    JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE c.oid = pg_filenode_relation(
                        CASE WHEN $1 = '1663' THEN 0 ELSE $1::oid END, $2::oid)
                    """
                let rows = try? await self.leaderQuery(
                    leader, sql, [String(numbers[0]), String(numbers[2])], database: name)
                if let found = try? rows?.first?.string("name") { result[file] = "\(name).\(found)" }
            }
        }
        return result
    }
}
