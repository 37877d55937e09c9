internal import PGHACore
internal import PGHAWire

typealias ClientPointer = UnsafeMutablePointer<Client>

/// One client connection. A plain struct in a slab: what most clients do not need is allocated beside it.
struct Client: BitwiseCopyable {
    enum Phase: UInt8 {
        /// The place is not taken.
        case free
        /// No startup packet yet, or log-in under way; `logIn` is there.
        case loggingIn
        /// Logged in, no server.
        case idle
        /// In its pool's queue.
        case waiting
        /// Waits until a standby has replayed what it must see; in the loop's list of those.
        case catchingUp
        /// Has a server that is being brought to the client's state.
        case attaching
        /// Has a server.
        case active
        /// Its transaction is over; the server is asked which settings it changed.
        case settling
        /// Has sent a COMMIT; its server first says which transaction that is.
        case learning
        /// Has sent a statement that commits by itself, which runs in a transaction of the pooler's own.
        case committing
        /// Keeps its server and may not begin a transaction: the leader is being replaced.
        case parked
        /// Lost its server with a COMMIT under way; the next leader is asked what became of it.
        case resolving
        /// Its transaction was lost with its server; the pooler answers until the client has ended it. See `trouble`.
        case failed
        /// Talks to the pooler itself; `logIn` is there.
        case console
        /// Gets what is pending, then is closed.
        case closing
    }

    /// What the loss of a server has left a client with.
    struct Trouble: OptionSet, BitwiseCopyable {
        let rawValue: UInt8
        /// In a block that has failed.
        static let blockFailed = Trouble(rawValue: 1)
        /// It does not know yet: the next statement is answered with 40001.
        static let untold = Trouble(rawValue: 2)
        /// Messages of the extended protocol have come and their Sync has not.
        static let pipelined = Trouble(rawValue: 4)
        /// Everything up to the next Sync is skipped.
        static let skipping = Trouble(rawValue: 8)
        /// A portal is bound that ends the block.
        static let bindsCommit = Trouble(rawValue: 16)
        static let bindsRollback = Trouble(rawValue: 32)
        /// The block was ended and the Sync behind that has not come yet.
        static let ended = Trouble(rawValue: 64)
        /// Its transaction was sent again once already.
        static let retried = Trouble(rawValue: 128)
    }

    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16
        /// The socket may have bytes that were not read.
        static let unread = Flags(rawValue: 1)
        /// The peer has sent its last byte.
        static let hungUp = Flags(rawValue: 2)
        /// In the loop's list of clients to run again.
        static let scheduled = Flags(rawValue: 4)
        /// What is skipped of the present message is dropped, not forwarded.
        static let dropsRest = Flags(rawValue: 8)
        /// Keeps its server until it leaves: session mode, or state that cannot move.
        static let pinned = Flags(rawValue: 16)
        /// Speaks the replication protocol.
        static let replication = Flags(rawValue: 32)
        /// What is held was kept for want of a server: go on with it even if nothing more comes.
        static let heldWhole = Flags(rawValue: 64)
        /// The server of each of its transactions is chosen by what it sends.
        static let routed = Flags(rawValue: 128)
        /// Has a statement under way that may yet go to another server: nothing more is read.
        static let holdsBack = Flags(rawValue: 256)
        /// A standby has refused its statement: the leader runs it.
        static let toLeader = Flags(rawValue: 512)
        /// In session mode: has state that cannot move.
        static let holdsState = Flags(rawValue: 1024)
        /// Speaks protocol 3.2, whose cancel keys are long.
        static let longKey = Flags(rawValue: 2048)
        /// Has prepared a statement that sets what a parameter names.
        static let guardsBinds = Flags(rawValue: 4096)
        /// Its server has its statements by the names that it gave them; nobody else's are there.
        static let ownNames = Flags(rawValue: 8192)
    }

    var transport: Transport
    let index: UInt32
    let generation: UInt32
    var phase = Phase.loggingIn
    /// Its server works for it, and it gets what that says.
    var isServed: Bool { self.phase == .active || self.phase == .committing }
    let role: PoolerConfiguration.Role
    var flags: Flags = []
    var pinReason = PinReason.none
    var trouble: Trouble = []
    /// Was told why it waits.
    var wasTold = false
    /// Bytes of the present message that are still to come.
    var rest: UInt32 = 0
    var held = HeldInput()
    var output: UnsafeMutablePointer<PendingOutput>?
    var server: ServerPointer?
    /// The pool it waits in, or that its server is of; once logged in never nil.
    var pool: PoolPointer?
    /// In the queue of its pool, or the list of those that log in.
    var next: ClientPointer?
    var previous: ClientPointer?
    /// Nanoseconds of the loop's clock: when it began to wait, to log in, to use its server, to be idle.
    var since: UInt64
    /// What only its cancel key has; the rest of that names process, loop and place.
    var secret: UInt32 = 0
    /// Seconds since 1970.
    let connectedAt: UInt32
    var logIn: Unmanaged<LogIn>?
    /// Prepared statements by name; nil until the first.
    var statements: UnsafeMutablePointer<ClientStatements>?
    /// The values of its session's parameters.
    var parameters: Unmanaged<ParameterSet>?
    /// What it must see where it reads; nil for most.
    var causal: UnsafeMutablePointer<CausalSession>?
    /// Bytes of the statement that it has begun, if that is a read that goes anywhere; and the last Parse before it.
    var unitCount: UInt32 = 0
    var unitSequence: UInt32 = 0

    init(
        transport: Transport, index: UInt32, generation: UInt32, role: PoolerConfiguration.Role, now: UInt64,
        connectedAt: UInt32
    ) {
        self.transport = transport
        self.index = index
        self.generation = generation
        self.role = role
        self.since = now
        self.connectedAt = connectedAt
    }
}
