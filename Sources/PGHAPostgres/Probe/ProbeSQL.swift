internal import PGHACore

/// What a probe asks. Five statements in one message; works on primaries and standbys, versions 15 to 18, and
/// for a role with `pg_monitor`.
enum ProbeSQL {
    /// - Parameter knownLoadTime: the `load_time` of an earlier answer in the same session; settings that wait for
    ///   a restart are read only when it has changed.
    static func text(knownLoadTime: Int64) -> String {
        "\(self.server); \(self.receiver); \(self.senders); \(self.slots); \(self.pending(knownLoadTime))"
    }

    // OFFSET 0 keeps the planner from asking twice whether the server is in recovery: all columns follow one answer.
    // The last checkpoint's timeline lags behind a promotion by minutes, hence pg_walfile_name on a primary.
    private static let server = """
        SELECT y.system_identifier, current_setting('server_version_num') AS version,
          (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS postmaster_start,
          (extract(epoch FROM pg_conf_load_time()) * 1000000)::bigint AS load_time,
          r.standby AS in_recovery, c.timeline_id AS checkpoint_timeline, m.min_recovery_end_timeline AS minimum_timeline,
          CASE WHEN NOT r.standby THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS insert_timeline,
          CASE WHEN r.standby THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
            ELSE pg_current_wal_flush_lsn() END AS position,
          CASE WHEN r.standby THEN pg_last_wal_replay_lsn() END AS replayed,
          CASE WHEN r.standby THEN pg_get_wal_replay_pause_state() <> 'not paused' ELSE false END AS replay_paused,
          CASE WHEN r.standby THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END
            AS replay_delay,
          current_setting('synchronous_standby_names') AS sync_names, current_setting('pgha.term', true) AS pledge
        FROM (SELECT pg_is_in_recovery() AS standby OFFSET 0) r, pg_control_system() y, pg_control_checkpoint() c,
          pg_control_recovery() m
        """

    private static let receiver = """
        SELECT pid, status, sender_host, sender_port, received_tli,
          (extract(epoch FROM last_msg_receipt_time) * 1000000)::bigint AS last_message
        FROM pg_stat_wal_receiver
        """

    static let senders = """
        SELECT pid, application_name, host(client_addr) AS client_address, state, flush_lsn, replay_lsn, sync_priority
        FROM pg_stat_replication
        """

    private static let slots = """
        SELECT slot_name, active, restart_lsn, wal_status FROM pg_replication_slots WHERE slot_type = 'physical'
        """

    private static func pending(_ knownLoadTime: Int64) -> String {
        """
        SELECT name FROM pg_settings WHERE pending_restart
          AND (extract(epoch FROM pg_conf_load_time()) * 1000000)::bigint <> \(knownLoadTime)
        """
    }
}

/// The decoded answer to ``ProbeSQL``.
struct ProbeAnswer {
    var observation: ServerObservation
    /// `pg_conf_load_time()`, microseconds since 1970.
    let loadTime: Int64

    init(_ results: [[Row]]) throws(PostgresError) {
        guard results.count == 5, let server = results[0].first, results[0].count == 1, results[1].count <= 1 else {
            throw PostgresError(.undecodable, message: "a probe's answer has an unexpected shape")
        }
        self.loadTime = try server.int64("load_time")
        let inRecovery = try server.bool("in_recovery")
        self.observation = ServerObservation(
            systemIdentifier: try Self.systemIdentifier(server), version: try server.int("version"),
            postmasterStart: try server.int64("postmaster_start"), inRecovery: inRecovery,
            timeline: try Self.timeline(server, receiver: results[1].first), position: try server.lsn("position"),
            replayed: try server.lsnIfPresent("replayed"), replayPaused: try server.bool("replay_paused"),
            replayDelay: try server.doubleIfPresent("replay_delay"),
            receiver: try results[1].first.map(ReceiverObservation.init(row:)),
            senders: try results[2].map(SenderObservation.init(row:)), syncNames: try server.string("sync_names"),
            pledge: try server.pledge("pledge"), slots: try results[3].map(SlotObservation.init(row:)),
            pendingRestart: try results[4].map { row throws(PostgresError) in try row.string("name") })
    }

    /// PostgreSQL prints the unsigned identifier as a signed number.
    static func systemIdentifier(_ row: Row) throws(PostgresError) -> UInt64 {
        UInt64(bitPattern: try row.int64("system_identifier"))
    }

    private static func timeline(_ server: Row, receiver: Row?) throws(PostgresError) -> TimelineID {
        if !(try server.bool("in_recovery")) { return try server.hexTimeline("insert_timeline") }
        let controlled = max(try server.timeline("checkpoint_timeline"), try server.timeline("minimum_timeline"))
        guard let received = try receiver?.timelineIfPresent("received_tli") else { return controlled }
        return max(controlled, received)
    }
}

extension Row {
    /// The first eight letters of a WAL file's name.
    func hexTimeline(_ name: String) throws(PostgresError) -> TimelineID {
        try self.decode(name, "timeline") { UInt32($0, radix: 16).map { TimelineID($0) } }
    }

    /// Nil when unset or empty; text that is not a pledge is an error, since ignoring it would break a promise.
    func pledge(_ name: String) throws(PostgresError) -> Pledge? {
        guard let text = try self.stringIfPresent(name), !text.isEmpty else { return nil }
        guard let pledge = Pledge(text) else {
            throw PostgresError(.undecodable, message: "pgha.term is not a pledge: \(text.prefix(100))")
        }
        return pledge
    }
}

extension ReceiverObservation {
    init(row: Row) throws(PostgresError) {
        self.init(
            pid: try row.int32("pid"), status: try row.string("status"),
            senderHost: try row.stringIfPresent("sender_host"), senderPort: try row.intIfPresent("sender_port"),
            lastMessage: try row.int64IfPresent("last_message"))
    }
}

extension SenderObservation {
    init(row: Row) throws(PostgresError) {
        self.init(
            pid: try row.int32("pid"), applicationName: try row.string("application_name"),
            clientAddress: try row.stringIfPresent("client_address"), state: try row.string("state"),
            flushed: try row.lsnIfPresent("flush_lsn"), replayed: try row.lsnIfPresent("replay_lsn"),
            syncPriority: try row.int("sync_priority"))
    }
}

extension SlotObservation {
    init(row: Row) throws(PostgresError) {
        self.init(
            name: try row.string("slot_name"), active: try row.bool("active"),
            restartLSN: try row.lsnIfPresent("restart_lsn"), walStatus: try row.stringIfPresent("wal_status"))
    }
}
