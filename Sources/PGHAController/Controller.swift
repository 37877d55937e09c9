package import Logging
package import PGHAClient
package import PGHACore
package import PGHAStore

/// The shell around ``Coordinator``: feeds it evidence and answers, does what its effects say, in their order.
///
/// All decisions run on this actor, one event at a time; everything slow runs in child tasks of ``run()`` and comes
/// back as an event.
package actor Controller {
    /// Least time between two probes that suspicion asks for, at its beginning: two refusals make a verdict.
    static let urgentProbe = Duration.milliseconds(5)
    /// Kill to first acknowledged commit on the new primary, three servers on two quiet cores: the median of the bench.
    static let measuredFailover: Int64 = 117
    /// How long suspicion hurries before the ordinary interval is enough.
    static let urgentFor = Duration.seconds(2)
    /// Wait before a store that could not be reached is asked again.
    static let storeRetry = Duration.milliseconds(200)

    let store: any ClusterStore
    /// For people: `sqlite`, `etcd`.
    let storeKind: String
    let makeNode: NodeAccessFactory
    let logger: Logger
    private let clock = ContinuousClock()
    private let origin: ContinuousClock.Instant
    private let jobs: AsyncStream<@Sendable () async -> Void>
    private let enqueue: AsyncStream<@Sendable () async -> Void>.Continuation

    var coordinator: Coordinator
    private(set) var revision: Int64?
    var nodes: [NodeName: NodeRecord] = [:]
    private var wakeAt: Moment?
    private var isRunning = false
    private var hasEnded = false
    var suspicionBegan: Moment?
    var urgentProbeIsDue = false
    /// Bumped with every change that watchers of the topology and the status wait for.
    private(set) var changes: UInt64 = 0
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private(set) var poolers = PoolerRoster()
    private(set) var poolerBoard = PoolerBoard()
    let metrics = ControllerMetrics()
    /// For metrics and the status page.
    var past = RecentPast()
    /// Numbers of the scripts of `sql/` that a primary must have.
    let requiredScripts: [Int]
    var isAdopting = false
    var applied: [NodeName: AppliedSettings] = [:]
    var divergedNotes = DivergedNotes()
    /// When the limits that servers run with were read last.
    var limitsReadAt: Moment?

    /// What the controller keeps for one node.
    struct NodeRecord {
        var spec: NodeSpec
        var access: any NodeAccess
        var isProbing = false
        var probedAt: Moment?
        var latency: Duration?
    }

    package init(
        store: any ClusterStore, storeKind: String, seed: UInt64, requiredScripts: [Int] = [], logger: Logger,
        makeNode: @escaping NodeAccessFactory
    ) {
        self.store = store
        self.storeKind = storeKind
        self.requiredScripts = requiredScripts
        self.makeNode = makeNode
        self.logger = logger
        self.origin = self.clock.now
        self.coordinator = Coordinator(seed: seed, at: .origin)
        (self.jobs, self.enqueue) = AsyncStream.makeStream()
    }

    package var now: Moment { Moment(self.clock.now - self.origin) }

    /// Leads until the task is cancelled. Throws when the store cannot be opened or read at the start.
    package func run() async throws {
        let stored = try await self.store.load()
        self.revision = stored?.revision
        self.isRunning = true
        self.deliver(.loaded(stored?.state))
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.tickForever() }
                group.addTask { await self.keepSlotsForever() }
                group.addTask { await self.keepSettingsForever() }
                for await job in self.jobs { group.addTask(operation: job) }
                group.cancelAll()
            }
        } onCancel: {
            self.enqueue.finish()
        }
        self.isRunning = false
        self.hasEnded = true
        self.wakeWaiters()
        for record in self.nodes.values { await record.access.close() }
    }

    func start(_ job: @escaping @Sendable () async -> Void) { self.enqueue.yield(job) }

    // MARK: - Events and effects

    func deliver(_ event: Coordinator.Event) {
        let now = self.now
        self.perform(self.coordinator.handle(event, at: now))
    }

    /// Carries out an operator's request, or says why not.
    package func request(_ request: OperatorRequest) throws(RequestRefusal) {
        self.perform(try self.coordinator.request(request, at: self.now).get())
    }

    func perform(_ effects: Effects) {
        for note in effects.notes { self.logger.notice("decision", metadata: ["note": "\(note)"]) }
        self.notePhase()
        self.reconcileNodes()
        if let persist = effects.persist { self.write(persist) }
        for order in effects.send { self.send(order) }
        if let moment = effects.wakeAt { self.wake(at: moment) }
        self.endDrain()
        self.changes &+= 1
        self.wakeWaiters()
        self.probeIfSuspicious()
    }

    private func wakeWaiters() {
        let waiters = self.waiters
        self.waiters = []
        for waiter in waiters { waiter.resume() }
    }

    /// Returns after the first event behind number `seen`: at once when that was already.
    ///
    /// - Returns: False when there will be no more events.
    func nextChange(after seen: UInt64) async -> Bool {
        if self.changes == seen, !self.hasEnded { await withCheckedContinuation { self.waiters.append($0) } }
        return !self.hasEnded
    }

    // MARK: - Poolers

    func poolerConnected(_ name: String) {
        self.poolers.connected(name)
        self.coordinator.hasPoolers = true
        self.logger.info("pooler connected", metadata: ["pooler": "\(name)"])
    }

    func poolerLeft(_ name: String) {
        self.poolers.left(name)
        self.coordinator.hasPoolers = !self.poolers.isEmpty
        self.poolerBoard.forget(allBut: self.poolers.names)
        self.logger.info("pooler gone", metadata: ["pooler": "\(name)"])
        self.endDrain()
    }

    package func poolerReported(_ name: String, _ report: PoolerReport) -> Accepted {
        self.poolers.drained(name, for: Term(report.drained))
        self.logger.debug("pooler drained", metadata: ["pooler": "\(name)", "claim": "\(report.drained)"])
        self.endDrain()
        return Accepted(message: "noted", term: report.drained)
    }

    package func poolerReported(_ name: String, _ figures: PoolerFigures) -> Accepted {
        // Who does not follow is not shown, and would be kept for ever.
        if self.poolers.names.contains(name) { self.poolerBoard.note(figures, of: name, at: self.now) }
        return Accepted(message: "noted", term: figures.term)
    }

    /// Goes on with a switchover as soon as no pooler has a transaction left on the old leader.
    private func endDrain() {
        guard let claim = self.coordinator.draining, self.poolers.waiting(for: claim.term).isEmpty else { return }
        self.start { await self.deliver(.drained) }
    }

    private func send(_ order: Effects.Order) {
        guard let record = self.nodes[order.node] else {
            let outcome = NodeOutcome.failed(.unreachable("no such node"))
            self.start { await self.deliver(.answered(order.node, order.command, outcome)) }
            return
        }
        let upstreams = self.nodes.mapValues(\.spec)
        let began = self.now
        self.reach("before-\(order.command.label)")
        self.start {
            self.reachSoon("during-\(order.command.label)")
            let outcome = await record.access.execute(order.command, upstreams: upstreams)
            await self.finished(order, outcome, began: began)
        }
    }

    private func finished(_ order: Effects.Order, _ outcome: NodeOutcome, began: Moment) {
        self.reach("after-\(order.command.label)")
        let took = self.now - began
        var hasFailed = false
        if case .failed = outcome { hasFailed = true }
        self.metrics.ordered(order.command, failed: hasFailed, took: took)
        let milliseconds = took.inSeconds * 1000
        var metadata: Logger.Metadata = [
            "node": "\(order.node)", "command": "\(order.command.label)", "milliseconds": "\(milliseconds)",
        ]
        if case .failed(let failure) = outcome {
            metadata["failure"] = "\(failure)"
            self.logger.info("order failed", metadata: metadata)
        } else if case .readSenders = order.command {
            self.logger.trace("order done", metadata: metadata)
        } else {
            self.logger.debug("order done", metadata: metadata)
        }
        self.deliver(.answered(order.node, order.command, outcome))
    }

    // MARK: - The store

    private func write(_ persist: Effects.Persist) {
        let expected = self.revision
        let entries = self.historyEntries(persist)
        if let took = persist.entry?.took, persist.state.procedure == nil,
            case .failover(let machine) = self.coordinator.activity
        {
            self.metrics.led(machine.kind, took: took)
        }
        self.start { await self.attemptWrite(persist, entries, expecting: expected) }
    }

    private func attemptWrite(
        _ persist: Effects.Persist, _ entries: [HistoryEntry], expecting expected: Int64?
    ) async {
        while !Task.isCancelled {
            do {
                let began = self.now
                self.revision = try await self.store.compareAndSet(
                    persist.state, expecting: expected, history: entries)
                self.metrics.wrote(took: self.now - began)
                self.reach("stored-\(persist.state.procedure?.phase ?? "steady")")
                self.deliver(.stored)
                return
            } catch .unavailable(let reason) {
                self.logger.warning("store unavailable", metadata: ["reason": "\(reason)"])
                try? await Task.sleep(for: Self.storeRetry)
            } catch {
                self.logger.warning("store write refused or unknown", metadata: ["error": "\(error)"])
                await self.readBack(persist)
                return
            }
        }
    }

    /// A conflict or an unknown outcome is settled by reading, never assumed.
    private func readBack(_ persist: Effects.Persist) async {
        while !Task.isCancelled {
            do {
                let stored = try await self.store.load()
                self.revision = stored?.revision
                if stored?.state == persist.state {
                    self.deliver(.stored)
                    return
                }
                // The write may still arrive. A step of the revision makes it come too late.
                if let stored {
                    self.revision = try await self.store.compareAndSet(
                        stored.state, expecting: stored.revision, history: [])
                }
                self.deliver(.loaded(stored?.state))
                return
            } catch {
                self.logger.warning("store cannot be read", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: Self.storeRetry)
            }
        }
    }

    private func historyEntries(_ persist: Effects.Persist) -> [HistoryEntry] {
        guard let entry = persist.entry else { return [] }
        return [
            HistoryEntry(
                unixMicroseconds: wallClockMicroseconds(), kind: entry.kind,
                term: persist.state.rule?.number.term ?? persist.state.term, leader: persist.state.rule?.leader,
                detail: entry.detail, milliseconds: entry.took?.milliseconds)
        ]
    }

    // MARK: - Time

    private func tickForever() async {
        while !Task.isCancelled {
            self.probeAll()
            self.takeSample()
            self.deliver(.tick)
            let interval = self.coordinator.state?.spec.timings.probeInterval ?? .milliseconds(250)
            try? await Task.sleep(for: interval, tolerance: .milliseconds(5))
        }
    }

    private func wake(at moment: Moment) {
        if let wakeAt = self.wakeAt, wakeAt <= moment, wakeAt > self.now { return }
        self.wakeAt = moment
        let delay = max(moment - self.now, .zero)
        self.start {
            try? await Task.sleep(for: delay, tolerance: .zero)
            await self.woke(at: moment)
        }
    }

    private func woke(at moment: Moment) {
        // A later wake-up was replaced by an earlier one, or an earlier one has already ticked.
        guard self.wakeAt == moment else { return }
        self.wakeAt = nil
        self.deliver(.tick)
    }
}
