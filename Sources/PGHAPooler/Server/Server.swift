internal import PGHAWire

typealias ServerPointer = UnsafeMutablePointer<Server>

/// One connection to a server.
struct Server: BitwiseCopyable {
    enum Phase: UInt8 {
        /// The place is not taken.
        case free
        /// connect(2) is under way.
        case connecting
        /// Startup and authentication; `logIn` is there.
        case loggingIn
        /// In its pool's idle list.
        case idle
        /// A client has it.
        case busy
        /// Works off a query of the pooler's own without a client: ROLLBACK, DISCARD ALL.
        case cleaning
        /// Carries a CancelRequest and nothing else.
        case cancelling
    }

    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16
        /// The socket may have bytes that were not read.
        static let unread = Flags(rawValue: 1)
        static let hungUp = Flags(rawValue: 2)
        /// What is skipped of the present message is dropped, not forwarded.
        static let dropsRest = Flags(rawValue: 4)
        /// Closed as soon as its client is done with it.
        static let retiring = Flags(rawValue: 8)
        /// A query of the pooler's own failed: the connection's state is not known.
        static let cleaningFailed = Flags(rawValue: 16)
        /// Its FATAL was passed on: it is about to close, and its client knows why.
        static let saidGoodbye = Flags(rawValue: 32)
        /// What is outstanding may end the open transaction with a commit.
        static let mayCommit = Flags(rawValue: 64)
        /// On this host: its kernel is ours.
        static let isLocal = Flags(rawValue: 128)
        /// The connection ended with a reset.
        static let wasReset = Flags(rawValue: 256)
        /// The commit under way was reported as an error: see `takeNotice`.
        static let commitIsAlone = Flags(rawValue: 512)
        /// Its own first commit shows whether clients may be let in after a restart.
        static let proves = Flags(rawValue: 1024)
        /// It was asked for the transaction's id, ahead of a COMMIT.
        static let learns = Flags(rawValue: 2048)
        /// Its stream has come to its end: everything that it sent has been read.
        static let ended = Flags(rawValue: 4096)
        /// BEGIN of a transaction of the pooler's own is in front of what its client sends in this turn.
        static let hasBegun = Flags(rawValue: 8192)
    }

    var transport: Transport
    let index: UInt32
    let generation: UInt32
    var phase = Phase.connecting
    var flags: Flags = []
    /// Cancel requests on their way to it: until they are through, nobody else may have it.
    var cancels: UInt16 = 0
    /// Bytes of the present message that are still to come.
    var rest: UInt32 = 0
    var held = HeldInput()
    var output: UnsafeMutablePointer<PendingOutput>?
    var client: ClientPointer?
    var first = FirstBatch()
    let pool: PoolPointer
    /// In the idle list of its pool, or the list of those to hand out.
    var next: ServerPointer?
    var session = ServerSession()
    /// The term under which it was opened, and the server that it leads to.
    let term: UInt64
    var node: UInt32 = 0
    var processID: UInt32 = 0
    var key: Unmanaged<CancelKey>?
    /// Whose query a `cancelling` connection cancels.
    var target = Token(bits: 0)
    var logIn: Unmanaged<ServerLogIn>?
    /// Settings on their way to it.
    var replay: Unmanaged<Replay>?
    /// There once its client may have changed settings.
    var touch: Unmanaged<SessionTouch>?
    var statements: UnsafeMutablePointer<ServerStatements>?
    var parameters: Unmanaged<ParameterSet>?
    /// The transaction that is about to commit, and where the WAL ended before; 0: not known.
    var transaction: UInt64 = 0
    var transactionEnd: UInt64 = 0
    /// There once a statement of its client's has run in a transaction of the pooler's own.
    var own: UnsafeMutablePointer<OwnTransaction>?
    /// Nanoseconds of the loop's clock.
    let openedAt: UInt64
    /// When it is closed for its age, unless a client has it.
    var expiresAt: UInt64
    /// When it became what its phase says.
    var since: UInt64
    /// When the oldest request that it still owes an answer was sent; 0: it owes none.
    var askedAt: UInt64 = 0

    init(
        transport: Transport, index: UInt32, generation: UInt32, pool: PoolPointer, term: UInt64, now: UInt64,
        expiresAt: UInt64
    ) {
        self.transport = transport
        self.index = index
        self.generation = generation
        self.pool = pool
        self.term = term
        self.openedAt = now
        self.expiresAt = expiresAt
        self.since = now
    }
}

/// A server's cancel key: 4 bytes, or up to 256 since protocol 3.2.
final class CancelKey {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
}
