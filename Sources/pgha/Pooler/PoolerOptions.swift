import ArgumentParser
import PGHAConfiguration

extension ArgumentHelp {
    /// What the table says of a setting of the pooler.
    static func pooler(_ key: String) -> ArgumentHelp { .setting(key, of: .pooler) }
}

struct PoolerPlaceOptions: ParsableArguments {
    @Option(help: .pooler("listen")) var listen: String?
    @Option(help: .pooler("listen_read")) var listenRead: String?
    @Option(help: .pooler("socket_dir")) var socketDir: String?
    @Option(help: .pooler("http_listen")) var httpListen: String?
    @Option(help: .pooler("threads")) var threads: String?
    @Option(help: .pooler("reuse_port")) var reusePort: String?
    @Option(help: .pooler("controller")) var controller: String?
    @Option(help: .pooler("token_file")) var tokenFile: String?
    @Option(help: .pooler("cancel_peers")) var cancelPeers: String?
    @Option(help: .pooler("server_sockets")) var serverSockets: String?

    var flags: [String: String?] {
        [
            "listen": self.listen, "listen_read": self.listenRead, "socket_dir": self.socketDir,
            "http_listen": self.httpListen, "threads": self.threads, "reuse_port": self.reusePort,
            "controller": self.controller, "token_file": self.tokenFile, "cancel_peers": self.cancelPeers,
            "server_sockets": self.serverSockets,
        ]
    }
}

struct PoolerAccessOptions: ParsableArguments {
    @Option(help: .pooler("hba_file")) var hbaFile: String?
    @Option(help: .pooler("hba")) var hba: String?
    @Option(help: .pooler("ident_file")) var identFile: String?
    @Option(help: .pooler("users_file")) var usersFile: String?
    @Option(help: .pooler("auth_query")) var authQuery: String?
    @Option(help: .pooler("auth_passfile")) var authPassfile: String?
    @Option(help: .pooler("auth_user")) var authUser: String?
    @Option(help: .pooler("auth_database")) var authDatabase: String?
    @Option(help: .pooler("auth_cache")) var authCache: String?
    @Option(help: .pooler("allow_risky_settings")) var allowRiskySettings: String?
    @Option(help: .pooler("tls_mode")) var tlsMode: String?
    @Option(help: .pooler("tls_cert_file")) var tlsCertFile: String?
    @Option(help: .pooler("tls_key_file")) var tlsKeyFile: String?
    @Option(help: .pooler("tls_ca_file")) var tlsCaFile: String?
    @Option(help: .pooler("server_tls_mode")) var serverTlsMode: String?
    @Option(help: .pooler("server_tls_ca_file")) var serverTlsCaFile: String?
    @Option(help: .pooler("server_tls_cert_file")) var serverTlsCertFile: String?
    @Option(help: .pooler("server_tls_key_file")) var serverTlsKeyFile: String?

    var flags: [String: String?] {
        [
            "hba_file": self.hbaFile, "hba": self.hba, "ident_file": self.identFile, "users_file": self.usersFile,
            "auth_query": self.authQuery, "auth_passfile": self.authPassfile, "auth_user": self.authUser,
            "auth_database": self.authDatabase, "auth_cache": self.authCache,
            "allow_risky_settings": self.allowRiskySettings, "tls_mode": self.tlsMode,
            "tls_cert_file": self.tlsCertFile, "tls_key_file": self.tlsKeyFile, "tls_ca_file": self.tlsCaFile,
            "server_tls_mode": self.serverTlsMode, "server_tls_ca_file": self.serverTlsCaFile,
            "server_tls_cert_file": self.serverTlsCertFile, "server_tls_key_file": self.serverTlsKeyFile,
        ]
    }
}

