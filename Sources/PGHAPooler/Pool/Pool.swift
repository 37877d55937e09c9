internal import PGHACore
internal import PGHAWire

typealias PoolPointer = UnsafeMutablePointer<Pool>

/// What the connections of a pool have in common.
struct PoolKey: Hashable {
    enum Target: Hashable {
        /// Whoever leads.
        case leader
        case standby(NodeName)
        /// Nobody may be read from: clients wait here until somebody may.
        case nobody
    }

    let user: WireText
    let database: WireText
    let target: Target
    /// What a replication client's startup packet said besides: its server connection is opened with the same, and
    /// nobody else ever gets it. Empty for all others.
    var replication: [SessionSetting] = []

    var isReplication: Bool { !self.replication.isEmpty }
}

/// Server connections of one user to one database on one server, and the clients that wait for one.
///
/// Lives as long as its loop, so that clients and servers can point to it.
struct Pool: ~Copyable {
    let key: PoolKey
    var mode: PoolerConfiguration.Mode
    /// The most recently used first: its caches are warm, and the others can grow old and go.
    var idle: ServerPointer?
    var idleCount = 0
    /// Server connections in any phase, those that connect included.
    var serverCount = 0
    var connectingCount = 0
    /// First come, first served.
    var firstWaiting: ClientPointer?
    var lastWaiting: ClientPointer?
    var waitingCount = 0
    /// Clients that logged in to this user and database.
    var clientCount = 0
    var limit: Int
    /// So many more once a client has waited long enough.
    var reserve = 0
    /// No transaction begins: PAUSE, a switchover, no leader.
    var isHeld = false
    /// What a server of this pool reported at its start; nil until one did.
    var welcome: Unmanaged<Welcome>?
    /// Failed connection attempts in a row, and when the next may be made.
    var failures = 0
    var nextAttempt: UInt64 = 0
    /// What the server said at the last attempt, if it said something.
    var lastRefusal: [UInt8] = []
    var statistics = PoolStatistics()
    var durations = PoolDurations()
    var period = PoolPeriod()
    /// What servers reported to clients, or the pooler in a lost server's place.
    private(set) var errors: [SQLState: UInt64] = [:]
    /// Those of states that there was no room for.
    private(set) var otherErrors: UInt64 = 0

    /// The pool of the same user and database on the leader; nil in that one.
    var leader: PoolPointer?
    /// Of a leader's pool: those on the topology's standbys, in order, as of the topology with this number.
    var standbys: [PoolPointer] = []
    var standbysOf: UInt64 = 0

    init(key: PoolKey, mode: PoolerConfiguration.Mode, limit: Int) {
        self.key = key
        self.mode = mode
        self.limit = limit
    }

    deinit { self.durations.deallocate() }

    /// Statements can raise any state they like, and each is a label of a metric: so many are told apart, and always those
    /// of the pooler's own, which alerts ask for.
    private static var errorStates: Int { 256 }
    private static let ownStates: Set<SQLState> = [.outcomeUnknown, .serializationFailure, .connectionFailure]

    mutating func noteError(_ state: SQLState) {
        if self.errors.count < Self.errorStates || self.errors[state] != nil || Self.ownStates.contains(state) {
            self.errors[state, default: 0] += 1
        } else {
            self.otherErrors += 1
        }
    }

    // MARK: - Idle servers

    @inline(__always) mutating func popIdle() -> ServerPointer? {
        guard let server = self.idle else { return nil }
        self.idle = server.pointee.next
        server.pointee.next = nil
        self.idleCount -= 1
        return server
    }

    @inline(__always) mutating func pushIdle(_ server: ServerPointer) {
        server.pointee.next = self.idle
        self.idle = server
        self.idleCount += 1
    }

    /// The one to do without.
    var leastRecentlyUsed: ServerPointer? {
        var last = self.idle
        while let next = last?.pointee.next { last = next }
        return last
    }

    /// Takes one out of the middle, such as one that broke while it was idle.
    mutating func removeIdle(_ server: ServerPointer) {
        var link = self.idle
        if link == server {
            _ = self.popIdle()
            return
        }
        while let current = link {
            if current.pointee.next == server {
                current.pointee.next = server.pointee.next
                server.pointee.next = nil
                self.idleCount -= 1
                return
            }
            link = current.pointee.next
        }
    }

    // MARK: - Waiting clients

    @inline(__always) mutating func appendWaiting(_ client: ClientPointer) {
        client.pointee.next = nil
        client.pointee.previous = self.lastWaiting
        if let last = self.lastWaiting { last.pointee.next = client } else { self.firstWaiting = client }
        self.lastWaiting = client
        self.waitingCount += 1
    }

    @inline(__always) mutating func removeWaiting(_ client: ClientPointer) {
        let (next, previous) = (client.pointee.next, client.pointee.previous)
        if let next { next.pointee.previous = previous } else { self.lastWaiting = previous }
        if let previous { previous.pointee.next = next } else { self.firstWaiting = next }
        client.pointee.next = nil
        client.pointee.previous = nil
        self.waitingCount -= 1
    }
}
