import PGHACore

/// Every setting of pgha, once. Errors, defaults, documentation and the environment's names come from here.
package enum SettingTable {
    package static let all: [Setting] =
        Self.cluster + TimingSetting.all.map(\.setting) + Self.node + Self.controller + Self.agent + PoolerSettings.all
        + HTTPTLSSettings.settings(of: .pooler, use: ", and it is shown to controllers, which are asked over TLS too")
        + Self.logging(of: .pooler)

    /// The settings of one place, in the order in which they are documented.
    package static func settings(of place: Setting.Place) -> [Setting] { self.all.filter { $0.place == place } }

    /// The setting of this key in `place`.
    package static func setting(_ key: String, of place: Setting.Place) -> Setting? {
        self.all.first { $0.place == place && $0.key == key }
    }

    private static let cluster: [Setting] = [
        Setting(
            place: .cluster, key: "cluster", kind: .name, fallback: .required,
            reason: "The cluster's name, in logs, metrics and the topology."),
        Setting(
            place: .cluster, key: "durability.mode", kind: .choice(Durability.Mode.allCases.map(\.rawValue)),
            fallback: .value(Durability().mode.rawValue),
            reason: "quorum: a commit is acknowledged only when `copies` servers have flushed it, so that no failover "
                + "loses it."),
        Setting(
            place: .cluster, key: "durability.copies", kind: .integer(1...100),
            fallback: .value("\(Durability().copies)"),
            reason: "Servers that must have flushed a commit, the leader's included. Two survive the loss of either."),
        Setting(
            place: .cluster, key: "durability.on_standby_loss",
            kind: .choice(Durability.StandbyLoss.allCases.map(\.rawValue)),
            fallback: .unset("degrade with two nodes, block with more"),
            reason: "With too few standbys left: degrade goes on with one copy after the store has recorded it, block "
                + "lets commits wait."),
    ]

    private static let node: [Setting] = [
        Setting(
            place: .node, key: "name", kind: .nodeName, fallback: .required,
            reason: "The node's name; it becomes part of slot names and of application_name."),
        Setting(
            place: .node, key: "host", kind: .host, fallback: .required,
            reason: "Where PostgreSQL listens, as the controller, the other nodes and the clients reach it."),
        Setting(
            place: .node, key: "port", kind: .integer(1...65_535), fallback: .value("5432"),
            reason: "PostgreSQL's port."),
        Setting(
            place: .node, key: "agent", kind: .agentURL,
            fallback: .unset("the node is watched, sealed and promoted over SQL only"),
            reason: "The agent's address."),
        Setting(
            place: .node, key: "priority", kind: .integer(Int(Int32.min)...Int(Int32.max)), fallback: .value("100"),
            reason: "Among candidates with equal positions the greatest is chosen."),
        Setting(
            place: .node, key: "zone", kind: .name, fallback: .unset("nowhere in particular"),
            reason: "Where the node is, for status and for settling ties between candidates."),
        Setting(
            place: .node, key: "nofailover", kind: .boolean, fallback: .value("false"), reason: "true: never promoted."),
        Setting(
            place: .node, key: "nosync", kind: .boolean, fallback: .value("false"),
            reason: "true: its acknowledgement never counts (an observer)."),
        Setting(
            place: .node, key: "noread", kind: .boolean, fallback: .value("false"),
            reason: "true: the pooler sends it no reads."),
    ]

    private static let controller: [Setting] =
        [
            Setting(
                place: .controller, key: "listen", kind: .listenAddress, fallback: .value("127.0.0.1:8432"),
                reason: "Where the HTTP interface listens. This host only, until you decide who may reach it."),
            Setting(
                place: .controller, key: "store", kind: .path, fallback: .value("/var/lib/pgha/controller/store.db"),
                reason: "The store's SQLite file, made when missing. On a disk that keeps what was synced."),
            Setting(
                place: .controller, key: "token_file", kind: .path, fallback: .required,
                reason: "A file with the cluster's token, at least 16 bytes, not readable by others."),
            Setting(
                place: .controller, key: "passfile", kind: .path, fallback: .required,
                reason:
                    "A file in .pgpass format with the passwords of pgha_control, pgha_replica and, where poolers look users up, "
                    + "pgha_pooler."),
            Setting(
                place: .controller, key: "replication_passfile", kind: .path, fallback: .unset("libpq's own place"),
                reason: "On the hosts of servers without an agent: the file with the password of pgha_replica."),
            Setting(
                place: .controller, key: "sslmode",
                kind: .choice(["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]),
                fallback: .value("prefer"),
                reason: "libpq's sslmode for connections to the servers; verify-full where the network is not yours."),
            Setting(
                place: .controller, key: "sslrootcert", kind: .path, fallback: .unset("libpq's own place"),
                reason: "A file with the certificates to trust."),
        ] + HTTPTLSSettings.settings(of: .controller, use: ", and it is shown to agents, which are asked over TLS too")
        + Self.logging(of: .controller)

    private static let agent: [Setting] =
        [
            Setting(
                place: .agent, key: "node", kind: .nodeName, fallback: .required,
                reason: "The node's name in the cluster."),
            Setting(
                place: .agent, key: "dir", kind: .path, fallback: .required,
                reason: "The state directory: data, log, socket and the agent's own files. Made when missing."),
            Setting(
                place: .agent, key: "data", kind: .path, fallback: .unset("'data' in the state directory"),
                reason: "The data directory of a server that somebody else made, to be taken over as it runs."),
            Setting(
                place: .agent, key: "listen", kind: .listenAddress, fallback: .value("127.0.0.1:8433"),
                reason: "Where the HTTP interface listens. The controller must reach it."),
            Setting(
                place: .agent, key: "token_file", kind: .path, fallback: .required,
                reason: "A file with the cluster's token, at least 16 bytes, not readable by others."),
            Setting(
                place: .agent, key: "pg_bindir", kind: .path,
                fallback: .unset("as pg_config says, else the newest of Debian's version folders"),
                reason: "The directory of PostgreSQL's programs; never looked for in PATH."),
            Setting(
                place: .agent, key: "supervise", kind: .choice(["child", "external"]), fallback: .value("child"),
                reason:
                    "Who starts PostgreSQL: the agent, as its child, or 'pgha agent gate' in PostgreSQL's own container, "
                    + "whenever the agent lets it."),
            Setting(
                place: .agent, key: "at_exit", kind: .choice(["leave", "stop"]), fallback: .value("leave"),
                reason: "What the agent's end means for PostgreSQL: it runs on, or, as in a container that ends with "
                    + "its first process, is shut down in order before."),
            Setting(
                place: .agent, key: "socket_group", kind: .text, fallback: .unset("the agent's user alone"),
                reason: "The group whose users may reach the server's Unix socket, as a pooler on this host wants "
                    + "to: a fifth cheaper than TCP. The agent's user must be in it. Nothing else is opened to it. A "
                    + "server that was taken over keeps its own socket directory."),
        ] + HTTPTLSSettings.settings(of: .agent, use: "") + Self.logging(of: .agent)

    private static func logging(of place: Setting.Place) -> [Setting] {
        [
            Setting(
                place: place, key: "log_level",
                kind: .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]),
                fallback: .value("info"), reason: "The least severe messages that are written to standard error."),
            Setting(
                place: place, key: "log_format", kind: .choice(["logfmt", "json"]), fallback: .value("logfmt"),
                reason: "One line for each message: logfmt for people and Loki, json for other collectors."),
        ]
    }
}
