/// The words that a statement's class depends on. Everything else is `none`.
enum Keyword: UInt8 {
    case none

    // First words.
    case select, values, table, with, explain, show
    case insert, update, delete, merge, truncate
    case create, alter, drop, call, doBlock, copy, lock, vacuum, analyze, otherWrite
    case begin, start, commit, end, rollback, abort, savepoint, release
    case set, reset, discard, prepare, execute, deallocate, listen, unlisten, notify, load
    case declare, fetch, move, close

    // Words inside of statements.
    case into, forWord, share, no, key, session, local, global, transaction, characteristics, authorization
    case constraints, time, zone, names, schema, role, xml, to, all, defaultWord, prepared, plans, sequences
    case temporary, or, replace, hold, atomic, caseWord, read, only, asWord, not, recursive

    // What may stand before a parenthesis in a read, see PureFunctions; and a function that the operator calls a read.
    case pure, ownRead, catalogSchema

    // Names that matter before a parenthesis.
    case setConfig, advisoryLock, advisoryUnlock, advisoryTransactionLock, volatileFunction

    // Names that matter anywhere.
    case temporarySchema, settingsView, statementsView, serverView

    /// Whether a read may have the word in front of a parenthesis; in front of `.name (` only what the operator named.
    var mayOpenParenthesis: Bool {
        switch self {
        case .pure, .ownRead, .select, .values, .with, .asWord, .not, .all, .only, .or, .replace, .time, .zone,
            .forWord,
            .caseWord, .table:
            true
        default: false
        }
    }

    /// Whether the word matters in quotes, too.
    var isName: Bool { self.rawValue >= Self.setConfig.rawValue }

    /// Whether the word matters where a function is called.
    var isFunction: Bool { self.rawValue >= Self.setConfig.rawValue && self.rawValue <= Self.volatileFunction.rawValue }
}

extension Keyword {
    static let words: [(String, Keyword)] = [
        ("select", .select), ("values", .values), ("table", .table), ("with", .with), ("explain", .explain),
        ("show", .show), ("insert", .insert), ("update", .update), ("delete", .delete), ("merge", .merge),
        ("truncate", .truncate), ("create", .create), ("alter", .alter), ("drop", .drop), ("call", .call),
        ("do", .doBlock), ("copy", .copy), ("lock", .lock), ("vacuum", .vacuum), ("analyze", .analyze),
        ("analyse", .analyze), ("begin", .begin), ("start", .start), ("commit", .commit), ("end", .end),
        ("rollback", .rollback), ("abort", .abort), ("savepoint", .savepoint), ("release", .release), ("set", .set),
        ("reset", .reset), ("discard", .discard), ("prepare", .prepare), ("execute", .execute),
        ("deallocate", .deallocate), ("listen", .listen), ("unlisten", .unlisten), ("notify", .notify),
        ("load", .load), ("declare", .declare), ("fetch", .fetch), ("move", .move), ("close", .close),
        ("into", .into), ("for", .forWord), ("share", .share), ("no", .no), ("key", .key), ("session", .session),
        ("local", .local), ("global", .global), ("transaction", .transaction),
        ("characteristics", .characteristics), ("authorization", .authorization), ("constraints", .constraints),
        ("time", .time), ("zone", .zone), ("names", .names), ("schema", .schema), ("role", .role), ("xml", .xml),
        ("to", .to), ("all", .all), ("default", .defaultWord), ("prepared", .prepared), ("plans", .plans),
        ("sequences", .sequences), ("temp", .temporary), ("temporary", .temporary), ("or", .or),
        ("replace", .replace), ("hold", .hold), ("atomic", .atomic), ("case", .caseWord), ("read", .read),
        ("only", .only), ("as", .asWord), ("not", .not), ("recursive", .recursive), ("pg_catalog", .catalogSchema),
        ("set_config", .setConfig),
        ("pg_temp", .temporarySchema), ("pg_settings", .settingsView),
        // Views of what one server does.
        ("pg_locks", .serverView), ("pg_cursors", .serverView), ("pg_prepared_statements", .statementsView),
        ("pg_prepared_xacts", .serverView), ("pg_replication_slots", .serverView), ("pg_file_settings", .serverView),
        ("pg_hba_file_rules", .serverView), ("pg_stat_activity", .serverView), ("pg_stat_replication", .serverView),
        ("pg_stat_replication_slots", .serverView), ("pg_stat_wal_receiver", .serverView),
        ("pg_stat_recovery_prefetch", .serverView), ("pg_stat_subscription", .serverView),
        ("pg_stat_ssl", .serverView), ("pg_stat_gssapi", .serverView), ("pg_stat_archiver", .serverView),
        ("pg_stat_bgwriter", .serverView), ("pg_stat_checkpointer", .serverView), ("pg_stat_io", .serverView),
        ("pg_stat_wal", .serverView), ("pg_stat_slru", .serverView), ("pg_stat_database", .serverView),
        ("pg_stat_database_conflicts", .serverView), ("pg_stat_statements", .serverView),
        ("pg_stat_all_tables", .serverView), ("pg_stat_user_tables", .serverView),
        ("pg_stat_all_indexes", .serverView), ("pg_stat_user_indexes", .serverView),
        ("pg_statio_all_tables", .serverView), ("pg_statio_user_tables", .serverView),
        ("pg_statio_user_indexes", .serverView), ("pg_stat_user_functions", .serverView),
        ("pg_stat_progress_vacuum", .serverView), ("pg_stat_progress_analyze", .serverView),
        ("pg_stat_progress_create_index", .serverView), ("pg_stat_progress_basebackup", .serverView),
        // Statements that write and need no further look.
        ("grant", .otherWrite), ("revoke", .otherWrite), ("comment", .otherWrite), ("reindex", .otherWrite),
        ("cluster", .otherWrite), ("refresh", .otherWrite), ("reassign", .otherWrite), ("import", .otherWrite),
        ("security", .otherWrite), ("checkpoint", .otherWrite),
    ]
}

