/// What a pooler does and has done, at one moment of each of its loops.
package struct PoolerStatistics: Sendable {
    /// A pool: one user's connections to one database on one server.
    package struct Pool: Sendable {
        package struct Key: Hashable, Sendable {
            package let user: String
            package let database: String
            /// Nil: whoever leads.
            package let standby: String?
        }

        package let key: Key
        package let mode: PoolerConfiguration.Mode
        /// Clients by what they do; `clients` is all that logged in.
        package var clients = 0
        package var clientsActive = 0
        package var clientsWaiting = 0
        /// Server connections by what they do; `servers` is all of them.
        package var servers = 0
        package var serversActive = 0
        package var serversIdle = 0
        package var serversConnecting = 0
        package var limit = 0
        /// No transaction begins.
        package var isHeld = false
        /// How long the first in the queue has waited. Nanoseconds.
        package var longestWait: UInt64 = 0
        package var transactions: UInt64 = 0
        package var queries: UInt64 = 0
        /// Bytes from and to clients.
        package var bytesReceived: UInt64 = 0
        package var bytesSent: UInt64 = 0
        /// Statements that clients prepared, and that were prepared on servers; and how often they were run.
        package var clientParses: UInt64 = 0
        package var serverParses: UInt64 = 0
        package var binds: UInt64 = 0
        /// In the last whole period, in the order of ``PoolPeriod/numbers(_:)``.
        var lastPeriod = [UInt64](repeating: 0, count: PoolPeriod.count)
        /// Reads that came to this server because the pooler chose so; to the leader, for want of a fit standby.
        package var reads: UInt64 = 0
        /// Reads that this standby refused, so that the leader ran them.
        package var refusedReads: UInt64 = 0
        /// Of the leader's pool: reads that had to wait for a standby to catch up, wherever they went then.
        package var waitingReads: UInt64 = 0
        package var wait = DurationCounts()
        package var transaction = DurationCounts()
        package var query = DurationCounts()
        /// Errors that servers reported, or the pooler in a lost server's place, by SQLSTATE; `other` for those of a
        /// loop's pool above 256.
        package var errors: [String: UInt64] = [:]
        /// Transactions that went to another server because the first did not run them.
        package var retries: UInt64 = 0
        /// Clients that came to keep their server, by the reason's name.
        package var pins: [String: UInt64] = [:]
    }

    /// Merged over all loops, in the order of database, user and standby.
    package private(set) var pools: [Pool] = []
    /// All client connections, those that log in included.
    package private(set) var clients = 0
    /// All server connections.
    package private(set) var servers = 0
    /// The term of the topology that the first loop has.
    package private(set) var term: UInt64 = 0
    package private(set) var hasLeader = false
    /// When the first certificate of each file for TLS expires, in seconds since 1970, by the file's setting.
    package private(set) var certificates: [String: Int] = [:]

    init(_ loops: [LoopStatistics]) {
        var merged: [Pool.Key: Pool] = [:]
        for loop in loops {
            for pool in loop.pools {
                merged[pool.key, default: Pool(key: pool.key, mode: pool.mode)].add(pool)
            }
            self.clients += loop.clients
            self.servers += loop.servers
        }
        self.pools = merged.values.sorted { $0.key < $1.key }
        self.term = loops.first?.term ?? 0
        self.hasLeader = loops.first?.hasLeader ?? false
        self.certificates = loops.first?.certificates ?? [:]
    }
}

extension PoolerStatistics.Pool {
    fileprivate mutating func add(_ other: Self) {
        self.clients += other.clients
        self.clientsActive += other.clientsActive
        self.clientsWaiting += other.clientsWaiting
        self.servers += other.servers
        self.serversActive += other.serversActive
        self.serversIdle += other.serversIdle
        self.serversConnecting += other.serversConnecting
        self.limit += other.limit
        self.isHeld = self.isHeld || other.isHeld
        self.longestWait = max(self.longestWait, other.longestWait)
        self.transactions += other.transactions
        self.queries += other.queries
        self.bytesReceived += other.bytesReceived
        self.bytesSent += other.bytesSent
        self.clientParses += other.clientParses
        self.serverParses += other.serverParses
        self.binds += other.binds
        for index in self.lastPeriod.indices { self.lastPeriod[index] += other.lastPeriod[index] }
        self.reads += other.reads
        self.refusedReads += other.refusedReads
        self.waitingReads += other.waitingReads
        self.wait += other.wait
        self.transaction += other.transaction
        self.query += other.query
        self.errors.merge(other.errors, uniquingKeysWith: +)
        self.retries += other.retries
        self.pins.merge(other.pins, uniquingKeysWith: +)
    }
}

extension PoolerStatistics.Pool.Key: Comparable {
    package static func < (left: Self, right: Self) -> Bool {
        (left.database, left.user, left.standby ?? "") < (right.database, right.user, right.standby ?? "")
    }
}

/// One loop's part.
struct LoopStatistics: Sendable {
    var pools: [PoolerStatistics.Pool] = []
    var clients = 0
    var servers = 0
    var term: UInt64 = 0
    var hasLeader = false
    var certificates: [String: Int] = [:]
}