struct PoolerPoolOptions: ParsableArguments {
    @Option(help: .pooler("pool_mode")) var poolMode: String?
    @Option(help: .pooler("pool_size")) var poolSize: String?
    @Option(help: .pooler("reserve_size")) var reserveSize: String?
    @Option(help: .pooler("reserve_after")) var reserveAfter: String?
    @Option(help: .pooler("min_pool_size")) var minPoolSize: String?
    @Option(help: .pooler("prepared_statements")) var preparedStatements: String?
    @Option(help: .pooler("read_max_lag")) var readMaxLag: String?
    @Option(help: .pooler("read_max_delay")) var readMaxDelay: String?
    @Option(help: .pooler("read_from_leader")) var readFromLeader: String?
    @Option(help: .pooler("zone")) var zone: String?
    @Option(help: .pooler("reads")) var reads: String?
    @Option(help: .pooler("read_catch_up")) var readCatchUp: String?
    @Option(help: .pooler("split")) var split: String?
    @Option(help: .pooler("split_functions")) var splitFunctions: String?
    @Option(help: .pooler("leader_functions")) var leaderFunctions: String?
    @Option(help: .pooler("max_clients")) var maxClients: String?
    @Option(help: .pooler("hold_timeout")) var holdTimeout: String?
    @Option(help: .pooler("hold_clients")) var holdClients: String?
    @Option(help: .pooler("hold_notice")) var holdNotice: String?
    @Option(help: .pooler("resolve_commits")) var resolveCommits: String?
    @Option(help: .pooler("max_logging_in")) var maxLoggingIn: String?
    @Option(help: .pooler("max_logging_in_per_address")) var maxLoggingInPerAddress: String?
    @Option(help: .pooler("max_clients_per_user")) var maxClientsPerUser: String?
    @Option(help: .pooler("max_clients_per_database")) var maxClientsPerDatabase: String?
    @Option(help: .pooler("max_servers_per_user")) var maxServersPerUser: String?
    @Option(help: .pooler("max_servers_per_database")) var maxServersPerDatabase: String?

    var flags: [String: String?] {
        [
            "pool_mode": self.poolMode, "pool_size": self.poolSize, "reserve_size": self.reserveSize,
            "reserve_after": self.reserveAfter, "min_pool_size": self.minPoolSize,
            "prepared_statements": self.preparedStatements, "read_max_lag": self.readMaxLag,
            "read_max_delay": self.readMaxDelay, "read_from_leader": self.readFromLeader,
            "zone": self.zone, "reads": self.reads, "read_catch_up": self.readCatchUp, "split": self.split,
            "split_functions": self.splitFunctions, "leader_functions": self.leaderFunctions,
            "max_clients": self.maxClients, "hold_timeout": self.holdTimeout, "hold_clients": self.holdClients,
            "hold_notice": self.holdNotice, "resolve_commits": self.resolveCommits,
            "max_logging_in": self.maxLoggingIn, "max_logging_in_per_address": self.maxLoggingInPerAddress,
            "max_clients_per_user": self.maxClientsPerUser, "max_clients_per_database": self.maxClientsPerDatabase,
            "max_servers_per_user": self.maxServersPerUser, "max_servers_per_database": self.maxServersPerDatabase,
        ]
    }
}

struct PoolerTimeoutOptions: ParsableArguments {
    @Option(help: .pooler("query_wait_timeout")) var queryWaitTimeout: String?
    @Option(help: .pooler("query_timeout")) var queryTimeout: String?
    @Option(help: .pooler("transaction_timeout")) var transactionTimeout: String?
    @Option(help: .pooler("idle_transaction_timeout")) var idleTransactionTimeout: String?
    @Option(help: .pooler("client_idle_timeout")) var clientIdleTimeout: String?
    @Option(help: .pooler("client_login_timeout")) var clientLoginTimeout: String?
    @Option(help: .pooler("server_connect_timeout")) var serverConnectTimeout: String?
    @Option(help: .pooler("server_idle_timeout")) var serverIdleTimeout: String?
    @Option(help: .pooler("server_lifetime")) var serverLifetime: String?
    @Option(help: .pooler("server_retry_min")) var serverRetryMin: String?
    @Option(help: .pooler("server_retry_max")) var serverRetryMax: String?
    @Option(help: .pooler("slow_client_timeout")) var slowClientTimeout: String?
    @Option(help: .pooler("drain_timeout")) var drainTimeout: String?

    var flags: [String: String?] {
        [
            "query_wait_timeout": self.queryWaitTimeout, "query_timeout": self.queryTimeout,
            "transaction_timeout": self.transactionTimeout, "idle_transaction_timeout": self.idleTransactionTimeout,
            "client_idle_timeout": self.clientIdleTimeout, "client_login_timeout": self.clientLoginTimeout,
            "server_connect_timeout": self.serverConnectTimeout, "server_idle_timeout": self.serverIdleTimeout,
            "server_lifetime": self.serverLifetime, "server_retry_min": self.serverRetryMin,
            "server_retry_max": self.serverRetryMax, "slow_client_timeout": self.slowClientTimeout,
            "drain_timeout": self.drainTimeout,
        ]
    }
}

struct PoolerConsoleOptions: ParsableArguments {
    @Option(help: .pooler("admin_users")) var adminUsers: String?
    @Option(help: .pooler("stats_users")) var statsUsers: String?

    var flags: [String: String?] { ["admin_users": self.adminUsers, "stats_users": self.statsUsers] }
}