/// Functions of PostgreSQL that keep a read on the primary.
///
/// Source: `pg_proc` of PostgreSQL 15 where `provolatile = 'v'`, and chapter 9 of the manual. Left out is what a
/// standby answers as well as the primary (`random`, `clock_timestamp`, `gen_random_uuid`, `pg_sleep`, sizes of
/// relations). Put in is what is not volatile and yet speaks about the server, the session or the transaction.
package enum VolatileFunctions {
    /// Locks that outlive the transaction: the session is bound to its server connection.
    static let sessionLocks = [
        "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared",
    ]
    static let sessionUnlocks = ["pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all"]
    static let transactionLocks = [
        "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared", "pg_try_advisory_xact_lock",
        "pg_try_advisory_xact_lock_shared",
    ]

    package static let onPrimary = [
        // Sequences, and what the session remembers of them.
        "nextval", "setval", "currval", "lastval", "pg_sequence_last_value",
        // Transactions and snapshots.
        "txid_current", "txid_current_if_assigned", "txid_current_snapshot", "txid_status", "pg_current_xact_id",
        "pg_current_xact_id_if_assigned", "pg_current_snapshot", "pg_xact_status", "pg_export_snapshot",
        "pg_xact_commit_timestamp", "pg_xact_commit_timestamp_origin", "pg_last_committed_xact", "pg_prepared_xact",
        "setseed",
        // Messages.
        "pg_notify", "pg_notification_queue_usage", "pg_listening_channels", "pg_logical_emit_message",
        // Large objects.
        "lo_close", "lo_creat", "lo_create", "lo_export", "lo_from_bytea", "lo_get", "lo_import", "lo_lseek",
        "lo_lseek64", "lo_open", "lo_put", "lo_tell", "lo_tell64", "lo_truncate", "lo_truncate64", "lo_unlink",
        "loread", "lowrite",
        // Which server this is, and where its WAL is.
        "pg_is_in_recovery", "pg_current_wal_lsn", "pg_current_wal_insert_lsn", "pg_current_wal_flush_lsn",
        "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn", "pg_last_xact_replay_timestamp", "pg_walfile_name",
        "pg_walfile_name_offset", "pg_switch_wal", "pg_create_restore_point", "pg_backup_start", "pg_backup_stop",
        "pg_start_backup", "pg_stop_backup", "pg_promote", "pg_wal_replay_pause", "pg_wal_replay_resume",
        "pg_is_wal_replay_paused", "pg_get_wal_replay_pause_state", "pg_control_checkpoint", "pg_control_init",
        "pg_control_recovery", "pg_control_system", "pg_postmaster_start_time",
        "pg_conf_load_time", "inet_server_addr", "inet_server_port", "inet_client_addr", "inet_client_port",
        // Backends, and what they hold.
        "pg_backend_pid", "pg_cancel_backend", "pg_terminate_backend", "pg_blocking_pids",
        "pg_safe_snapshot_blocking_pids", "pg_lock_status", "pg_my_temp_schema", "pg_log_backend_memory_contexts",
        "pg_reload_conf", "pg_rotate_logfile", "current_setting", "pg_trigger_depth", "pg_stat_get_activity",
        // Statistics are each server's own.
        "pg_stat_reset", "pg_stat_reset_shared", "pg_stat_reset_slru", "pg_stat_reset_replication_slot",
        "pg_stat_reset_single_function_counters", "pg_stat_reset_single_table_counters",
        "pg_stat_reset_subscription_stats", "pg_stat_clear_snapshot", "pg_stat_force_next_flush",
        "pg_stat_statements_reset",
        // Replication.
        "pg_create_logical_replication_slot", "pg_create_physical_replication_slot",
        "pg_copy_logical_replication_slot", "pg_copy_physical_replication_slot", "pg_drop_replication_slot",
        "pg_replication_slot_advance", "pg_logical_slot_get_changes", "pg_logical_slot_get_binary_changes",
        "pg_logical_slot_peek_changes", "pg_logical_slot_peek_binary_changes", "pg_replication_origin_advance",
        "pg_replication_origin_create", "pg_replication_origin_drop", "pg_replication_origin_progress",
        "pg_replication_origin_session_is_setup", "pg_replication_origin_session_progress",
        "pg_replication_origin_session_reset", "pg_replication_origin_session_setup",
        "pg_replication_origin_xact_reset", "pg_replication_origin_xact_setup", "pg_sync_replication_slots",
        // Files and programs of the server.
        "pg_ls_dir", "pg_ls_logdir", "pg_ls_waldir", "pg_ls_tmpdir", "pg_ls_archive_statusdir", "pg_read_file",
        "pg_read_binary_file", "pg_stat_file", "pg_current_logfile", "pg_hba_file_rules", "pg_ident_file_mappings",
        "pg_show_all_file_settings",
        // Maintenance that writes.
        "brin_summarize_new_values", "brin_summarize_range", "brin_desummarize_range", "gin_clean_pending_list",
        "pg_import_system_collations", "pg_extension_config_dump", "pg_nextoid", "pg_stop_making_pinned_objects",
        // Text that is run as SQL: what it does cannot be seen from here.
        "query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema", "cursor_to_xml", "cursor_to_xmlschema",
        "ts_stat", "ts_rewrite", "dblink", "dblink_exec", "dblink_send_query", "dblink_connect",
        "dblink_disconnect", "crosstab", "connectby",
    ]
}
