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
    /// With no room for it, a request that discards goes on without; otherwise that is a failure.
    ///
    /// - Returns: The directory; nil when it was discarded.
    func saveDiverged(
        from fork: LSN, local: RejoinLocal, segmentSize: UInt64, for request: RejoinRequest
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
        let name = DivergedName(node: self.node, timeline: history.timeline, savedAt: now)
        let target = "\(self.directory.diverged)/\(name)"
        let needed = UInt64(names.count + 1) * segmentSize
        if let free = DurableFile.freeBytes(self.directory.diverged), free < needed {
            guard request.mode == .discard else {
                throw Refusal.noRoom("Saving the WAL that only this server holds", needed: needed, free: free)
            }
            self.logger.warning("diverged WAL is given up: no room", metadata: ["needed_bytes": "\(needed)"])
            return nil
        }
        let ranges = history.segments.filter { $0.end.map { $0 > fork } ?? true }.map { segment in
            DivergedSummary.Range(
                timeline: segment.timeline, from: max(fork, segment.begin ?? fork), to: segment.end ?? end)
        }
        let (scan, complete) = await self.scan(ranges)
        let translate = await self.relationNames(scan.relations) { sql, values, database in
            try await self.leaderQuery(request.leader, sql, values, database: database)
        }
        var summary = DivergedSummary(
            node: self.node, savedAt: now, term: request.pledge.number.term, leader: request.leader.name,
            systemIdentifier: local.systemIdentifier, timeline: history.timeline, from: fork, to: end, ranges: ranges,
            files: names, complete: complete)
        summary.take(scan, names: translate)
        try await self.copy(names, from: walDirectory, to: target, summary: summary)
        // Only now may the server be started: that replays, and recycles, WAL.
        await self.nameOwnRelations(scan, summary, in: target, known: translate)
        self.logger.warning(
            "saved WAL that only this server held",
            metadata: [
                "directory": "\(target)", "bytes": "\(summary.bytes)", "commits": "\(summary.commits)",
                "relations": "\(summary.relations)",
            ])
        return target
    }

    /// Relations that only this server has are named by it alone, and not any more once it was rewound. It is started
    /// for that as a standby of nobody, as crash recovery before pg_rewind does anyway. Best effort: a relation that was
    /// dropped since, or a server that does not get ready, leaves numbers.
    private func nameOwnRelations(
        _ scan: DivergedScan, _ summary: DivergedSummary, in target: String, known: [String: String]
    ) async {
        let unknown = scan.relations.filter { known[$0] == nil && !DivergedScan.isShared($0) }
        guard !unknown.isEmpty else { return }
        self.report("naming what only this server holds")
        do {
            try await self.writeManagedFiles()
            try await self.start(standby: true, hot: false)
            self.keepsRunning = false
            let deadline = ContinuousClock.now + .seconds(5)
            while (try? await self.local.status()) == nil, ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(20))
            }
            let own = await self.relationNames(unknown) { sql, values, database in
                let server = database == "postgres" ? self.local : await self.local.other(database)
                defer { if server !== self.local { Task { await server.close() } } }
                return try await server.query(sql, values)
            }
            try await self.stop(Self.cleanStop(drain: .seconds(30)))
            var named = summary
            named.take(scan, names: known.merging(own) { $1 })
            try await self.write(try named.text, to: target + "/summary.json")
        } catch {
            self.logger.warning("relations stay numbers", metadata: ["why": "\(Refusal.other(error))"])
        }
    }

    private func copy(_ names: [String], from: String, to: String, summary: DivergedSummary) async throws {
        let text = try summary.text
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
    private func scan(_ ranges: [DivergedSummary.Range]) async -> (DivergedScan, Bool) {
        let collected = Collected()
        var complete = true
        for range in ranges {
            let output = try? await Program.run(
                self.programs.path("pg_waldump"),
                [
                    "--path=\(self.directory.data)/pg_wal", "--timeline=\(range.timeline)", "--start=\(range.from)",
                    "--end=\(range.to)",
                ],
                // The times of commits are printed in this zone.
                environment: ["TZ": "UTC"], lines: { line in collected.scan.withLock { $0.add(line) } })
            if output?.status != 0 { complete = false }
        }
        return (collected.scan.withLock { $0 }, complete)
    }

    private final class Collected: Sendable {
        let scan = Mutex(DivergedScan())
    }

    /// Names for `tablespace/database/file` numbers, asked of a server that has relations under the same numbers.
    private func relationNames(
        _ relations: Set<String>, ask: (_ sql: String, _ values: [String?], _ database: String) async throws -> [Row]
    ) async -> [String: String] {
        var result: [String: String] = [:]
        let byDatabase = Dictionary(grouping: relations) { $0.split(separator: "/")[1] }
        let databases = try? await ask(
            "SELECT oid::text AS oid, datname FROM pg_database WHERE datallowconn", [], "postgres")
        for row in databases ?? [] {
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
                let rows = try? await ask(sql, [String(numbers[0]), String(numbers[2])], name)
                if let found = try? rows?.first?.string("name") { result[file] = "\(name).\(found)" }
            }
        }
        return result
    }
}
