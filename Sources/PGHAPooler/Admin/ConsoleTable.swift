internal import PGHACore

/// An answer of the console: columns named as PgBouncer names them, so that exporters and tools understand it.
struct ConsoleTable {
    let columns: [String]
    var rows: [[String?]] = []

    init(_ table: ConsoleCommand.Table, _ parts: [ConsolePart], _ configuration: PoolerConfiguration) {
        let statistics = PoolerStatistics(parts.map(\.statistics))
        switch table {
        case .pools: self = Self.pools(statistics)
        case .stats: self = Self.stats(statistics)
        case .statsTotals: self = Self.shortStats(statistics, averages: false)
        case .statsAverages: self = Self.shortStats(statistics, averages: true)
        case .totals: self = Self.totals(statistics)
        case .databases: self = Self.databases(statistics, parts, configuration)
        case .users: self = Self.users(statistics)
        case .lists: self = Self.lists(statistics, parts)
        case .clients: self = Self(Self.socketColumns, parts.flatMap(\.clients).map { $0.row("C") })
        case .servers: self = Self(Self.socketColumns, parts.flatMap(\.servers).map { $0.row("S") })
        case .sockets, .activeSockets:
            let sockets = parts.flatMap { $0.clients.map { $0.row("C") } + $0.servers.map { $0.row("S") } }
            self = Self(Self.socketColumns, sockets)
        // Names are resolved elsewhere, and no pooler knows another.
        case .dnsHosts: self = Self(["hostname", "ttl", "addrs"], [])
        case .dnsZones: self = Self(["zonename", "serial", "count"], [])
        case .peers: self = Self(["peer_id", "host", "port", "pool_size"], [])
        case .peerPools:
            self = Self(
                ["database", "cl_active_cancel_req", "cl_waiting_cancel_req", "sv_active_cancel", "sv_login"], [])
        case .config:
            self = Self(
                ["key", "value", "default", "changeable"],
                configuration.console.settings.map { [$0.key, $0.value, $0.fallback, $0.isChangeable ? "yes" : "no"] })
        case .version: self = Self(["version"], [["PgBouncer 1.24.0 (pgha)"]])
        case .mem: self = Self.memory(statistics)
        case .state:
            let isPaused = parts.contains(where: \.isPaused)
            self = Self(
                ["key", "value"],
                [["active", isPaused ? "no" : "yes"], ["paused", isPaused ? "yes" : "no"], ["suspended", "no"]])
        case .help: self = Self(["command"], ConsoleCommand.help.map { [$0] })
        }
    }

    init(_ columns: [String], _ rows: [[String?]]) {
        self.columns = columns
        self.rows = rows
    }

    // MARK: - Tables

    private static func pools(_ statistics: PoolerStatistics) -> ConsoleTable {
        Self(
            [
                "database", "user", "cl_active", "cl_waiting", "cl_active_cancel_req", "cl_waiting_cancel_req",
                "sv_active", "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used", "sv_tested", "sv_login",
                "maxwait", "maxwait_us", "pool_mode", "load_balance_hosts",
            ],
            statistics.pools.map { pool in
                [
                    pool.key.database, pool.key.user, "\(pool.clients - pool.clientsWaiting)", "\(pool.clientsWaiting)",
                    "0", "0", "\(pool.serversActive)", "0", "0", "\(pool.serversIdle)", "0", "0",
                    "\(pool.serversConnecting)", "\(pool.longestWait / 1_000_000_000)",
                    "\(pool.longestWait / 1000 % 1_000_000)", pool.mode.rawValue, nil,
                ]
            })
    }

