import PGHAClient
import PGHACore
import PGHASchema

/// The parts of a data directory's configuration that the agent writes: the included `pgha.conf`, and a block
/// each in `postgresql.conf`, `pg_hba.conf` and `pg_ident.conf`.
struct ManagedFiles: Sendable {
    var node: NodeName
    var setup: ServerSetup
    var socketDirectory: String
    /// The name of the operating system's user that the agent runs as.
    var systemUser: String
    /// Of a server that somebody else made; its files may be anywhere.
    var adopted: AdoptedServer?
    /// Whether its superuser `postgres` is let in too, for as long as it takes to make the agent's own.
    var admitsBootstrap = false

    static let includeName = "pgha.conf"
    static let begin = "# pgha begin"
    static let end = "# pgha end"
    /// The map by which the agent's user becomes the superuser `postgres` over the Unix socket.
    static let identMap = "pgha"

    /// A default of pgha's that a specification may override. The reason is for whoever reads this.
    private struct Default {
        let name: String
        let value: String
        /// Whether procedures are slow or impossible without it, so that a server that somebody else made gets it too.
        let isNeeded: Bool

        init(_ name: String, _ value: String, needed: Bool = false, _ reason: String) {
            self.name = name
            self.value = value
            self.isNeeded = needed
        }
    }

    /// Defaults of DESIGN section 6.
    private static let defaults = [
        Default("wal_log_hints", "on", needed: true, "pg_rewind needs it, checksums or not known beforehand"),
        Default("max_wal_senders", "10", "peers, base backups and a reserve"),
        Default("max_replication_slots", "10", "one for each peer"),
        Default("wal_sender_timeout", "5s", needed: true, "a vanished standby is noticed"),
        Default("wal_receiver_timeout", "5s", needed: true, "a vanished primary is noticed"),
        Default("wal_receiver_status_interval", "1s", needed: true, "positions are fresh"),
        Default("wal_retrieve_retry_interval", "200ms", needed: true, "a follower attaches quickly"),
        Default("max_slot_wal_keep_size", "8GB", "a standby that is gone must not fill the disk"),
        Default("wal_keep_size", "128MB", "a short absence needs no slot"),
        Default("hot_standby_feedback", "off", "a standby's query must not bloat the primary"),
        Default("max_standby_streaming_delay", "30s", "a query on a standby delays replay no longer"),
        Default("password_encryption", "scram-sha-256", "the roles of pgha authenticate so"),
    ]

    /// The content of `pgha.conf`. A server that somebody else made keeps its own settings but for those that
    /// procedures need.
    var configuration: String {
        var lines = ["# Written by pgha's agent; changes here are lost. Use `pgha config set`."]
        func add(_ name: String, _ value: String) { lines.append("\(name) = \(AutoConf.quoted(value))") }
        add("port", "\(self.setup.port)")
        if let adopted = self.adopted {
            for (name, value) in adopted.settings.sorted(by: { $0.key < $1.key }) { add(name, value) }
        } else {
            add("listen_addresses", self.setup.listenAddresses.joined(separator: ","))
            add("unix_socket_directories", self.socketDirectory)
            add("cluster_name", self.node.text)
            add("logging_collector", "off")
            add("hot_standby", "on")
            add("wal_level", "replica")
            add("fsync", "on")
        }
        add("full_page_writes", "on")
        add("synchronous_commit", "on")
        add("recovery_target_timeline", "latest")
        for setting in Self.defaults where self.setup.settings[setting.name] == nil {
            if self.adopted != nil, !setting.isNeeded { continue }
            if self.adopted?.hasChecksums == true, setting.name == "wal_log_hints" { continue }
            add(setting.name, setting.value)
        }
        // Last, so that a value that may be chosen (wal_level = logical) goes over the one above.
        for (name, value) in self.setup.settings.sorted(by: { $0.key < $1.key }) { add(name, value) }
        return lines.joined(separator: "\n") + "\n"
    }

