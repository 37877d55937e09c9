internal import CPGHALoop
internal import Glibc
package import PGHACore
internal import PGHAWire
internal import Synchronization

/// A connection pooler: event loops on threads of their own. All calls return at once.
package final class Pooler: Sendable {
    private let mailboxes: [Mailbox]
    private let threads: Mutex<[pthread_t]>
    /// Where each configured listener ended up, in order.
    package let ports: [UInt16]
    private let drains: DrainBoard
    /// Each claim of an applied topology, once no transaction is left on the leader that it replaces; for one reader.
    package var drained: AsyncStream<Term> { self.drains.drained }
    /// For a configuration without secrets; the same over reloads.
    private let random = Secret(SecretNumber.bytes(32))

    private let localPoolers: LocalPoolers

    /// Binds every listener and starts the threads. Until the first `apply` clients wait.
    package init(_ configuration: PoolerConfiguration) throws(PoolerFailure) {
        let security = try Security(configuration, random: self.random)
        var ports = configuration.listeners.map(\.port)
        var loops: [LoopStart] = []
        var configuration = configuration
        configuration.threads = configuration.limits.usableThreads(of: configuration.threads)
        let peers = try Self.mailboxes(configuration.threads)
        let drains = DrainBoard(loops: peers.count)
        var localPoolers = LocalPoolers.none
        for number in 0..<peers.count {
            var bound: [BoundListener] = []
            for (index, listener) in configuration.listeners.enumerated() {
                // A Unix socket cannot be shared by name: the first loop has it.
                if listener.host.hasPrefix("/"), number > 0 { continue }
                let socket = try BoundListener(
                    listener, port: ports[index], shared: peers.count > 1 || configuration.sharesPorts)
                ports[index] = socket.port
                bound.append(socket)
            }
            let tcp = configuration.listeners.firstIndex { !$0.host.hasPrefix("/") }
            if number == 0, configuration.sharesPorts, let tcp { localPoolers = .join(port: ports[tcp]) }
            loops.append(
                try LoopStart(
                    number: number, mailbox: peers[number], configuration, security, bound, drains, localPoolers))
        }
        self.ports = ports
        self.localPoolers = localPoolers
        self.drains = drains
        self.mailboxes = peers
        self.threads = Mutex([])
        for loop in loops { try self.start(loop) }
    }

    private static func mailboxes(_ count: Int) throws(PoolerFailure) -> [Mailbox] {
        var mailboxes: [Mailbox] = []
        for _ in 0..<count {
            guard let mailbox = Mailbox() else { throw .noResources(errno: errno) }
            mailboxes.append(mailbox)
        }
        for mailbox in mailboxes { mailbox.connect(to: mailboxes) }
        return mailboxes
    }

    private func start(_ loop: LoopStart) throws(PoolerFailure) {
        var thread = pthread_t()
        let result = pthread_create(&thread, nil, runLoop, Unmanaged.passRetained(loop).toOpaque())
        guard result == 0 else { throw .noResources(errno: result) }
        self.threads.withLock { $0.append(thread) }
    }

    /// A new view of the cluster, from the controller.
    package func apply(_ topology: PoolTopology) { self.post(.apply(topology)) }

    /// Takes over everything but listeners and threads, and reads all files again. When one of them cannot be used
    /// nothing changes.
    package func reload(_ configuration: PoolerConfiguration) throws(PoolerFailure) {
        self.post(.reload(configuration, try Security(configuration, random: self.random)))
    }

    /// No more clients; those that are there leave as `mode` says. Repeated, the latest mode counts.
    package func drain(_ mode: DrainMode) { self.post(.drain(mode)) }

    /// What all loops are doing and have done; nothing after `stop`.
    package func statistics() async -> PoolerStatistics {
        PoolerStatistics(await self.ask { $0.statistics() })
    }

    /// The answers of all loops, in their order; those of loops that have ended are missing.
    func ask<Answer: Sendable>(_ question: @escaping @Sendable (inout PoolerLoop) -> Answer) async -> [Answer] {
        var answers: [Answer] = []
        for mailbox in self.mailboxes {
            let answer: Answer? = await withCheckedContinuation { continuation in
                let isPosted = mailbox.post(.ask { loop in continuation.resume(returning: question(&loop)) })
                if !isPosted { continuation.resume(returning: nil) }
            }
            if let answer { answers.append(answer) }
        }
        return answers
    }

    /// Closes everything and waits until the threads have ended.
    package func stop() {
        self.post(.stop)
        let threads = self.threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in threads { pthread_join(thread, nil) }
        self.drains.finish()
        self.localPoolers.leave()
    }

    private func post(_ request: LoopRequest) { for mailbox in self.mailboxes { mailbox.post(request) } }
}

/// What a loop's thread is started with.
private final class LoopStart: Sendable {
    let number: Int
    let mailbox: Mailbox
    let configuration: PoolerConfiguration
    let security: Security
    let listeners: [BoundListener]
    let epoll: Int32
    let drains: DrainBoard
    let localPoolers: LocalPoolers

    init(
        number: Int, mailbox: Mailbox, _ configuration: PoolerConfiguration, _ security: Security,
        _ listeners: [BoundListener], _ drains: DrainBoard, _ localPoolers: LocalPoolers
    ) throws(PoolerFailure) {
        self.number = number
        self.mailbox = mailbox
        self.configuration = configuration
        self.security = security
        self.listeners = listeners
        self.drains = drains
        self.localPoolers = localPoolers
        self.epoll = pgha_epoll_create()
        guard self.epoll >= 0 else { throw .noResources(errno: errno) }
        for (index, listener) in listeners.enumerated() {
            let token = Token(.listener, index: UInt32(index))
            guard pgha_epoll_add_level(self.epoll, listener.descriptor, token.bits) == 0 else {
                throw .noResources(errno: errno)
            }
        }
        guard pgha_epoll_add_level(self.epoll, mailbox.descriptor, Token(.mailbox, index: 0).bits) == 0 else {
            throw .noResources(errno: errno)
        }
        guard number == 0, localPoolers.descriptor >= 0 else { return }
        let token = Token(.localPoolers, index: 0)
        guard pgha_epoll_add_level(self.epoll, localPoolers.descriptor, token.bits) == 0 else {
            throw .noResources(errno: errno)
        }
    }
}

/// A thread's life. A function and no closure: a closure made on the main actor would insist on running there.
private func runLoop(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let start = Unmanaged<LoopStart>.fromOpaque(argument).takeRetainedValue()
    pgha_block_sigpipe()
    var loop = PoolerLoop(
        number: start.number, epoll: start.epoll, mailbox: start.mailbox, configuration: start.configuration,
        security: start.security, listeners: start.listeners, drains: start.drains,
        localPoolers: start.localPoolers)
    loop.run()
    close(start.epoll)
    return nil
}
