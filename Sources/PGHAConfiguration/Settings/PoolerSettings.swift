internal import PGHACore

/// The settings of `pgha pooler`.
enum PoolerSettings {
    static let all: [Setting] =
        Self.places + Self.cluster + Self.access + Self.tls + Self.pools + Self.reads + Self.availability + Self.limits
        + Self.timeouts + Self.console

    private static let never = "0s: never."

    private static func setting(
        _ key: String, _ kind: SettingKind, _ fallback: Setting.Default, _ reason: String
    ) -> Setting {
        Setting(place: .pooler, key: key, kind: kind, fallback: fallback, reason: reason)
    }

    /// A time-out: from nothing to a week.
    private static func timeout(_ key: String, _ text: String, _ reason: String) -> Setting {
        self.setting(key, .duration(.zero ... .seconds(7 * 86_400)), .value(text), reason)
    }

    private static let places: [Setting] = [
        setting(
            "listen", .listenAddress, .value("127.0.0.1:6432"),
            "Where clients connect to write: an address and a port. This host only, until you decide who may reach it. "
                + "Not changed by a reload."),
        setting(
            "listen_read", .listenAddress, .value("127.0.0.1:6433"),
            "Where clients connect to read from standbys. Not changed by a reload."),
        setting(
            "socket_dir", .path, .unset("no Unix sockets"),
            "The directory of Unix sockets for both ports, .s.PGSQL.6432 and .s.PGSQL.6433: a fifth cheaper than TCP "
                + "for clients on this host. Not changed by a reload."),
        setting(
            "http_listen", .listenAddress, .value("127.0.0.1:8434"),
            "Where /liveness, /readiness and /metrics are answered. Not changed by a reload."),
        setting(
            "threads", .integer(1...128), .value("1"),
            "Event loops. One serves some 100,000 transactions per second; more divide the pools among them. Not "
                + "changed by a reload."),
        setting(
            "reuse_port", .boolean, .value("false"),
            "true: another pooler may listen on the same ports: start the new one, then end the old one, which serves the "
                + "clients that it has until they leave or drain_timeout is over. Not changed by a reload."),
    ]

    private static let cluster: [Setting] = [
        setting(
            "controller", .urls, .value("http://127.0.0.1:8432"),
            "The controllers' addresses, separated by commas: who leads comes from the first that answers. With none "
                + "there the last known servers are used."),
        setting(
            "token_file", .path, .unset("switchovers do not wait for this pooler's transactions"),
            "A file with the cluster's token, with which the pooler tells the controller that its transactions are over "
                + "before a planned change of leader."),
        setting(
            "cancel_peers", .addresses, .unset("clients must send cancel requests to the pooler they are connected to"),
            "The write ports of the cluster's poolers on other hosts, for clients behind one address of several poolers: "
                + "a cancel request for a client that nobody on this host knows is passed on to them, encrypted as "
                + "server_tls_mode says."),
        setting(
            "server_sockets", .path, .unset("where agents say"),
            "Directories with the Unix sockets of PostgreSQL servers on this host, separated by ':'. A server that the "
                + "controller lists with an address of this host is reached over the socket of its port found there: a fifth "
                + "cheaper than TCP, which is for those that the server refuses there. /nowhere: TCP alone."),
    ]

    private static let access: [Setting] = [
        setting(
            "hba_file", .path, .unset("everybody with a password, by SCRAM"),
            "Who may log in from where and how, in the language of pg_hba.conf; the first line that fits decides."),
        setting(
            "hba", .text, .unset("as hba_file says"), "The same lines as text, in place of a file (in YAML: 'hba: |')."),
        setting(
            "ident_file", .path, .unset("names must be equal"), "Maps for 'map=', in the language of pg_ident.conf."),
        setting(
            "users_file", .path, .unset("servers are asked for everybody"),
            "A file with lines \"user\" \"secret\": a SCRAM verifier, md5…, or a password, with which the pooler also logs "
                + "in to servers as that user. Readable for its owner alone."),
        setting(
            "auth_query", .boolean, .value("false"),
            "true: users that the file does not have are looked up on the leader through pgha.auth_lookup(), as "
                + "auth_user; no password is stored."),
        setting(
            "auth_passfile", .path, .unset("auth_user needs a line with a password in users_file"),
            "A file in .pgpass format with the password of auth_user."),
        setting("auth_user", .name, .value("pgha_pooler"), "Who asks for verifiers."),
        setting("auth_database", .name, .value("postgres"), "Where verifiers are asked for."),
        timeout(
            "auth_cache", "0s",
            "How long an answer counts without asking again. 0s: each log-in asks, while its client makes its proof. Longer: "
                + "so long may a dropped role or a changed password still be let in, and a first log-in with a new password "
                + "fail once."),
        setting(
            "allow_risky_settings", .boolean, .value("false"),
            "true: sessions may lower synchronous_commit, and so lose commits that were acknowledged."),
    ]