    /// `pg_hba.conf` with the block of pgha first, so that nothing before it shadows it.
    func accessRules(_ text: String) -> String {
        var lines: [String] = []
        if self.adopted != nil {
            lines.append("local all \(AdoptedServer.role) peer map=\(Self.identMap)")
            lines.append("host all \(AdoptedServer.role) all reject")
        }
        if self.adopted == nil || self.admitsBootstrap {
            lines.append("local all postgres peer map=\(Self.identMap)")
            lines.append("local replication postgres peer map=\(Self.identMap)")
        }
        // A pooler on this host may come by the socket, where the rule for everybody is usually `peer`.
        lines.append("local \(PGHASchema.database) pgha_pooler scram-sha-256")
        for network in self.setup.trustedNetworks {
            lines.append("host all pgha_control,pgha_replica \(network) scram-sha-256")
            lines.append("host replication pgha_replica,pgha_control \(network) scram-sha-256")
            lines.append("host \(PGHASchema.database) pgha_pooler \(network) scram-sha-256")
        }
        for rule in self.setup.access {
            let words = [rule.type, rule.database, rule.user, rule.address, rule.method].compactMap { $0 }
            lines.append(words.joined(separator: " "))
        }
        if self.adopted == nil { lines += self.localRules }
        return Self.block(lines) + Self.withoutBlock(text)
    }

    /// Who gets in by a password over TCP does so over the Unix socket too, where a pooler on this host comes from in
    /// their place. The socket knows neither addresses nor TLS; to it come the server's own user and, where it is set,
    /// the members of `socket_group`. Up to the first rule that asks for something else: those behind it may be less
    /// strict.
    private var localRules: [String] {
        let passwords: Set = ["scram-sha-256", "md5", "reject"]
        return self.setup.access.prefix { passwords.contains($0.method) }.filter { $0.type != "local" }
            .map { "local \($0.database) \($0.user) \($0.method)" }
    }

    /// `pg_ident.conf` with the map for the agent's user first.
    func identities(_ text: String) -> String {
        let roles = ["postgres"] + (self.adopted == nil ? [] : [AdoptedServer.role])
        return Self.block(roles.map { "\(Self.identMap) \"\(self.systemUser)\" \($0)" }) + Self.withoutBlock(text)
    }

    /// `postgresql.conf` with the include last, so that it wins.
    func mainConfiguration(_ text: String) -> String {
        Self.withoutBlock(text) + Self.block(["include = '\(Self.includeName)'"])
    }

    /// Nil when the setup can be written; otherwise what is wrong with it.
    var problem: AgentFailure? {
        if !(1...65_535).contains(self.setup.port) { return Self.invalid("port \(self.setup.port)") }
        for (name, value) in self.setup.settings.sorted(by: { $0.key < $1.key }) {
            if ManagedSettings.refusal(name, value) != nil { return Self.managedSetting(name, value) }
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

    private static func managedSetting(_ name: String, _ value: String) -> AgentFailure {
        AgentFailure(
            code: "managed_setting", message: "\(name) = \(value): pgha needs another value, or sets it itself",
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
    /// Writes all of it into a data directory, or where the configuration of that server is. Blocks.
    func write(into data: String) throws {
        let main = self.adopted.map { $0.place($0.configFile, data: data) } ?? data + "/postgresql.conf"
        try DurableFile.write(self.configuration, to: DurableFile.parent(main) + "/" + Self.includeName)
        try self.writeAccess(into: data)
        _ = try Self.change(main, self.mainConfiguration)
    }

    /// Who may connect. False when all of it stood there already. Blocks.
    @discardableResult func writeAccess(into data: String) throws -> Bool {
        let rules = try Self.change(
            self.adopted.map { $0.place($0.hbaFile, data: data) } ?? data + "/pg_hba.conf", self.accessRules)
        let identities = try Self.change(
            self.adopted.map { $0.place($0.identFile, data: data) } ?? data + "/pg_ident.conf", self.identities)
        return rules || identities
    }

    private static func change(_ path: String, _ change: (String) -> String) throws -> Bool {
        let old = try DurableFile.read(path) ?? ""
        let new = change(old)
        if new != old { try DurableFile.write(new, to: path) }
        return new != old
    }
}
