import PGHACore

/// Whether a server's settings allow replication, rewinding and promotion under pgha.
enum SettingsJudgement {
    private static let restart = "and restart it."

    static func findings(_ server: ServerSurvey, _ name: String, peers: Int) -> [Finding] {
        let problems =
            self.commandLine(server, name) + self.replication(server, name, peers: peers) + self.safety(server, name)
            + self.pending(server, name)
        return problems.contains { $0.severity == .fail }
            ? problems : [.ok(name, "settings", "settings allow replication, rewinding and promotion")] + problems
    }

    private static func commandLine(_ server: ServerSurvey, _ name: String) -> [Finding] {
        var findings = ManagedSettings.overSQL.filter { server.settings[$0]?.source == "command line" }.map { setting in
            Finding.fail(
                name, "command_line",
                "\(setting) is given on the postmaster's command line, where nothing overrides it",
                hint: "Take '-c \(setting)=…' out of how PostgreSQL is started \(self.restart)")
        }
        if server.value("allow_alter_system") == "off" {
            findings.append(
                .fail(
                    name, "allow_alter_system", "allow_alter_system is off: pgha cannot fence or repoint this server",
                    hint: "Set allow_alter_system = on and reload."))
        }
        return findings
    }

    private static func replication(_ server: ServerSurvey, _ name: String, peers: Int) -> [Finding] {
        var findings: [Finding] = []
        if server.value("wal_level") == "minimal" {
            findings.append(
                .fail(
                    name, "wal_level", "wal_level is minimal: nothing can stream from this server",
                    hint: "Set wal_level = replica \(self.restart)"))
        }
        if server.value("hot_standby") == "off" {
            findings.append(
                .fail(
                    name, "hot_standby", "hot_standby is off: as a standby it cannot be asked anything",
                    hint: "Set hot_standby = on \(self.restart)"))
        }
        for setting in ["max_wal_senders", "max_replication_slots"] {
            guard let value = server.value(setting).flatMap({ Int($0) }), value < peers else { continue }
            findings.append(
                .fail(
                    name, setting, "\(setting) is \(value), but there are \(peers) other nodes",
                    hint: "Set \(setting) = 10 \(self.restart)"))
        }
        if let target = server.value("recovery_target_timeline"), target != "latest" {
            findings.append(
                .fail(
                    name, "recovery_target_timeline",
                    "recovery_target_timeline is \(target): it could not follow a new leader",
                    hint: "Set recovery_target_timeline = latest \(self.restart)"))
        }
        return findings
    }

    private static func safety(_ server: ServerSurvey, _ name: String) -> [Finding] {
        var findings: [Finding] = []
        for setting in ["fsync", "full_page_writes"] where server.value(setting) == "off" {
            findings.append(
                .fail(
                    name, setting, "\(setting) is off: a crash can lose acknowledged commits or damage the data",
                    hint: "Set \(setting) = on and reload."))
        }
        if server.value("wal_log_hints") == "off", server.value("data_checksums") == "off" {
            findings.append(
                .fail(
                    name, "wal_log_hints", "neither wal_log_hints nor data checksums are on: pg_rewind cannot be used",
                    hint: "Set wal_log_hints = on \(self.restart)"))
        }
        if let level = server.value("synchronous_commit"), level != "on", level != "remote_apply" {
            findings.append(
                .warn(
                    name, "synchronous_commit",
                    "synchronous_commit is \(level): acknowledged commits can be lost in a failover",
                    hint: "Set synchronous_commit = on and reload."))
        }
        if server.value("max_slot_wal_keep_size") == "-1" {
            findings.append(
                .warn(
                    name, "max_slot_wal_keep_size",
                    "max_slot_wal_keep_size is unlimited: a standby that stays away fills the disk",
                    hint: "Set max_slot_wal_keep_size to less than the room there is, such as 8GB, and reload."))
        }
        return findings
    }

    private static func pending(_ server: ServerSurvey, _ name: String) -> [Finding] {
        let waiting = server.settings.filter(\.value.pendingRestart).map(\.key).sorted()
        guard !waiting.isEmpty else { return [] }
        return [
            .warn(
                name, "pending_restart", "waits for a restart: \(waiting.joined(separator: ", "))",
                hint: "Run 'pgha restart \(name)' when it suits.")
        ]
    }
}
