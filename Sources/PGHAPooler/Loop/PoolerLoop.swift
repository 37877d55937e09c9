internal import CPGHALoop
internal import PGHACore
internal import PGHAWire

/// One event loop: its clients, its servers, its pools. Runs on a thread of its own and shares nothing but its mailbox.
///
/// Intuition: every socket is registered once, edge-triggered, and read until it is empty. A turn reads into one
/// shared buffer, walks over the message headers and sends whole spans of that buffer on. Connections are plain
/// structs in slabs; their addresses stay. No class, closure or array is touched for a transaction.
///
/// Files: `Client/` and `Server/` follow the connections, `Pool/` hands servers out, `Parameters/` and
/// `Statements/` keep sessions whole across servers, `Availability/` follows the topology.
struct PoolerLoop: ~Copyable {
    /// Room in front of the buffer for what was held back of a message.
    static var frontRoom: Int { 8 * 1024 }
    /// Larger was measured to be slower (256 KiB).
    static var bufferSize: Int { 64 * 1024 }

    let number: Int
    let epoll: Int32
    let mailbox: Mailbox
    var configuration: PoolerConfiguration
    var limits: LoopLimits
    var security: Security
    /// What servers accept from users that have logged in here.
    var learned: [WireText: ServerProof] = [:]
    /// Who was refused over a server's Unix socket; forgotten with each term and reload.
    var socketRefusals: Set<SocketUse> = []
    var logInCount = LogInCount()
    var lookups = Lookups()
    /// Sessions of the pooler's own, by number.
    var sides: [UInt32: SideSession] = [:]
    var sideNumber: UInt32 = 0
    /// Clients that wait to hear what became of their COMMIT.
    var openCommits: [OpenCommit] = []
    let listeners: [BoundListener]
    var clients: Slab<Client>
    var servers: Slab<Server>
    var pools: [PoolKey: PoolPointer] = [:]
    var topology = PoolTopology.unknown
    /// Nanoseconds, read once per turn.
    var now: UInt64
    /// `frontRoom` bytes and then `bufferSize` bytes.
    let input: UnsafeMutableRawPointer
    var out = Outgoing()
    /// Servers that have become free in this turn.
    var firstReturning: ServerPointer?
    /// Clients to run again without waiting for a report.
    var scheduled: [Token] = []
    var generation: UInt32 = 0
    var random: SmallRandom
    var parameterTable = ParameterTable()
    var statementTable = StatementTable()
    var classifier: StatementClassifier
    /// Counts Parses, to name them; see `Request.sequence`.
    var sequence: UInt32 = 0
    /// Among those numbers: when a type was made or dropped last.
    var lastTypeChange: UInt32 = 0
    var nextTick: UInt64 = 0
    /// No client is over a limit of time before.
    var nextClientCheck: UInt64 = 0
    var isStopping = false
    /// Nil: new clients are welcome.
    var draining: DrainMode?
    /// What the console has stopped.
    var console = ConsoleHolds()
    /// PAUSE commands that still wait for transactions.
    var consoleWaits: [(Token, ConsoleCommand)] = []
    /// When averages are made next.
    var nextPeriod: UInt64 = 0
    let drains: DrainBoard
    /// The last claim that `drains` was told of.
    var drainedClaim: Term?
    /// Servers' names by number; places of connections hold the number.
    var nodeNames: [NodeName] = []
    var balancer: ReadBalancer
    var reading = Reading()
    var admission = Admission()
    /// The poolers on the same ports.
    let localPoolers: LocalPoolers
    /// Cancel requests on their way to other hosts, by number.
    var forwards: [UInt32: CancelForward] = [:]
    var nextForward: UInt32 = 0
    /// In the middle of a run of a client's messages: what is behind cannot be given back.
    var isWalking = false

    init(
        number: Int, epoll: Int32, mailbox: Mailbox, configuration: PoolerConfiguration, security: Security,
        listeners: [BoundListener], drains: DrainBoard, localPoolers: LocalPoolers
    ) {
        self.number = number
        self.epoll = epoll
        self.mailbox = mailbox
        self.configuration = configuration
        self.limits = LoopLimits(configuration)
        self.security = security
        self.listeners = listeners
        self.drains = drains
        self.localPoolers = localPoolers
        self.balancer = ReadBalancer(configuration.reads)
        self.classifier = StatementClassifier(
            volatileFunctions: configuration.split.leaderFunctions, readFunctions: configuration.split.standbyFunctions)
        self.clients = Slab(limit: 1 << 20)
        self.servers = Slab(limit: 1 << 16)
        self.now = pgha_now()
        self.input = .allocate(byteCount: Self.frontRoom + Self.bufferSize, alignment: 4096)
        self.random = SmallRandom(seed: self.now ^ UInt64(number) << 56)
    }

