import GRDB

/// The tables of the embedded store, and what makes a file ours.
enum SQLiteSchema {
    /// "pgha" in ASCII, in SQLite's `application_id`.
    static let applicationID = 0x7067_6861

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("v1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE state (
                        id       INTEGER PRIMARY KEY CHECK (id = 1),
                        revision INTEGER NOT NULL CHECK (revision > 0),
                        document TEXT NOT NULL
                    ) STRICT;
                    CREATE TABLE history (
                        id                INTEGER PRIMARY KEY AUTOINCREMENT,
                        unix_microseconds INTEGER NOT NULL,
                        kind              TEXT NOT NULL,
                        term              INTEGER NOT NULL,
                        leader            TEXT,
                        detail            TEXT NOT NULL,
                        milliseconds      INTEGER
                    ) STRICT;
                    """)
            try db.execute(sql: "PRAGMA application_id = \(Self.applicationID)")
        }
        return migrator
    }

    /// Refuses a file of another program, a damaged one and one of a newer pgha; changes nothing.
    static func inspect(_ db: Database) throws {
        guard try Int.fetchOne(db, sql: "SELECT count(*) FROM sqlite_master") != 0 else { return }
        guard try Int.fetchOne(db, sql: "PRAGMA application_id") == Self.applicationID else {
            throw StoreError.damaged("the file is a SQLite database, but not a store of pgha")
        }
        let problems = try String.fetchAll(db, sql: "PRAGMA integrity_check(3)")
        guard problems == ["ok"] else { throw StoreError.damaged(problems.joined(separator: "; ")) }
        let migrator = Self.migrator
        let unknown = try migrator.appliedIdentifiers(db).subtracting(migrator.migrations)
        if let found = unknown.max() {
            throw StoreError.newerSchema(found: found, supported: migrator.migrations.last ?? "none")
        }
    }

    /// WAL with `synchronous = FULL`: a commit is on disk when it returns, at the price of one fsync.
    static func prepare(_ db: Database) throws {
        let mode = try String.fetchOne(db, sql: "PRAGMA journal_mode = WAL")
        guard mode == "wal" else { throw StoreError.unavailable("the file system has no write-ahead log for SQLite") }
        try db.execute(sql: "PRAGMA synchronous = FULL")
        // A checkpoint costs two more fsyncs: SQLiteStore runs it after it has answered.
        try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
    }
}
