/// The settings of PostgreSQL that the procedures rely on: one list for specifications, agents, checks and adoption.
package enum ManagedSettings {
    /// Set by pgha alone: any other value would be overwritten, or would break a procedure.
    package static let own: Set<String> = [
        "allow_alter_system", "cluster_name", "config_file", "data_directory", "external_pid_file", "hba_file",
        "hot_standby", "ident_file", "listen_addresses", "logging_collector", "port", "primary_conninfo",
        "primary_slot_name", "recovery_target", "recovery_target_timeline", "restore_command",
        "synchronous_standby_names", "unix_socket_directories",
    ]

    /// Values that the guarantees need, the default first. Source: PostgreSQL manual, "Reliability" and "Replication".
    package static let needed: [String: [String]] = [
        "fsync": ["on"], "full_page_writes": ["on"], "synchronous_commit": ["on", "remote_apply"],
        "wal_level": ["replica", "logical"],
    ]

    /// Changed over SQL: from the postmaster's command line nothing overrides them.
    package static let overSQL = [
        "synchronous_standby_names", "primary_conninfo", "primary_slot_name", "restore_command", "pgha.term",
    ]

    /// Settings whose value on a standby must reach the primary's, or replay pauses and promotion is refused.
    /// Source: PostgreSQL manual, "Hot Standby", Administrator's Overview.
    package static let standbyLimits = standbyLimitDefaults.keys.sorted()

    /// What they are when nobody sets them. Source: PostgreSQL manual, "Server Configuration".
    package static let standbyLimitDefaults = [
        "max_connections": "100", "max_worker_processes": "8", "max_wal_senders": "10",
        "max_prepared_transactions": "0", "max_locks_per_transaction": "64",
    ]

    /// All that is read of a server before it is judged.
    package static let surveyed =
        overSQL + standbyLimits + needed.keys.sorted() + [
            "hot_standby", "wal_log_hints", "data_checksums", "max_replication_slots", "allow_alter_system",
            "recovery_target_timeline", "max_slot_wal_keep_size", "wal_sender_timeout",
        ]

    /// Why a specification may not set a setting.
    package enum Refusal: Error, Hashable, Sendable {
        case managed
        /// Any of these would do.
        case unsafe(needed: [String])
    }

    /// Nil when a specification may set `name` so. PostgreSQL does not tell capitals in names.
    package static func refusal(_ name: String, _ value: String) -> Refusal? {
        let folded = name.lowercased()
        if self.own.contains(folded) || folded.hasPrefix("pgha.") { return .managed }
        guard let needed = self.needed[folded], !needed.contains(value.lowercased()) else { return nil }
        return .unsafe(needed: needed)
    }
}
