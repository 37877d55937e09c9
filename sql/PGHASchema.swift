/// The SQL that pgha installs on servers, embedded in the executable.
package enum PGHASchema {
    /// One numbered script of the folder `sql/`. Idempotent.
    package struct Script: Hashable, Sendable {
        /// Scripts apply in the order of their numbers, which never change once released.
        package let number: Int
        /// The file's name without its extension: `001_roles`.
        package let name: String
        /// As in the file: without BEGIN and COMMIT.
        package let sql: String

        /// The script and its row in `pgha.schema_version` as one transaction; sent as one simple query by a
        /// superuser on the primary.
        ///
        /// `synchronous_commit = local`, since the first server of a cluster stands behind the fence, where
        /// a commit that waits for a standby would wait for ever.
        package var transaction: String {
            """
            BEGIN;
            SET LOCAL synchronous_commit = local;
            SET LOCAL client_min_messages = warning;
            \(self.sql)
            INSERT INTO pgha.schema_version (number, name) VALUES (\(self.number), '\(self.name)')
                ON CONFLICT (number) DO NOTHING;
            COMMIT;
            """
        }

        fileprivate init(_ number: Int, _ name: String, _ bytes: [UInt8]) {
            self.number = number
            self.name = name
            self.sql = String(decoding: bytes, as: UTF8.self)
        }
    }

    /// Where the scripts are installed.
    package static let database = "postgres"

    /// All scripts, ascending. The package manager turns each file's name into an identifier, with the first
    /// digit replaced by `_`.
    package static let scripts: [Script] = [
        Script(1, "001_roles", PackageResources._01_roles_sql),
        Script(2, "002_schema", PackageResources._02_schema_sql),
        Script(3, "003_pooler", PackageResources._03_pooler_sql),
    ]

    /// One row with one boolean: whether ``appliedQuery`` may be asked.
    package static let installedQuery = "SELECT pg_catalog.to_regclass('pgha.schema_version') IS NOT NULL"

    /// The numbers of the scripts that this database has, one integer a row.
    package static let appliedQuery = "SELECT number FROM pgha.schema_version ORDER BY number"

    /// Takes a role and its password, in clear text or as the verifier that PostgreSQL keeps, for ``setPassword`` in the
    /// same session. They go as parameters: no text of a statement, in a log or in `pg_stat_activity`, has the secret.
    package static let takePassword =
        "SELECT set_config('pgha.role', $1, false), set_config('pgha.secret', $2, false)"

    /// Gives the role of ``takePassword`` its password, inside the server, and forgets it.
    package static let setPassword = """
        DO $$ BEGIN
            EXECUTE format('ALTER ROLE %I PASSWORD %L', current_setting('pgha.role'), current_setting('pgha.secret'));
        END $$;
        SELECT set_config('pgha.secret', '', false)
        """

    /// The scripts that a database with `applied` lacks, in the order in which they apply.
    package static func missing(applied: some Sequence<Int>) -> [Script] {
        let known = Set(applied)
        return self.scripts.filter { !known.contains($0.number) }
    }
}
