/// Under which conditions a leader may go on alone: how long one renewal lasts, and who together can renew it while no
/// controller does.
package struct LeaseTerms: Hashable, Sendable, Codable {
    /// Of the newest rule that they come from.
    package var pledge: Pledge
    package var length: Duration
    /// All of them must vouch. Sorted.
    package var voters: [NodeName]

    package init(pledge: Pledge, length: Duration, voters: some Sequence<NodeName>) {
        self.pledge = pledge
        self.length = length
        self.voters = voters.sorted()
    }

    /// The terms of all open rules that `leader` leads under a lease: the shortest length, and everybody whose seal would
    /// end one of them. Nil without such a rule. A rule without followers has no lease, for nobody's seal could end it:
    /// such a leader is replaced only once it is fenced.
    package init?(_ open: [Rule], leader: NodeName, pledge: Pledge) {
        let leased = open.filter { $0.leader == leader && $0.lease != nil && !$0.followers.isEmpty }
        guard let length = leased.compactMap(\.lease).min() else { return nil }
        self.init(pledge: pledge, length: length, voters: leased.reduce(into: Set()) { $0.formUnion($1.followers) })
    }
}

/// The lease of one leader, as its agent keeps it: mode `async` only.
///
/// Intuition: whoever renews it vouches that no successor was prepared when the agent's stamp was made. So the lease ends
/// a fixed time after that *stamp*, whatever became of the answer on its way, and a controller that wants another leader
/// seals one follower, which renews nothing from then on, and waits.
///
/// All times are the agent's own clock, which must go on while the host sleeps (`CLOCK_BOOTTIME`): nobody compares it with
/// another. The other side waits ``slack(_:)`` longer, so that clocks may differ in rate by 1 %.
///
/// Limits: it ends what the server acknowledges only through an agent that runs, and through a clock that goes on while
/// the host does not. A host that was frozen acknowledges for the moment that the agent takes to act after the thaw.
package struct LeaderLease: Hashable, Sendable {
    package enum Step: Hashable, Sendable {
        /// Nothing until then; nil: until something is said.
        case wait(until: Moment?)
        /// Ask each of these whether it vouches, giving the stamp.
        case ask([NodeName], LeaseTerms, stamp: Moment)
        /// `standby.signal` first, then no process of the server: at once, and again until it is done.
        case fence
    }

    /// Nil: no lease is needed.
    package private(set) var terms: LeaseTerms?
    /// Until then the server may acknowledge; nil: not at all. Lost when the host restarts.
    package private(set) var heldUntil: Moment?
    /// The server was fenced for want of a lease under this pledge, and may not lead again under its claim without one.
    package private(set) var owed: Pledge?
    private var asked: Moment?
    private var missing: Set<NodeName> = []

    package init() {}

    /// As it was kept while the agent was away, by the same clock.
    package init(terms: LeaseTerms?, heldUntil: Moment?, owed: Pledge?) {
        self.terms = terms
        self.heldUntil = heldUntil
        self.owed = owed
    }

    /// How long before the end the server is fenced, for that takes time too.
    package static func reserve(_ length: Duration) -> Duration { min(.seconds(1), length / 5) }

    /// How much longer than the length itself the other side waits: clocks differ in rate by 1 % at most, and the end of
    /// the server's processes may take half a second more than the reserve.
    package static func slack(_ length: Duration) -> Duration { length / 100 + .milliseconds(500) }

    /// Whether the server may go on at `now`.
    package func isHeld(at now: Moment) -> Bool {
        guard let terms = self.terms else { return true }
        return self.fenceAt(terms).map { now < $0 } ?? false
    }

    private func fenceAt(_ terms: LeaseTerms) -> Moment? {
        self.heldUntil.map { $0 - (DecisionFaults.isOn(.fenceAtLeaseEnd) ? .zero : Self.reserve(terms.length)) }
    }

    /// A controller's renewal, which carries the newest stamp that it had heard. False when it comes too late to be of
    /// use, or is older than the terms in force.
    package mutating func grant(_ terms: LeaseTerms, stamp: Moment, at now: Moment) -> Bool {
        guard stamp <= now else { return false }
        if let held = self.terms {
            guard held.pledge.mayBecome(terms.pledge) else { return false }
            // With other terms the old lease does not count: it may be longer, and others vouched for it.
            if held.length != terms.length || held.voters != terms.voters {
                self.heldUntil = nil
                self.asked = nil
            }
        } else {
            self.heldUntil = nil
            self.asked = nil
        }
        self.terms = terms
        self.extend(to: stamp + terms.length)
        if self.isHeld(at: now) { self.owed = nil }
        return self.isHeld(at: now)
    }

    /// No lease is needed any more, under the rule that `pledge` names.
    package mutating func release(_ pledge: Pledge) -> Bool {
        if let held = self.terms?.pledge ?? self.owed {
            guard held.mayBecome(pledge) else { return false }
            self.end()
        }
        return true
    }

    /// The server was stopped and obeys `pledge` now: under a newer claim it acknowledges nothing before it is told to.
    package mutating func stopped(for pledge: Pledge) {
        if let held = self.terms, held.pledge.claim != pledge.claim, held.pledge.mayBecome(pledge) { self.end() }
    }

    /// The fence that a step asked for stands.
    package mutating func fenced() {
        let pledge = self.terms?.pledge ?? self.owed
        self.end()
        self.owed = pledge
    }

    /// Whether the server may be started as the leader for `pledge`: its list may be opened again before anybody looks.
    package func mayLead(_ pledge: Pledge, at now: Moment) -> Bool {
        self.owed?.claim != pledge.claim && (self.terms?.pledge.claim != pledge.claim || self.isHeld(at: now))
    }

    /// Another life of the host: its clock began anew.
    package mutating func restarted() {
        self.heldUntil = nil
        self.asked = nil
    }

    private mutating func end() { self = LeaderLease() }

    private mutating func extend(to end: Moment) { self.heldUntil = max(self.heldUntil ?? end, end) }

    package mutating func tick(at now: Moment) -> Step {
        guard let terms = self.terms else { return .wait(until: nil) }
        guard let heldUntil = self.heldUntil, let fenceAt = self.fenceAt(terms), now < fenceAt else { return .fence }
        let askAt = max(heldUntil - terms.length / 2, (self.asked ?? .origin) + terms.length / 10)
        guard now >= askAt else { return .wait(until: min(askAt, fenceAt)) }
        self.asked = now
        self.missing = Set(terms.voters)
        return .ask(terms.voters, terms, stamp: now)
    }

    /// `voter` vouches for what was asked at `stamp`; only the last question counts.
    package mutating func vouched(_ voter: NodeName, for pledge: Pledge, stamp: Moment) {
        guard let terms = self.terms, terms.pledge == pledge, self.asked == stamp else { return }
        self.missing.remove(voter)
        if self.missing.isEmpty { self.extend(to: stamp + terms.length) }
    }

    /// Whether a server that holds `held` vouches for the leader under `pledge`: it was sealed for nobody else since.
    /// Whoever holds no pledge may have forgotten one, and vouches for nobody.
    package static func vouches(_ held: Pledge?, for pledge: Pledge) -> Bool {
        if DecisionFaults.isOn(.sealedVouch) { return true }
        guard let held else { return false }
        return held.claim == pledge.claim || held.number.term < pledge.number.term
    }
}