    private static func databases(
        _ statistics: PoolerStatistics, _ parts: [ConsolePart], _ configuration: PoolerConfiguration
    ) -> ConsoleTable {
        let names = Set(statistics.pools.map(\.key.database))
        let leader = parts.first?.leader
        let rows: [[String?]] = names.sorted().map { name in
            let pools = statistics.pools.filter { $0.key.database == name }
            return [
                name, leader?.host, leader.map { "\($0.port)" }, name, nil, "\(configuration.limits.poolSize)",
                "\(configuration.limits.minimumPoolSize)", "\(configuration.limits.reserveSize)",
                "\(LoopLimits(configuration).serverLifetime / 1_000_000_000)", configuration.mode.rawValue, nil,
                "\(configuration.limits.maximumServersPerDatabase)", "\(pools.reduce(0) { $0 + $1.servers })",
                "\(configuration.limits.maximumClientsPerDatabase)", "\(pools.reduce(0) { $0 + $1.clients })",
                parts.contains { $0.holds.pauses(name) } ? "1" : "0",
                parts.contains { $0.holds.refuses(name) } ? "1" : "0", "\(configuration.limits.reserveSize)",
            ]
        }
        return Self(
            [
                "name", "host", "port", "database", "force_user", "pool_size", "min_pool_size", "reserve_pool_size",
                "server_lifetime", "pool_mode", "load_balance_hosts", "max_connections", "current_connections",
                "max_client_connections", "current_client_connections", "paused", "disabled",
                // Its name before 1.24.
                "reserve_pool",
            ], rows)
    }

    private static func users(_ statistics: PoolerStatistics) -> ConsoleTable {
        let names = Set(statistics.pools.map(\.key.user))
        return Self(
            [
                "name", "pool_size", "reserve_pool_size", "pool_mode", "max_user_connections", "current_connections",
                "max_user_client_connections", "current_client_connections",
            ],
            names.sorted().map { name in
                let pools = statistics.pools.filter { $0.key.user == name }
                return [
                    name, nil, nil, nil, "0", "\(pools.reduce(0) { $0 + $1.servers })", "0",
                    "\(pools.reduce(0) { $0 + $1.clients })",
                ]
            })
    }

    private static func lists(_ statistics: PoolerStatistics, _ parts: [ConsolePart]) -> ConsoleTable {
        let idle = statistics.pools.reduce(0) { $0 + $1.serversIdle }
        let items: [(String, Int)] = [
            ("databases", Set(statistics.pools.map(\.key.database)).count),
            ("users", Set(statistics.pools.map(\.key.user)).count), ("peers", 0),
            ("pools", statistics.pools.count), ("peer_pools", 0), ("free_clients", 0),
            ("used_clients", statistics.clients),
            ("login_clients", statistics.clients - statistics.pools.reduce(0) { $0 + $1.clients }),
            ("free_servers", idle), ("used_servers", statistics.servers - idle), ("dns_names", 0), ("dns_zones", 0),
            ("dns_queries", 0), ("dns_pending", 0),
        ]
        return Self(["list", "items"], items.map { [$0.0, "\($0.1)"] })
    }

    private static func memory(_ statistics: PoolerStatistics) -> ConsoleTable {
        let slabs: [(String, Int, Int)] = [
            ("client_cache", MemoryLayout<Client>.stride, statistics.clients),
            ("server_cache", MemoryLayout<Server>.stride, statistics.servers),
            ("pool_cache", MemoryLayout<Pool>.stride, statistics.pools.count),
        ]
        return Self(
            ["name", "size", "used", "free", "memtotal"],
            slabs.map { [$0.0, "\($0.1)", "\($0.2)", "0", "\($0.1 * $0.2)"] })
    }

    /// Whether the column holds numbers.
    static func isNumber(_ column: String) -> Bool { !Self.words.contains(column) }

    private static let words: Set<String> = [
        "database", "user", "name", "host", "pool_mode", "list", "key", "value", "default", "changeable", "version",
        "type", "replication", "state", "addr", "local_addr", "connect_time", "request_time", "ptr", "link", "tls",
        "application_name", "force_user", "load_balance_hosts", "command", "id", "hostname", "addrs", "zonename",
    ]

    private static let socketColumns = [
        "type", "user", "database", "replication", "state", "addr", "port", "local_addr", "local_port", "connect_time",
        "request_time", "wait", "wait_us", "close_needed", "ptr", "link", "remote_pid", "tls", "application_name",
        "prepared_statements", "id",
    ]
}
