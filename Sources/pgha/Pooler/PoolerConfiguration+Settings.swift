import PGHACommand
import PGHAConfiguration
import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHAWire

extension PoolerConfiguration {
    /// The pooler's own configuration from the settings.
    init(_ settings: PoolerSettingValues) throws {
        self.init()
        self.listeners = try Self.listeners(settings)
        self.threads = settings.integer("threads")
        self.sharesPorts = settings.boolean("reuse_port")
        self.cancelPeers = try Self.cancelPeers(settings)
        self.mode = settings.text("pool_mode").flatMap { Mode(rawValue: $0) } ?? .transaction
        self.preparedStatements = settings.integer("prepared_statements")
        self.authentication = try Authentication(settings)
        if let lookup = self.authentication.lookup { self.passwords = try Self.passwords(of: lookup.user, settings) }
        self.clientTLS = ClientTLS(settings)
        self.serverTLS = ServerTLS(settings)
        self.limits = Limits(settings)
        self.takeReads(settings)
        self.hold.longest = settings.duration("hold_timeout")
        self.hold.most = settings.integer("hold_clients")
        self.hold.notice = settings.duration("hold_notice")
        self.resolvesCommits = settings.boolean("resolve_commits")
        self.timeouts = Timeouts(settings)
        self.console.administrators = Set(settings.items("admin_users").map { WireText($0) })
        self.console.observers = Set(settings.items("stats_users").map { WireText($0) })
        self.console.settings = settings.values.map { value in
            Console.Setting(
                key: value.key, value: value.text, fallback: value.fallback,
                isChangeable: !PoolerService.fixedKeys.contains(value.key))
        }
    }

    private static func cancelPeers(_ settings: PoolerSettingValues) throws(CommandError) -> [CancelPeer] {
        var peers: [CancelPeer] = []
        for text in settings.items("cancel_peers") {
            guard let address = ListenAddress(text), let host = LocalAddress.numeric(address.host) else {
                throw CommandError(
                    .failed, "pooler.cancel_peers: '\(text)' has no address", hint: "Give a numeric address and a port."
                )
            }
            peers.append(CancelPeer(host: host, port: UInt16(address.port)))
        }
        return peers
    }

    /// With which the pooler itself logs in to look users up.
    private static func passwords(
        of user: WireText, _ settings: PoolerSettingValues
    ) throws -> [WireText: PGHAWire.Secret] {
        guard let path = settings.text("auth_passfile") else { return [:] }
        guard let password = try Passfile.read(path: path).password(user: user.description) else {
            throw CommandError(
                .failed, "\(path): no line for \(user)", hint: "Write '*:*:*:\(user):' and its password.")
        }
        return [user: PGHAWire.Secret(Array(password.revealed.utf8))]
    }

    private mutating func takeReads(_ settings: PoolerSettingValues) {
        self.reads.lagBytes = settings.bytes("read_max_lag")
        self.reads.lagSeconds = settings.duration("read_max_delay") / .seconds(1)
        self.reads.usesLeader = settings.boolean("read_from_leader")
        self.reads.zone = settings.text("zone")
        self.reads.catchUp = settings.duration("read_catch_up")
        self.readsAreCausal = settings.text("reads") == "causal"
        self.split.isOn = settings.text("split") == "auto"
        self.split.standbyFunctions = settings.items("split_functions")
        self.split.leaderFunctions = settings.items("leader_functions")
    }

    private static func listeners(_ settings: PoolerSettingValues) throws(CommandError) -> [Listener] {
        var listeners: [Listener] = []
        for (key, role) in [("listen", Role.write), ("listen_read", .read)] {
            let address = settings.address(key)
            guard let host = LocalAddress.numeric(address.host) else {
                throw CommandError(
                    .failed, "pooler.\(key): '\(address.host)' is no address of this host",
                    hint: "Give a numeric address, such as 127.0.0.1 or 0.0.0.0.")
            }
            listeners.append(Listener(host: host, port: UInt16(address.port), role: role))
            guard let directory = settings.text("socket_dir") else { continue }
            listeners.append(Listener(host: directory, port: UInt16(address.port), role: role))
        }
        return listeners
    }
}

extension PoolerConfiguration.Limits {
    fileprivate init(_ settings: PoolerSettingValues) {
        self.init()
        self.poolSize = settings.integer("pool_size")
        self.reserveSize = settings.integer("reserve_size")
        self.reserveAfter = settings.duration("reserve_after")
        self.minimumPoolSize = settings.integer("min_pool_size")
        self.maximumClients = settings.integer("max_clients")
        self.maximumLoggingIn = settings.integer("max_logging_in")
        self.maximumLoggingInPerAddress = settings.integer("max_logging_in_per_address")
        self.maximumClientsPerUser = settings.integer("max_clients_per_user")
        self.maximumClientsPerDatabase = settings.integer("max_clients_per_database")
        self.maximumServersPerUser = settings.integer("max_servers_per_user")
        self.maximumServersPerDatabase = settings.integer("max_servers_per_database")
    }
}

extension PoolerConfiguration.Timeouts {
    fileprivate init(_ settings: PoolerSettingValues) {
        self.init()
        self.queryWait = settings.duration("query_wait_timeout")
        self.query = settings.duration("query_timeout")
        self.transaction = settings.duration("transaction_timeout")
        self.idleInTransaction = settings.duration("idle_transaction_timeout")
        self.clientIdle = settings.duration("client_idle_timeout")
        self.clientLogIn = settings.duration("client_login_timeout")
        self.serverConnect = settings.duration("server_connect_timeout")
        self.serverIdle = settings.duration("server_idle_timeout")
        self.serverLifetime = settings.duration("server_lifetime")
        self.connectPause = settings.duration("server_retry_min")
        self.connectPauseLimit = settings.duration("server_retry_max")
        self.slowClient = settings.duration("slow_client_timeout")
    }
}
