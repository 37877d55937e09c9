import PGHAClient
import PGHACore

/// The parts of a data directory's configuration that the agent writes: the included `pgha.conf`, and a block
/// each in `postgresql.conf`, `pg_hba.conf` and `pg_ident.conf`.
struct ManagedFiles: Sendable {
    var node: NodeName
    var setup: ServerSetup
    var socketDirectory: String
    /// The name of the operating system's user that the agent runs as.
    var systemUser: String

    static let includeName = "pgha.conf"
    static let begin = "# pgha begin"
    static let end = "# pgha end"
    /// The map by which the agent's user becomes the superuser `postgres` over the Unix socket.
    static let identMap = "pgha"

    /// Settings that a cluster under pgha must not set otherwise, because the procedures rely on them.
    static let managed: Set<String> = [
        "listen_addresses", "port", "unix_socket_directories", "wal_level", "hot_standby", "synchronous_commit",
        "synchronous_standby_names", "primary_conninfo", "primary_slot_name", "restore_command", "cluster_name",
        "full_page_writes", "fsync", "logging_collector", "data_directory", "hba_file", "ident_file",
        "recovery_target", "recovery_target_timeline", "allow_alter_system", "pgha.term", "external_pid_file",
    ]

    /// Name, value, reason. Defaults of DESIGN section 6; a setup may override those that are not in ``managed``.
    private var defaults: [(String, String, String)] {
        [
            ("wal_log_hints", "on", "pg_rewind needs it, checksums or not known beforehand"),
            ("max_wal_senders", "10", "peers, base backups and a reserve"),
            ("max_replication_slots", "10", "one for each peer"),
            ("wal_sender_timeout", "5s", "a vanished standby is noticed"),
            ("wal_receiver_timeout", "5s", "a vanished primary is noticed"),
            ("wal_receiver_status_interval", "1s", "positions are fresh"),
            ("wal_retrieve_retry_interval", "200ms", "a follower attaches quickly"),
            ("max_slot_wal_keep_size", "8GB", "a standby that is gone must not fill the disk"),
            ("wal_keep_size", "128MB", "a short absence needs no slot"),
            ("hot_standby_feedback", "off", "a standby's query must not bloat the primary"),
            ("max_standby_streaming_delay", "30s", "a query on a standby delays replay no longer"),
            ("password_encryption", "scram-sha-256", "the roles of pgha authenticate so"),
        ]
    }

    /// The content of `pgha.conf`.
    var configuration: String {
        var lines = ["# Written by pgha's agent; changes here are lost. Use `pgha config set`."]
        func add(_ name: String, _ value: String) { lines.append("\(name) = \(AutoConf.quoted(value))") }
        add("listen_addresses", self.setup.listenAddresses.joined(separator: ","))
        add("port", "\(self.setup.port)")
        add("unix_socket_directories", self.socketDirectory)
        add("cluster_name", self.node.text)
        add("wal_level", self.setup.settings["wal_level"] == "logical" ? "logical" : "replica")
        add("hot_standby", "on")
        add("full_page_writes", "on")
        add("synchronous_commit", "on")
        add("logging_collector", "off")
        add("recovery_target_timeline", "latest")
        for (name, value, _) in self.defaults where self.setup.settings[name] == nil { add(name, value) }
        for (name, value) in self.setup.settings.sorted(by: { $0.key < $1.key }) where !Self.managed.contains(name) {
            add(name, value)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// `pg_hba.conf` with the block of pgha first, so that nothing before it shadows it.
    func accessRules(_ text: String) -> String {
        var lines = [
            "local all postgres peer map=\(Self.identMap)", "local replication postgres peer map=\(Self.identMap)",
        ]
        for network in self.setup.trustedNetworks {
            lines.append("host all pgha_control,pgha_replica \(network) scram-sha-256")
            lines.append("host replication pgha_replica,pgha_control \(network) scram-sha-256")
        }
        for rule in self.setup.access {
            let words = [rule.type, rule.database, rule.user, rule.address, rule.method].compactMap { $0 }
            lines.append(words.joined(separator: " "))
        }
        return Self.block(lines) + Self.withoutBlock(text)
    }

    /// `pg_ident.conf` with the map for the agent's user first.
    func identities(_ text: String) -> String {
        Self.block(["\(Self.identMap) \"\(self.systemUser)\" postgres"]) + Self.withoutBlock(text)
    }

    /// `postgresql.conf` with the include last, so that it wins.
    func mainConfiguration(_ text: String) -> String {
        Self.withoutBlock(text) + Self.block(["include = '\(Self.includeName)'"])
    }

    /// Nil when the setup can be written; otherwise what is wrong with it.
    var problem: AgentFailure? {
        if !(1...65_535).contains(self.setup.port) { return Self.invalid("port \(self.setup.port)") }
        for name in self.setup.settings.keys.sorted() {
            if Self.managed.contains(name), name != "wal_level" { return Self.managedSetting(name) }
            let allowed = name.utf8.allSatisfy { Self.isWordByte($0) || $0 == 0x2E }
            if name.isEmpty || !allowed { return Self.invalid("setting name \(name)") }
        }
        for network in self.setup.trustedNetworks where !Self.isPlainWord(network) {
            return Self.invalid("network \(network)")
        }
        for rule in self.setup.access {
            let words = [rule.type, rule.database, rule.user, rule.method] + (rule.address.map { [$0] } ?? [])
            if let bad = words.first(where: { !Self.isPlainWord($0) }) {
                return Self.invalid("access rule word \(bad)")
            }
        }
        return nil
    }

    /// Words of `pg_hba.conf` that need no quoting and cannot end a line or a field.
    private static func isPlainWord(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x23 && $0 != 0x5C }
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte) || (0x30...0x39).contains(byte) || byte == 0x5F
    }

    private static func invalid(_ what: String) -> AgentFailure {
        AgentFailure(
            code: "invalid_setup", message: "Not usable: \(what)", hint: "Correct it in the cluster's specification.")
    }

    private static func managedSetting(_ name: String) -> AgentFailure {
        AgentFailure(
            code: "managed_setting", message: "\(name) is managed by pgha",
            hint: "Remove it from the cluster's PostgreSQL settings.")
    }

    private static func block(_ lines: [String]) -> String {
        ([self.begin] + lines + [self.end]).joined(separator: "\n") + "\n"
    }

    private static func withoutBlock(_ text: String) -> String {
        var kept: [Substring] = []
        var inside = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line == self.begin { inside = true }
            if !inside { kept.append(line) }
            if line == self.end { inside = false }
        }
        let result = kept.joined(separator: "\n")
        return result.isEmpty || result.hasSuffix("\n") ? result : result + "\n"
    }
}

extension ManagedFiles {
    /// Writes all of it into a data directory. Blocks.
    func write(into data: String) throws {
        try DurableFile.write(self.configuration, to: data + "/" + Self.includeName)
        for (name, change) in [
            ("pg_hba.conf", self.accessRules), ("pg_ident.conf", self.identities),
            ("postgresql.conf", self.mainConfiguration),
        ] {
            let old = try DurableFile.read(data + "/" + name) ?? ""
            let new = change(old)
            if new != old { try DurableFile.write(new, to: data + "/" + name) }
        }
    }
}
