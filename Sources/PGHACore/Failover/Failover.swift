/// Installs a new term: claim, seal, choose, record, promote, attach, open (DESIGN section 5, steps 1 to 7).
///
/// Failover, switchover, the first term of a new cluster and taking over running servers all end here; they differ
/// in whom they ask for and how the old leader is stopped (``Kind``).
///
/// Order is everything. A step with effects begins only after the phase that names it is in the store, so that
/// another controller can finish it; older rules are dropped only when the new one is open.
package struct Failover: Sendable {
    package enum Kind: Hashable, Sendable {
        /// The leader was judged dead. It may be chosen again when it comes back meanwhile.
        case automatic
        /// An operator asked. `target` is preferred among equals; `force` accepts data loss.
        case requested(target: NodeName?, force: Bool)
        /// Switchover: the leader is stopped cleanly first, so that the candidate has all of its WAL.
        case planned(candidate: NodeName)
        /// There is no rule yet: install the server that is a primary already.
        case adopt(leader: NodeName)
    }

    package enum Phase: Hashable, Sendable {
        /// The claim is being written. Next: `draining` or `handingOver` (planned), or `sealing`.
        case claiming
        /// Poolers hold new transactions and let running ones finish. Next: `handingOver` when none is left, or then.
        case draining(until: Moment)
        /// The old leader is being stopped cleanly while its standbys still follow. Next: `sealing`.
        case handingOver(until: Moment)
        /// Members are being sealed. Next: `rereading` once enough is known.
        case sealing
        /// Sealed positions are read once more. Next: `recording`, or `sealing` when one moved or is gone.
        case rereading(Set<NodeName>)
        /// The rule is being written. Next: `promoting`; from here there is no way back.
        case recording
        /// The candidate is being promoted or started. Next: `attaching`.
        case promoting
        /// The timeline is being written, the row inserted, followers attach. Next: `opening`.
        case attaching
        /// The real list is being set. Next: `closing`.
        case opening
        /// The rule is being made current. Next: `finished`.
        case closing
        case finished
    }

    /// How the chosen server becomes writable.
    package enum Way: Hashable, Sendable {
        case promote
        /// A fenced leader is started in place.
        case start
        /// It runs as a primary, pledged to this claim.
        case already
    }

    package struct Plan: Hashable, Sendable {
        package var rule: Rule
        package var way: Way
        /// Servers that can stream from the candidate, with the names they will bear.
        package var names: [NodeName: ReplicationName]
        /// Where the candidate's WAL ended when it was chosen.
        package var position: WALPosition
    }

    /// What is known of one member in this claim.
    struct Member: Hashable, Sendable {
        /// Read after the seal, reclaim or fence of this claim; nil when not known or not confirmed again.
        var position: WALPosition?
        var way: Way?
        var lastFailure: NodeFailure?
        /// It seems not to run: it is started as a standby before it is sealed.
        var isStopped = false
    }

    /// How long the clean stop of a switchover may take before the others are sealed anyway.
    static let handOverLimit = Duration.seconds(10)
    /// How long a server that was asked may leave us waiting before a decision is made without it.
    static let answerTime = Duration.seconds(5)
    /// How long an old leader's start for its copy is put off for servers that may still answer. A seal takes 8–16 ms.
    static let copyPatience = Duration.milliseconds(100)
    /// How long a leader without followers is put off for servers that may still answer. A rewind takes one to two
    /// seconds, the crash recovery of a server that could follow without one often less.
    static let rebuildPatience = Duration.seconds(1)
    /// How long a server that failed to be promoted is passed over.
    static let exclusion = Duration.seconds(5)
    /// A follower that was told and does not attach is told again after this.
    static let attachGrace = Duration.seconds(3)
    /// Between two looks at the walsenders while waiting for a flush. A look costs about 0.3 ms.
    static let senderPoll = Duration.milliseconds(3)
    /// The same while servers are being rewound or copied.
    static let rebuildPoll = Duration.milliseconds(50)
    /// Attempts to promote before the candidate is given up.
    static let promoteAttempts = 5

    package internal(set) var state: ClusterState
    package let claim: Claim
    package let kind: Kind
    package let reason: String
    /// Servers that failed to be promoted in an earlier claim.
    package let excluded: Set<NodeName>
    /// Servers that did not answer when the claim was taken.
    let silent: Set<NodeName>
    package internal(set) var phase: Phase
    package internal(set) var progress: ProcedureProgress = .running
    package internal(set) var plan: Plan?

    let started: Moment
    var members: [NodeName: Member] = [:]
    var evidence = SealEvidence()
    /// Found as primaries that no term made.
    var promotedByHand: Set<NodeName> = []
    var orders = MemberOrders()
    var generator: SeededGenerator
    /// The primary's position after the promotion; nil until then.
    var leaderPosition: WALPosition?
    /// `true` once the new timeline is in the store.
    var timelineStored = false
    /// The version of the term's rule that is in the store: no server is asked for a pledge to a later one.
    var recordedVersion: UInt32 = 0
    /// Where the row of `pgha.term_history` ends; nil until it is written.
    var rowEnd: LSN?
    /// When each follower was last told whom to follow.
    var followersTold: [NodeName: Moment] = [:]
    /// When the attaching cohort was last changed; a new version replaces a cohort that does not attach.
    var attachingSince: Moment
    /// The last look at the walsenders.
    package internal(set) var attached: Set<NodeName> = []
    /// When the leader answered it.
    package internal(set) var lookedAt: Moment?
    /// When the new leader answered that it is open for commits.
    package internal(set) var openedAt: Moment?
    /// Mode `async`: how the leaders of open rules were last seen.
    let sights: [NodeName: LeaderSight]
    /// When each leader turned out to be fenced.
    var fencedSince: [NodeName: Moment] = [:]
    /// What the choice may lose, for the record.
    var loss: [PossibleLoss.Part] = []
    /// The new leader has the lease that its rule asks for.
    package internal(set) var isLeased = false
    package internal(set) var blockedReason: String?
    /// A leader could be chosen, but too few servers can hold copies for it.
    var needsMoreCopies = false
    /// Since when that is so for want of answers.
    var shortSince: Moment?
    /// Since when the missing copies could be had by rebuilding servers.
    var rebuildableSince: Moment?
    /// Another controller recorded the rule, and may have set its list.
    let isResumed: Bool
    /// Poolers hold transactions for this claim and have not all reported that none is left.
    package internal(set) var isDraining: Bool

    /// Takes a new claim. `nonce` is random, from the shell's generator. `bootstrapped` is the claim under which the
    /// first servers were made: the first term is its. `silent`: servers whose last probe had no answer. `draining`: poolers
    /// follow this controller, and a switchover waits for them. `sights`: of leaders under a lease.
    package init(
        claiming state: ClusterState, kind: Kind, reason: String, nonce: UInt64, excluded: Set<NodeName> = [],
        silent: Set<NodeName> = [], bootstrapped: Claim? = nil, draining: Bool = false,
        sights: [NodeName: LeaderSight] = [:], at now: Moment
    ) {
        var next = state
        if bootstrapped == nil { next.term = state.term.next }
        if DecisionFaults.isOn(.undoRecorded), let current = state.rule {
            next.openRules.removeAll { $0.number.term > current.number.term }
        }
        self.claim = bootstrapped ?? Claim(term: next.term, nonce: nonce)
        var planned: NodeName?
        var forced = false
        switch kind {
        case .planned(let candidate): planned = candidate
        case .requested(let target, let force): (planned, forced) = (target, force)
        case .automatic: break
        case .adopt(let leader): planned = leader
        }
        next.procedure = .sealing(claim: self.claim, reason: reason, planned: planned, forced: forced)
        self.state = next
        self.kind = kind
        self.reason = reason
        self.excluded = excluded
        self.silent = silent
        self.phase = .claiming
        self.started = now
        self.attachingSince = now
        self.generator = SeededGenerator(seed: nonce)
        self.isResumed = false
        self.isDraining = draining
        self.sights = sights
        self.evidence.claimed = now
        self.evidence.unguarded = Set(
            sights.filter { _, sight in
                sight.agentHeard.map { $0 < sight.began - state.spec.timings.freshness } ?? true
            }.keys)
    }

    /// Finishes what another controller recorded: promote the same candidate under the same claim.
    package init(finishing rule: Rule, reason: String, state: ClusterState, at now: Moment) {
        self.state = state
        self.claim = rule.claim
        self.kind = .automatic
        self.reason = reason
        self.excluded = []
        self.silent = []
        self.phase = .promoting
        self.recordedVersion = rule.number.version
        self.started = now
        self.attachingSince = now
        self.generator = SeededGenerator(seed: rule.nonce)
        self.isResumed = true
        self.isDraining = false
        self.sights = [:]
        self.plan = Plan(
            rule: rule, way: .promote, names: state.replicationNames.filter { $0.key != rule.leader },
            position: WALPosition(history: TimelineHistory(timeline: TimelineID(0)), end: .zero))
    }

    /// What servers are asked to pledge: the claim, and once it is recorded the rule. So a store that was restored
    /// from before the record can tell that the claim went on without it.
    package var pledge: Pledge {
        switch self.phase {
        case .claiming, .draining, .handingOver, .sealing, .rereading, .recording: Pledge(self.claim)
        case .promoting, .attaching, .opening, .closing, .finished: self.plan?.rule.pledge ?? Pledge(self.claim)
        }
    }

    /// Begins: the first effects. Call once.
    package mutating func begin(at now: Moment) -> Effects {
        var effects = Effects()
        if self.phase == .claiming {
            effects.persist = .init(state: self.state)
        } else {
            self.sendOrders(at: now, &effects)
        }
        return effects
    }

    package mutating func handle(_ event: ProcedureEvent, at now: Moment) -> Effects {
        var effects = Effects()
        switch event {
        case .stored: self.stored(at: now, &effects)
        case .answered(let node, let command, let outcome):
            guard self.orders.accept(node, command) else { break }
            if self.refuses(outcome) { break }
            self.answered(node, command, outcome, at: now, &effects)
        case .drained: self.isDraining = false
        case .tick: break
        }
        self.advance(at: now, &effects)
        return effects
    }

    /// A pledge that this store did not hand out means that the store is older than the cluster.
    private mutating func refuses(_ outcome: NodeOutcome) -> Bool {
        guard case .failed(.refused(let holding)) = outcome else { return false }
        guard holding.number.term >= self.claim.term else { return false }
        self.progress = .storeIsOlder(holding: holding)
        return true
    }

    private mutating func stored(at now: Moment, _ effects: inout Effects) {
        switch self.phase {
        case .claiming:
            if case .planned = self.kind {
                self.phase = .draining(until: now + self.state.spec.timings.drainTimeout)
            } else {
                self.phase = .sealing
            }
        case .recording:
            self.phase = .promoting
            self.recordedVersion = self.plan?.rule.number.version ?? 0
        case .attaching:
            self.timelineStored = true
            self.recordedVersion = self.plan?.rule.number.version ?? 0
        case .closing:
            self.phase = .finished
            self.progress = .finished
        case .draining, .handingOver, .sealing, .rereading, .promoting, .opening, .finished: break
        }
    }

    private mutating func answered(
        _ node: NodeName, _ command: NodeCommand, _ outcome: NodeOutcome, at now: Moment, _ effects: inout Effects
    ) {
        switch self.phase {
        case .claiming, .draining, .recording, .closing, .finished: break
        case .handingOver, .sealing, .rereading:
            self.sealAnswered(node, command, outcome, at: now)
        case .promoting, .attaching, .opening:
            self.installAnswered(node, command, outcome, at: now, &effects)
        }
    }

    /// Does whatever the phase allows now: sends what is due, goes on when a phase is complete.
    private mutating func advance(at now: Moment, _ effects: inout Effects) {
        guard self.progress == .running else { return }
        switch self.phase {
        case .claiming, .recording, .closing, .finished: break
        case .draining(let until): self.advanceDraining(until, at: now, &effects)
        case .handingOver, .sealing, .rereading: self.advanceSealing(at: now, &effects)
        case .promoting, .attaching, .opening: self.advanceInstall(at: now, &effects)
        }
        if self.progress == .running { self.sendOrders(at: now, &effects) }
    }

    private mutating func advanceDraining(_ until: Moment, at now: Moment, _ effects: inout Effects) {
        guard !self.isDraining || now >= until else { return effects.wake(at: until) }
        self.isDraining = false
        self.phase = .handingOver(until: now + Self.handOverLimit)
        effects.wake(at: now + Self.handOverLimit)
    }

    private mutating func sendOrders(at now: Moment, _ effects: inout Effects) {
        switch self.phase {
        case .claiming, .draining, .recording, .closing, .finished: break
        case .handingOver, .sealing, .rereading: self.sendSealingOrders(at: now, &effects)
        case .promoting, .attaching, .opening: self.sendInstallOrders(at: now, &effects)
        }
    }
}
