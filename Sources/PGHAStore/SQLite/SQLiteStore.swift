import Foundation
import GRDB
package import PGHACore
import Synchronization

/// The embedded store: one SQLite file, one controller.
///
/// A lock on `<path>.lock` is held for life, so that a second controller on the same file is refused at once.
/// SQLite runs on a queue of its own, never on a cooperative thread, and a cancelled task does not interrupt a write.
package final class SQLiteStore: ClusterStore {
    /// Commits after which the log is folded into the file, when no procedure runs, and in any case.
    private static let checkpointAfter = (idle: 100, always: 1000)

    private let database: DatabaseQueue
    /// Nil once closed.
    private let lock: Mutex<StoreLock?>
    private let commitsSinceCheckpoint = Mutex(0)

    /// Opens or creates the store at `path`, mode 0600, and its directory, mode 0700, when it is missing.
    ///
    /// Throws when another controller holds it, when it is not a store or damaged, and when a newer pgha wrote it;
    /// then the file was not changed.
    package static func open(at path: String) async throws(StoreError) -> SQLiteStore {
        try await Self.blocking { () throws(StoreError) in try SQLiteStore(path: path) }
    }

    private init(path: String) throws(StoreError) {
        do {
            try FileManager.default.createDirectory(
                atPath: URL(filePath: path).deletingLastPathComponent().path, withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700])
        } catch {
            throw .unavailable("cannot create the directory of \(path): \(error.localizedDescription)")
        }
        let lock = try StoreLock(path: path + ".lock")
        try PrivateFile.ensure(at: path)
        do {
            var configuration = Configuration()
            configuration.label = "pgha.store"
            // Somebody may look into the file with the sqlite3 tool.
            configuration.busyMode = .timeout(1)
            self.database = try DatabaseQueue(path: path, configuration: configuration)
            try self.database.inDatabase { db in
                try SQLiteSchema.inspect(db)
                try SQLiteSchema.prepare(db)
            }
            try SQLiteSchema.migrator.migrate(self.database)
        } catch {
            throw Self.translate(error)
        }
        self.lock = Mutex(lock)
    }

    /// Closes the file and lets another controller open it. Later calls throw ``StoreError/unavailable(_:)``.
    package func close() async {
        try? await Self.blocking { () throws(StoreError) in
            try? self.database.close()
            self.lock.withLock { $0 = nil }
        }
    }

    package func load() async throws(StoreError) -> VersionedState? {
        let row = try await self.access { db in
            try Row.fetchOne(db.cachedStatement(sql: "SELECT revision, document FROM state"))
                .map { (revision: $0["revision"] as Int64, document: $0["document"] as String) }
        }
        guard let row else { return nil }
        return VersionedState(revision: row.revision, state: try StateCoding.decode(row.document))
    }

    package func compareAndSet(
        _ new: ClusterState, expecting revision: Int64?, history: [HistoryEntry]
    ) async throws(StoreError) -> Int64 {
        let document: String
        do {
            document = try StateCoding.encode(new)
        } catch {
            throw .damaged("the state cannot be written as JSON: \(error)")
        }
        return try await self.transaction(idle: new.procedure == nil) { db in
            let actual = try Int64.fetchOne(db.cachedStatement(sql: "SELECT revision FROM state"))
            guard actual == revision else { throw StoreError.conflict(actual: actual) }
            let next = (actual ?? 0) + 1
            try db.cachedStatement(sql: "INSERT OR REPLACE INTO state (id, revision, document) VALUES (1, ?, ?)")
                .execute(arguments: [next, document])
            try Self.insert(history, into: db)
            return next
        }
    }

    package func history(limit: Int) async throws(StoreError) -> [HistoryEntry] {
        try await self.access { db in
            try Row.fetchAll(
                db.cachedStatement(sql: "SELECT * FROM history ORDER BY id DESC LIMIT ?"), arguments: [max(0, limit)]
            ).reversed().map(Self.entry)
        }
    }

    package func appendHistory(_ entries: [HistoryEntry]) async throws(StoreError) {
        try await self.transaction(idle: true) { db in try Self.insert(entries, into: db) }
    }

    /// SQLite's `PRAGMA synchronous` on the connection that writes: 2 is FULL.
    package func synchronousLevel() async throws(StoreError) -> Int? {
        try await self.access { try Int.fetchOne($0, sql: "PRAGMA synchronous") }
    }

    private static func insert(_ entries: [HistoryEntry], into db: Database) throws {
        guard !entries.isEmpty else { return }
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO history (unix_microseconds, kind, term, leader, detail, milliseconds)
                VALUES (?, ?, ?, ?, ?, ?)
                """)
        for entry in entries {
            try statement.execute(arguments: [
                entry.unixMicroseconds, entry.kind, Int64(bitPattern: entry.term.number), entry.leader?.text,
                entry.detail, entry.milliseconds,
            ])
        }
    }

    private static func entry(_ row: Row) throws -> HistoryEntry {
        let leader = row["leader"] as String?
        let name = leader.flatMap { NodeName($0) }
        guard leader == nil || name != nil else {
            throw StoreError.damaged("the history names a leader \(leader ?? "")")
        }
        return HistoryEntry(
            unixMicroseconds: row["unix_microseconds"], kind: row["kind"],
            term: Term(UInt64(bitPattern: row["term"])), leader: name, detail: row["detail"],
            milliseconds: row["milliseconds"])
    }

    // MARK: The queue

    /// Runs `body` in a transaction that is durable when this returns.
    private func transaction<Value: Sendable>(
        idle: Bool, _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreError) -> Value {
        let result: Result<Value, StoreError> = await withCheckedContinuation { continuation in
            self.database.asyncWriteWithoutTransaction { db in
                continuation.resume(returning: Self.commit(db, body))
                self.checkpointIfDue(db, idle: idle)
            }
        }
        return try result.get()
    }

    private static func commit<Value>(
        _ db: Database, _ body: (Database) throws -> Value
    ) -> Result<Value, StoreError> {
        var value: Value?
        do {
            try db.inTransaction(.immediate) {
                value = try body(db)
                return .commit
            }
        } catch  where value == nil {
            return .failure(Self.translate(error))
        } catch {
            // COMMIT itself failed: after an I/O error SQLite does not say what reached the disk.
            return .failure(.unknownOutcome("\(error)"))
        }
        guard let value else { return .failure(.unavailable("the transaction had no result")) }
        return .success(value)
    }

    /// Folds the log into the file after the answer was given, and between procedures rather than within one.
    private func checkpointIfDue(_ db: Database, idle: Bool) {
        let commits = self.commitsSinceCheckpoint.withLock { count in
            count += 1
            return count
        }
        guard commits >= (idle ? Self.checkpointAfter.idle : Self.checkpointAfter.always) else { return }
        // A checkpoint that fails loses nothing: the log keeps the commits, and the next one tries again.
        if (try? db.checkpoint(.passive)) != nil { self.commitsSinceCheckpoint.withLock { $0 = 0 } }
    }

    private func access<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreError) -> Value {
        let result: Result<Value, StoreError> = await withCheckedContinuation { continuation in
            self.database.asyncWriteWithoutTransaction { db in
                do {
                    continuation.resume(returning: .success(try body(db)))
                } catch {
                    continuation.resume(returning: .failure(Self.translate(error)))
                }
            }
        }
        return try result.get()
    }

    /// Runs blocking work on a thread that may block.
    private static func blocking<Value: Sendable>(
        _ body: @escaping @Sendable () throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        let result: Result<Value, StoreError> = await withCheckedContinuation { continuation in
            DispatchQueue(label: "pgha.store").async {
                continuation.resume(returning: Result { () throws(StoreError) in try body() })
            }
        }
        return try result.get()
    }

    /// An error of a statement before COMMIT: nothing was changed.
    private static func translate(_ error: any Error) -> StoreError {
        switch error {
        case let error as StoreError: error
        case let error as DatabaseError where [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode):
            .damaged(error.message ?? error.description)
        case let error as DatabaseError: .unavailable(error.message ?? error.description)
        default: .unavailable("\(error)")
        }
    }
}
