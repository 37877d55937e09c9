import Glibc
import Logging
import PGHAClient
import PGHACore

/// Does a node's host work, one piece at a time.
///
/// Algorithm: a request's pledge becomes durable before anything else. Then the request joins the work that does
/// the same, or ends it and takes its place; a fence is never ended, others wait for it. Work runs on after its
/// requester has gone, so asking again is how one waits for it.
///
/// Files: `Agent+Postmaster` starts and stops, `Agent+Fence`, `Agent+Leader`, `Agent+Initialize`, `Agent+Rejoin`,
/// `Agent+Clone`, `Agent+TakeOver`, `Agent+Settings` do the work.
actor Agent {
    let node: NodeName
    let directory: StateDirectory
    let programs: ServerPrograms
    let pledges: PledgeFile
    let local: LocalServer
    let logger: Logger
    nonisolated let board: FactsBoard
    nonisolated let metrics = AgentMetrics()
    /// Told the name of each step whose place in the order matters. For tests and traces.
    let trace: @Sendable (String) -> Void

    /// The running postmaster; nil when none runs.
    var postmaster: ProcessHandle?
    /// Whether an unexpected end of a standby is answered by starting it again.
    var keepsRunning = true
    /// As told last by a request; kept across restarts, passwords left out.
    var setup: ServerSetup?
    /// Of a server that somebody else made.
    let adopted: AdoptedServer?
    /// Where another container starts the postmaster; nil: the agent is its parent.
    let gate: GateFiles?
    /// When saved WAL is looked at next.
    var nextPrune = ContinuousClock.now
    private var work: Work?
    private var workCount = 0

    /// What a piece of work is, for deciding who joins, waits or replaces.
    struct WorkKey: Hashable, Sendable {
        enum Kind: String, Hashable, Sendable {
            case fence, rejoin, initialize, adopt, start, stop, restart, reload, settings
            case startLeader = "start as leader"
            case startStandby = "start as standby"
        }
        var kind: Kind
        /// Nil for requests that bear no pledge: they never end other work.
        var claim: Claim?
        /// What else must be equal for two requests to be the same.
        var detail: String = ""
    }

    private struct Work {
        var number: Int
        var key: WorkKey
        var task: Task<AgentResult, any Error>
    }

    init(
        node: NodeName, directory: StateDirectory, programs: ServerPrograms, pledges: PledgeFile,
        setup: ServerSetup?, adopted: AdoptedServer? = nil, gate: GateFiles? = nil, logger: Logger,
        trace: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.node = node
        self.directory = directory
        self.programs = programs
        self.pledges = pledges
        self.setup = setup
        self.adopted = adopted
        self.gate = gate
        self.logger = logger
        self.trace = trace
        self.local =
            adopted.map { LocalServer(socketDirectory: $0.socketDirectory, user: AdoptedServer.role) }
            ?? LocalServer(socketDirectory: directory.socketDirectory)
        var facts = AgentFacts(node: node, agentPID: getpid(), postmaster: .absent, pledge: pledges.pledge)
        facts.passfile = directory.passfile
        facts.isAdopted = adopted != nil
        facts.socketDirectory = adopted?.socketDirectory ?? directory.socketDirectory
        self.board = FactsBoard(facts)
    }

    /// Runs `body` as the agent's work; see the type's description.
    ///
    /// - Throws: ``AgentFailure``.
    func perform(
        _ key: WorkKey, pledge: Pledge?, _ body: @escaping @Sendable (isolated Agent) async throws -> AgentResult
    ) async throws -> AgentResult {
        do {
            if let pledge {
                await self.learnServersPledge()
                try await self.accept(pledge)
            }
            let task = try await self.admit(key, pledge: pledge, body)
            return try await task.value
        } catch {
            throw Refusal.other(error)
        }
    }

    private func accept(_ pledge: Pledge) async throws {
        try await self.pledges.accept(pledge)
        self.trace("pledge")
        let held = self.pledges.pledge
        self.board.update(.changed) { $0.pledge = held }
    }

    /// A server is sealed over SQL, without its agent: what it pledged there binds the agent too. A pledge that was
    /// copied from another server along with its settings is no harm: it is never newer than the truth.
    func learnServersPledge() async {
        let path = self.directory.data + "/postgresql.auto.conf"
        let text = await Offload.run { try? DurableFile.read(path) }
        guard let text, let value = AutoConf(text)["pgha.term"], let served = Pledge(value) else { return }
        // An equal term under another claim is refused by `accept`; the request that follows meets the same check.
        try? await self.accept(served)
    }

    private func admit(
        _ key: WorkKey, pledge: Pledge?, _ body: @escaping @Sendable (isolated Agent) async throws -> AgentResult
    ) async throws -> Task<AgentResult, any Error> {
        while let current = self.work {
            if current.key == key { return current.task }
            guard key.claim != nil else { throw Refusal.busy(current.key.kind.rawValue) }
            if current.key.kind != .fence { current.task.cancel() }
            _ = await current.task.result
        }
        // Another request may have brought a newer pledge while this one waited.
        if let pledge, !self.pledges.allows(pledge), let held = self.pledges.pledge {
            throw Refusal.olderPledge(holding: held, asked: pledge)
        }
        self.workCount += 1
        let number = self.workCount
        let task = Task { try await self.run(number, key, body) }
        self.work = Work(number: number, key: key, task: task)
        return task
    }

    private func run(
        _ number: Int, _ key: WorkKey, _ body: @Sendable (isolated Agent) async throws -> AgentResult
    ) async throws -> AgentResult {
        defer { if self.work?.number == number { self.work = nil } }
        self.report(key.kind.rawValue)
        let began = ContinuousClock.now
        self.logger.info("work begins", metadata: ["work": "\(key.kind.rawValue)", "detail": "\(key.detail)"])
        do {
            let result = try await body(self)
            self.board.update(.activity) { facts in
                facts.activity = nil
                facts.problem = nil
            }
            self.metrics.ended(key.kind.rawValue, outcome: "done", took: ContinuousClock.now - began)
            self.logger.info("work done", metadata: ["work": "\(key.kind.rawValue)"])
            return result
        } catch {
            let failure = Task.isCancelled ? Refusal.superseded : Refusal.other(error)
            self.board.update(.problem) { facts in
                facts.activity = nil
                if failure.code != Refusal.superseded.code { facts.problem = "\(failure)" }
            }
            self.metrics.ended(key.kind.rawValue, outcome: failure.code, took: ContinuousClock.now - began)
            self.logger.warning(
                "work failed",
                metadata: ["work": "\(key.kind.rawValue)", "code": "\(failure.code)", "why": "\(failure)"])
            throw failure
        }
    }

    var isIdle: Bool { self.work == nil }

    /// Shows what the work is at.
    func report(_ activity: String) { self.board.update(.activity) { $0.activity = activity } }

    /// Throws unless the work may still act under `pledge`: called right before each step that makes a primary.
    func requireCurrent(_ pledge: Pledge) throws {
        try Task.checkCancellation()
        guard self.pledges.allows(pledge) else {
            throw Refusal.olderPledge(holding: self.pledges.pledge ?? pledge, asked: pledge)
        }
    }
}
