internal import CPGHALoop
internal import Glibc
internal import PGHACore
internal import Synchronization

/// What other threads ask of a loop.
enum LoopRequest: Sendable {
    case apply(PoolTopology)
    case reload(PoolerConfiguration, Security)
    case drain(DrainMode)
    /// A cancel request that may be for a client of this loop.
    case cancel(CancelCall)
    /// Runs `work` on the loop's thread: statistics and other rare questions.
    case ask(@Sendable (inout PoolerLoop) -> Void)
    case stop
}

/// Where other threads leave requests for a loop; an eventfd wakes it.
final class Mailbox: Sendable {
    let descriptor: Int32
    /// Nil once the loop has ended.
    private let requests = Mutex<[LoopRequest]?>([])
    /// All loops' mailboxes by number, set once before the threads start.
    private let peers = Mutex<[WeakMailbox]>([])

    private struct WeakMailbox {
        weak var mailbox: Mailbox?
    }

    init?() {
        self.descriptor = pgha_eventfd()
        guard self.descriptor >= 0 else { return nil }
    }

    deinit { close(self.descriptor) }

    /// False when nobody will read it any more.
    @discardableResult func post(_ request: LoopRequest) -> Bool {
        let isOpen = self.requests.withLock { requests in
            requests?.append(request)
            return requests != nil
        }
        if isOpen { pgha_eventfd_signal(self.descriptor) }
        return isOpen
    }

    /// The loop has ended: what was left is handed back, and no more is taken.
    func end() -> [LoopRequest] {
        self.requests.withLock { requests in
            defer { requests = nil }
            return requests ?? []
        }
    }

    func connect(to mailboxes: [Mailbox]) {
        self.peers.withLock { $0 = mailboxes.map { WeakMailbox(mailbox: $0) } }
    }

    /// How many loops there are.
    var peerCount: Int { self.peers.withLock { $0.count } }

    /// Leaves a request for another loop; a number that no loop has is ignored.
    func postToPeer(_ number: Int, _ request: LoopRequest) {
        let peer = self.peers.withLock { $0.indices.contains(number) ? $0[number].mailbox : nil }
        peer?.post(request)
    }

    func take() -> [LoopRequest] {
        pgha_eventfd_clear(self.descriptor)
        return self.requests.withLock { requests in
            defer { requests = requests == nil ? nil : [] }
            return requests ?? []
        }
    }
}

extension PoolerLoop {
    mutating func readMailbox() {
        for request in self.mailbox.take() {
            switch request {
            case .apply(let topology): self.apply(topology)
            case .reload(let configuration, let security): self.reload(configuration, security)
            case .drain(let mode): self.drain(mode)
            case .cancel(let call): self.cancel(call)
            case .ask(let work): work(&self)
            case .stop: self.isStopping = true
            }
        }
    }

    mutating func reload(_ configuration: PoolerConfiguration, _ security: Security) {
        self.security = security
        let threads = self.configuration.threads
        let lookup = self.configuration.authentication.lookup
        self.configuration = configuration
        self.configuration.threads = threads
        if configuration.authentication.lookup != lookup { self.changeLookup() }
        self.limits = LoopLimits(configuration)
        self.balancer.limits = configuration.reads
        self.nextClientCheck = 0
        self.socketRefusals = []
        self.reloadReads()
        for pool in self.pools.values { self.configure(pool) }
    }
}