    private static let tlsModes = SettingKind.choice([
        "disable", "allow", "prefer", "require", "verify-ca", "verify-full",
    ])

    private static let tls: [Setting] = [
        setting(
            "tls_mode", tlsModes, .value("disable"),
            "TLS with clients: allow and prefer leave it to them, require and more do not."),
        setting("tls_cert_file", .path, .unset("no TLS"), "The pooler's certificate for clients, in PEM."),
        setting("tls_key_file", .path, .unset("no TLS"), "Its key, readable for its owner alone."),
        setting("tls_ca_file", .path, .unset("no certificates are asked for"), "Who signs clients' certificates."),
        setting(
            "server_tls_mode", tlsModes, .value("prefer"),
            "TLS with servers, in libpq's words; verify-full where the network is not yours."),
        setting(
            "server_tls_ca_file", .path, .unset("servers' certificates are not checked"),
            "Who signs servers' certificates."),
        setting(
            "server_tls_cert_file", .path, .unset("none"), "The pooler's certificate for servers that ask for one."),
        setting("server_tls_key_file", .path, .unset("none"), "Its key, readable for its owner alone."),
    ]

    private static let pools: [Setting] = [
        setting(
            "pool_mode", .choice(["transaction", "session", "statement"]), .value("transaction"),
            "When a client's server connection goes back to its pool: at the end of the transaction, when the client "
                + "leaves, or after each statement."),
        setting(
            "pool_size", .integer(1...10_000), .value("20"),
            "Server connections of one user to one database on one server, over all threads. A server does most work "
                + "with a few per core."),
        setting(
            "reserve_size", .integer(0...10_000), .value("0"),
            "More connections than pool_size for clients that have waited for reserve_after."),
        timeout("reserve_after", "5s", "How long a client waits before the reserve is touched."),
        setting(
            "min_pool_size", .integer(0...10_000), .value("0"),
            "Server connections that stay open once a pool is in use, so that the first clients need not wait."),
        setting(
            "prepared_statements", .integer(0...100_000), .value("200"),
            "Statements that each server connection keeps prepared, the least used forgotten first. 0 passes named "
                + "statements through untouched, which only session mode can do."),
    ]

    private static let reads: [Setting] = [
        setting(
            "read_max_lag", .bytes(0...(1 << 50)), .value(ByteValue.text(ReadBalancer.Limits().lagBytes)),
            "Standbys that have more WAL than this yet to replay are not read from. 0B: no limit."),
        timeout(
            "read_max_delay", DurationValue.text(.seconds(ReadBalancer.Limits().lagSeconds)),
            "The same in time. 0s: no limit."),
        setting(
            "read_from_leader", .boolean, .value("\(ReadBalancer.Limits().usesLeader)"),
            "true: with no standby fit to read from, the leader is; false: clients wait."),
        setting(
            "zone", .name, .unset("all standbys are equally near"),
            "Where this pooler stands. Standbys of nodes in the same zone are read from before all others."),
        setting(
            "reads", .choice(["causal", "eventual"]), .value("causal"),
            "causal: a session sees on standbys what it has written before (with split: auto); eventual: it may not see it "
                + "yet. A session that sets pgha.min_lsn sees everything up to there in either case."),
        timeout(
            "read_catch_up", DurationValue.text(ReadBalancer.Limits().catchUp),
            "How long such a read waits for a standby that has replayed enough, before the leader answers it. Longer "
                + "spares the leader, shorter the client."),
        setting(
            "split", .choice(["off", "auto"]), .value("off"),
            "auto: on the port for writing, single statements outside of transactions that certainly only read go to "
                + "standbys, and to the leader if those refuse them. /*pgha:primary*/ and /*pgha:standby*/ in a "
                + "statement decide for it."),
        setting(
            "split_functions", .names, .unset("PostgreSQL's own that only read"),
            "More functions that a standby may run, without their schema. Calls of all others stay on the leader."),
        setting(
            "leader_functions", .names, .unset("PostgreSQL's own that write or speak about one server"),
            "More functions that only the leader runs, without their schema, whatever split_functions says."),
    ]

