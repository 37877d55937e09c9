internal import PGHACore

/// What a command must know of the server before it changes anything.
struct ControlState: Sendable {
    static let sql = """
        SELECT y.system_identifier, pg_is_in_recovery() AS in_recovery, current_setting('pgha.term', true) AS pledge,
          current_setting('pgha.term', true) IS NOT NULL AS knows_pledge,
          current_setting('primary_conninfo') AS primary_conninfo,
          current_setting('primary_slot_name') AS primary_slot_name,
          current_setting('restore_command') AS restore_command,
          current_setting('synchronous_standby_names') AS synchronous_standby_names,
          current_setting('recovery_target_timeline') AS recovery_target_timeline
        FROM pg_control_system() y
        """

    let systemIdentifier: UInt64
    let inRecovery: Bool
    let pledge: Pledge?
    /// Whether the session has a `pgha.term` at all, without which `ALTER SYSTEM` refuses it before version 17.
    let knowsPledgeSetting: Bool
    let settings: [ServerSetting: String]
    let followsLatestTimeline: Bool

    init(_ row: Row) throws(PostgresError) {
        self.systemIdentifier = try ProbeAnswer.systemIdentifier(row)
        self.inRecovery = try row.bool("in_recovery")
        self.pledge = try row.pledge("pledge")
        self.knowsPledgeSetting = try row.bool("knows_pledge")
        self.followsLatestTimeline = try row.string("recovery_target_timeline") == "latest"
        self.settings = [
            .pledge: try row.stringIfPresent("pledge") ?? "",
            .upstream: try row.string("primary_conninfo"),
            .slot: try row.string("primary_slot_name"),
            .restoreCommand: try row.string("restore_command"),
            .syncNames: try row.string("synchronous_standby_names"),
        ]
    }

    /// The settings of `wanted` that differ.
    func missing(_ wanted: [ServerSetting: String]) -> [ServerSetting: String] {
        wanted.filter { self.settings[$0.key] != $0.value }
    }
}

/// The settings that `pgha` changes while a server runs.
enum ServerSetting: String, Sendable, CaseIterable, Comparable {
    case pledge = "pgha.term"
    case upstream = "primary_conninfo"
    case slot = "primary_slot_name"
    case restoreCommand = "restore_command"
    case syncNames = "synchronous_standby_names"

    /// The order of writing: the pledge first, so that no change outlives a refusal to pledge.
    static func < (a: ServerSetting, b: ServerSetting) -> Bool {
        Self.allCases.firstIndex(of: a)! < Self.allCases.firstIndex(of: b)!
    }
}
