package import PGHACore
package import PGHAWire

/// Everything about a pooler that an operator decides. A new value replaces the old one without a restart, except
/// for `listeners` and `threads`.
package struct PoolerConfiguration: Sendable {
    /// When a server connection goes back to its pool.
    package enum Mode: String, Sendable {
        /// When the client leaves.
        case session
        /// At the end of each transaction.
        case transaction
        /// After each statement; transactions of several statements are refused.
        case statement
    }

    /// Which servers a listener's clients are given.
    package enum Role: UInt8, Sendable, BitwiseCopyable {
        /// The leader.
        case write
        /// Standbys, and the leader as a last resort.
        case read
    }

    package struct Listener: Sendable {
        /// A numeric address, or the directory of a Unix socket.
        package var host: String
        /// 0 lets the system choose (TCP only).
        package var port: UInt16
        package var role: Role

        package init(host: String, port: UInt16, role: Role = .write) {
            self.host = host
            self.port = port
            self.role = role
        }
    }

    package var listeners: [Listener] = []
    /// Event loops; clients are spread over them by the kernel, and server connections are divided among them. No more
    /// are started than a pool may have server connections.
    package var threads = 1
    /// Another pooler may listen on the same ports: it takes over while this one drains.
    package var sharesPorts = false
    package var mode = Mode.transaction
    package var limits = Limits()
    package var timeouts = Timeouts()
    package var console = Console()
    package var authentication = Authentication()
    package var clientTLS = ClientTLS()
    package var serverTLS = ServerTLS()
    /// With which the pooler logs in to servers, by user. Nobody's where servers trust the pooler or clients' own
    /// keys are passed through.
    package var passwords: [WireText: Secret] = [:]
    /// Statements that a server connection keeps prepared; 0 passes prepared statements through untouched.
    package var preparedStatements = 200

    /// Which standbys answer reads.
    package var reads = ReadBalancer.Limits()
    /// Sessions see what they have written, wherever they read.
    package var readsAreCausal = true
    /// Reads on the port for writing.
    package var split = Split()
    /// While the primary is being replaced.
    package var hold = HoldLimits()
    /// After a restart of the leader nobody is let in before its standbys have what it came up with.
    package var provesRestarts = true
    /// Transactions' ids are asked for with each COMMIT, so that a lost one's outcome can be found out.
    package var resolvesCommits = false

    package init() {}

    package struct Limits: Sendable {
        /// Server connections per pool (user, database, server), over all threads; after a reload at least one per
        /// thread.
        package var poolSize = 20
        /// More of them for clients that have waited for `reserveAfter`.
        package var reserveSize = 0
        package var reserveAfter = Duration.seconds(5)
        /// Server connections to keep open once a pool is in use.
        package var minimumPoolSize = 0
        package var maximumClients = 10_000
        /// Connections that have not logged in yet, per thread: all, and from one address. 0: no limit of its own.
        package var maximumLoggingIn = 2_000
        package var maximumLoggingInPerAddress = 1_000
        /// 0: no limit of its own.
        package var maximumClientsPerUser = 0
        package var maximumClientsPerDatabase = 0
        /// Over all pools and threads, replication excepted. Where it is reached, an idle server connection of one
        /// pool makes room for a busy other. 0: no limit of its own.
        package var maximumServersPerDatabase = 0
        package var maximumServersPerUser = 0

        package init() {}

        /// Threads of which each gets a server connection of every pool.
        func usableThreads(of threads: Int) -> Int {
            let limits = [self.poolSize, self.maximumServersPerUser, self.maximumServersPerDatabase]
            return max(1, limits.reduce(threads) { $1 > 0 ? min($0, $1) : $0 })
        }
    }

    /// Zero means never.
    package struct Timeouts: Sendable {
        /// How long a client waits for a server connection.
        package var queryWait = Duration.seconds(120)
        package var query = Duration.zero
        package var transaction = Duration.zero
        package var idleInTransaction = Duration.zero
        package var clientIdle = Duration.zero
        package var clientLogIn = Duration.seconds(60)
        package var serverConnect = Duration.seconds(15)
        package var serverIdle = Duration.seconds(600)
        /// Spread by up to a tenth, so that connections opened together do not close together.
        package var serverLifetime = Duration.seconds(3600)
        /// First pause after a failed connection attempt; doubles up to `connectPauseLimit`.
        package var connectPause = Duration.milliseconds(100)
        package var connectPauseLimit = Duration.seconds(5)
        /// How long a client may leave replies unread while it holds a server connection.
        package var slowClient = Duration.seconds(60)

        package init() {}
    }
}