    // MARK: - Turns

    mutating func run() {
        let events = UnsafeMutablePointer<pgha_event>.allocate(capacity: 256)
        defer { events.deallocate() }
        while !self.isStopping {
            let count = pgha_epoll_wait(self.epoll, events, 256, self.millisecondsToWait)
            self.now = pgha_now()
            if count > 0 {
                if count > 1 { self.breakFirst(events, Int(count)) }
                for index in 0..<Int(count) { self.handle(events[index]) }
            }
            if self.now >= self.reading.wakeAt { self.wakeReads() }
            if !self.scheduled.isEmpty { self.runScheduled() }
            if self.now >= self.nextTick { self.tick() }
            if self.topology.claim != nil { self.reportIfDrained() }
            self.clients.reclaim()
            self.servers.reclaim()
            self.statementTable.reclaim()
        }
        self.closeEverything()
        // Who still asks is answered with what there is.
        for case .ask(let work) in self.mailbox.end() { work(&self) }
    }

    /// Servers that are gone, or of an older term, are taken out before a client's report could choose one of them.
    private mutating func breakFirst(_ events: UnsafeMutablePointer<pgha_event>, _ count: Int) {
        for index in 0..<count {
            let token = Token(bits: events[index].token)
            if token.kind == Token.Kind.mailbox.rawValue { self.readMailbox() }
            if token.kind == Token.Kind.server.rawValue, events[index].flags & UInt32(pgha_hung_up) != 0,
                self.servers[token.index].pointee.phase == .idle
            {
                self.handle(events[index])
            }
        }
    }

    private var millisecondsToWait: Int32 {
        if !self.scheduled.isEmpty { return 0 }
        let next = min(self.nextTick, self.reading.wakeAt)
        if next <= self.now { return 0 }
        return Int32(truncatingIfNeeded: min((next - self.now) / 1_000_000 + 1, 1000))
    }

    @inline(__always) private mutating func handle(_ event: pgha_event) {
        let token = Token(bits: event.token)
        switch token.kind {
        case Token.Kind.client.rawValue:
            let client = self.clients[token.index]
            // A report about a connection that was closed earlier in this turn.
            guard client.pointee.phase != .free, client.pointee.generation == token.generation else { return }
            self.clientReady(client, event.flags)
        case Token.Kind.server.rawValue:
            let server = self.servers[token.index]
            guard server.pointee.phase != .free, server.pointee.generation == token.generation else { return }
            self.serverReady(server, event.flags)
        case Token.Kind.listener.rawValue: self.acceptClients(self.listeners[Int(token.index)])
        case Token.Kind.lookup.rawValue: self.lookupReady(token)
        case Token.Kind.probe.rawValue: self.probeReady(token)
        case Token.Kind.side.rawValue: self.sideReady(token)
        case Token.Kind.forward.rawValue: self.forwardReady(token.index)
        case Token.Kind.localPoolers.rawValue: for call in self.receiveLocalCancels() { self.takeCancelRequest(call) }
        default: self.readMailbox()
        }
        self.handOutReturned()
    }

    /// Runs `client` again at the end of the turn.
    mutating func schedule(_ client: ClientPointer) {
        guard !client.pointee.flags.contains(.scheduled) else { return }
        client.pointee.flags.insert(.scheduled)
        self.scheduled.append(Token(.client, index: client.pointee.index, generation: client.pointee.generation))
    }

    private mutating func runScheduled() {
        let tokens = self.scheduled
        self.scheduled.removeAll(keepingCapacity: true)
        for token in tokens {
            let client = self.clients[token.index]
            guard client.pointee.phase != .free, client.pointee.generation == token.generation else { continue }
            client.pointee.flags.remove(.scheduled)
            self.resume(client)
            self.handOutReturned()
        }
    }

    mutating func nextGeneration() -> UInt32 {
        self.generation = (self.generation &+ 1) & 0xFF_FFFF
        return self.generation
    }

    private mutating func closeEverything() {
        for index in 0..<self.clients.highWater where self.clients[index].pointee.phase != .free {
            self.dropClient(self.clients[index])
        }
        for index in 0..<self.servers.highWater where self.servers[index].pointee.phase != .free {
            self.dropServer(self.servers[index])
        }
        self.lookups.connection?.transport.close()
        self.closeProbes()
        self.closeSides()
        self.endForwards()
        if self.draining == nil { for listener in self.listeners { listener.close() } }
        for pool in self.pools.values {
            pool.deinitialize(count: 1)
            pool.deallocate()
        }
        self.pools = [:]
        self.out.deallocate()
        self.input.deallocate()
    }
}