    private static let availability: [Setting] = [
        timeout(
            "hold_timeout", DurationValue.text(HoldLimits().longest),
            "While there is no primary, or it is being replaced: how long a transaction waits to begin before its client "
                + "is refused. Longer than a failover; shorter than people wait."),
        setting(
            "hold_clients", .integer(0...1_000_000), .value("\(HoldLimits().most)"),
            "How many transactions of one pool may wait so, per thread; further ones are refused at once. 0: none waits."
        ),
        timeout(
            "hold_notice", DurationValue.text(HoldLimits().notice),
            "How long a transaction waits so before its client is told why, in a NOTICE."),
        setting(
            "resolve_commits", .boolean, .value("false"),
            "true: a COMMIT whose server died is answered with what became of it, asked of the new primary, in place of "
                + "08007 (outcome unknown). Each COMMIT then carries a question for its transaction's id: one more "
                + "statement for the server. An INSERT, UPDATE, DELETE or MERGE sent by itself runs between BEGIN, that "
                + "question and COMMIT: three more."),
    ]

    private static let limits: [Setting] = [
        setting(
            "max_clients", .integer(1...1_000_000), .value("10000"),
            "Clients in all. Each costs a descriptor and less than 400 bytes."),
        setting(
            "max_logging_in", .integer(0...1_000_000), .value("2000"),
            "Connections that have not logged in yet, per thread; further ones are closed, so that strangers cannot use "
                + "up max_clients. 0: no limit of its own."),
        setting(
            "max_logging_in_per_address", .integer(0...1_000_000), .value("1000"),
            "The same from one address. 0: no limit."),
        setting("max_clients_per_user", .integer(0...1_000_000), .value("0"), "Clients of one user. 0: no limit."),
        setting(
            "max_clients_per_database", .integer(0...1_000_000), .value("0"), "Clients of one database. 0: no limit."),
        setting(
            "max_servers_per_user", .integer(0...100_000), .value("0"),
            "Server connections of one user, all pools together. 0: no limit."),
        setting(
            "max_servers_per_database", .integer(0...100_000), .value("0"),
            "Server connections to one database, all pools together. 0: no limit."),
    ]

    private static let timeouts: [Setting] = [
        timeout(
            "query_wait_timeout", "2min",
            "How long a client waits for a server connection before it is refused. \(never)"),
        timeout("query_timeout", "0s", "How long a statement may take before it is cancelled. \(never)"),
        timeout("transaction_timeout", "0s", "How long a transaction may last. \(never)"),
        timeout(
            "idle_transaction_timeout", "0s", "How long a client may leave a transaction open without a word. \(never)"),
        timeout("client_idle_timeout", "0s", "How long a client may stay between transactions. \(never)"),
        timeout(
            "client_login_timeout", "1min", "How long a log-in may take; clients that never finish are closed. \(never)"
        ),
        timeout("server_connect_timeout", "15s", "How long a log-in to a server may take."),
        timeout(
            "server_idle_timeout", "10min", "Server connections unused for this long are closed. \(never)"),
        timeout(
            "server_lifetime", "1h",
            "Server connections older than this are closed between transactions, each up to a tenth earlier so that "
                + "they do not close together. \(never)"),
        timeout(
            "server_retry_min", "100ms", "Pause after a failed connection to a server; it doubles with each failure."),
        timeout("server_retry_max", "5s", "The longest pause between two attempts to reach a server."),
        timeout(
            "slow_client_timeout", "1min",
            "How long a client may leave replies unread while it holds a server connection. \(never)"),
        timeout(
            "drain_timeout", "30s",
            "After SIGTERM: how long transactions may go on before their clients are disconnected."),
    ]

    private static let console: [Setting] = [
        setting(
            "admin_users", .names, .unset("nobody"),
            "Who may use the console on the databases 'pgha' and 'pgbouncer', separated by commas."),
        setting(
            "stats_users", .names, .unset("nobody"), "Who may use the console's SHOW commands, and nothing else of it."),
    ]
}
