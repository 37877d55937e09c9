internal import PGHAWire

/// What can be asked of the console, in PgBouncer's words.
///
/// Source: PgBouncer manual, "Admin console".
enum ConsoleCommand: Equatable, Sendable {
    enum Table: String, CaseIterable, Sendable {
        case pools, clients, servers, stats, databases, users, lists, config, version, mem, help, reads
        case statsTotals = "stats_totals"
        case statsAverages = "stats_averages"
        case state, totals, sockets, peers
        case activeSockets = "active_sockets"
        case dnsHosts = "dns_hosts"
        case dnsZones = "dns_zones"
        case peerPools = "peer_pools"
    }

    /// What changes the pooler. `database` nil: all of them.
    enum Change: Equatable, Sendable {
        case pause(database: String?)
        case resume(database: String?)
        case disable(database: String)
        case enable(database: String)
        case kill(database: String?)
        case reconnect(database: String?)
    }

    case show(Table)
    /// Over when connections that RECONNECT replaces are closed.
    case waitClose(database: String?)
    case change(Change)
    case reload
    case shutdown
    /// Drivers send it when they connect. It is answered and does nothing.
    case set

    /// Nil when it is none of them.
    init?(_ text: String) {
        var words = text.split { $0.isWhitespace || $0 == ";" }.map(String.init)
        guard !words.isEmpty else { return nil }
        let verb = words.removeFirst().lowercased()
        if verb == "set" {
            self = .set
            return
        }
        guard words.count <= 1 else { return nil }
        let name = words.first.map(Self.unquoted)
        switch (verb, name) {
        case ("show", let table?):
            guard let table = Table(rawValue: table.lowercased()) else { return nil }
            self = .show(table)
        case ("show", nil): self = .show(.help)
        case ("pause", _): self = .change(.pause(database: name))
        case ("resume", _): self = .change(.resume(database: name))
        case ("kill", _): self = .change(.kill(database: name))
        case ("reconnect", _): self = .change(.reconnect(database: name))
        case ("disable", let name?): self = .change(.disable(database: name))
        case ("enable", let name?): self = .change(.enable(database: name))
        case ("wait_close", _): self = .waitClose(database: name)
        case ("reload", nil): self = .reload
        case ("shutdown", nil): self = .shutdown
        default: return nil
        }
    }

    /// Whether a user who may only look may ask it.
    var isHarmless: Bool {
        switch self {
        case .show, .set: true
        case .change, .waitClose, .reload, .shutdown: false
        }
    }

    /// What the answer ends with.
    var tag: String {
        switch self {
        case .show: "SHOW"
        case .set: "SET"
        case .waitClose: "WAIT_CLOSE"
        case .reload: "RELOAD"
        case .shutdown: "SHUTDOWN"
        case .change(.pause): "PAUSE"
        case .change(.resume): "RESUME"
        case .change(.disable): "DISABLE"
        case .change(.enable): "ENABLE"
        case .change(.kill): "KILL"
        case .change(.reconnect): "RECONNECT"
        }
    }

    static let help = [
        "SHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION|LISTS|MEM|STATE",
        "SHOW READS",
        "SHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS|SOCKETS|ACTIVE_SOCKETS|PEERS|PEER_POOLS|DNS_HOSTS|DNS_ZONES",
        "PAUSE [<db>]", "RESUME [<db>]", "RECONNECT [<db>]",
        "DISABLE <db>", "ENABLE <db>", "KILL [<db>]", "WAIT_CLOSE [<db>]", "RELOAD", "SHUTDOWN",
    ]

    private static func unquoted(_ word: String) -> String {
        word.count >= 2 && word.hasPrefix("\"") && word.hasSuffix("\"") ? String(word.dropFirst().dropLast()) : word
    }
}

/// Which databases transactions may not begin in, and which take no new clients.
struct ConsoleHolds {
    var isPaused = false
    var paused: Set<String> = []
    var disabled: Set<String> = []
    /// Killed: nobody waits for a RESUME of it, everybody is refused.
    var killed: Set<String> = []
    var isKilled = false

    func pauses(_ database: String) -> Bool { self.isPaused || self.paused.contains(database) }

    func refuses(_ database: String) -> Bool {
        self.isKilled || self.disabled.contains(database) || self.killed.contains(database)
    }
}
