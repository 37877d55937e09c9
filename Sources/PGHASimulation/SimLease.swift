import PGHACore

/// An agent's lease, its clock, and what it asks of the others.
final class SimLease {
    unowned let sim: Simulation
    let index: Int
    private(set) var value = LeaderLease()
    /// The next look is due then; an earlier one is replaced by a later one.
    private var round = 0
    private var isFencing = false

    init(_ index: Int, _ sim: Simulation) {
        self.index = index
        self.sim = sim
    }

    private var agent: SimAgent { self.sim.agents[self.index] }
    private var server: SimServer { self.sim.servers[self.index] }

    /// CLOCK_BOOTTIME of the host: no two begin together, and none runs quite right, by half a percent at most.
    var clock: Moment {
        let mix = (self.sim.options.seed &+ UInt64(self.index) &* 0x9E37_79B9) % 11
        let drift = Int64(mix) - 5
        let stood = self.sim.options.variant == .leaseByMonotonicClock ? self.server.frozenFor : 0
        let passed = self.sim.now - stood
        return Moment(.microseconds(passed + passed * drift / 1000 + Int64(self.index + 1) * .s(1000)))
    }

    func mayLead(_ pledge: Pledge) -> Bool { self.value.mayLead(pledge, at: self.clock) }
    /// The server may acknowledge alone for all that its agent knows.
    var isHeld: Bool { self.value.isHeld(at: self.clock) }
    func restarted() { self.value.restarted() }
    func stopped(for pledge: Pledge) { self.value.stopped(for: pledge) }

    func grant(_ terms: LeaseTerms, stamp: Moment) -> Bool {
        guard !self.isFencing else { return false }
        let now = self.clock
        let counted = self.sim.options.variant == .leaseFromArrival ? now : stamp
        let isHeld = self.value.grant(terms, stamp: counted, at: now)
        self.tick()
        return isHeld
    }

    func release(_ pledge: Pledge) -> Bool { self.value.release(pledge) }

    /// Does what is due, and looks again when the next is.
    func tick() {
        guard self.agent.isAlive else { return }
        self.round += 1
        let round = self.round
        let next: Int64
        switch self.value.tick(at: self.clock) {
        case .wait(until: nil): return
        case .wait(let until?):
            let left = (until - self.clock).components
            next = max(left.seconds * 1_000_000 + left.attoseconds / 1_000_000_000_000, 0) + 1
        case .ask(let voters, let terms, let stamp):
            for voter in voters { self.ask(voter, terms, stamp) }
            next = .ms(10)
        case .fence:
            self.fence()
            next = .ms(200)
        }
        self.agent.later(next) { [unowned self] in if self.round == round { self.tick() } }
    }

    /// `standby.signal` first. Ending every process takes a moment, and on a busy host more than that.
    private func fence() {
        guard !self.isFencing else { return }
        guard self.server.exists, self.server.process != .stopped else {
            if self.server.exists { self.server.standbySignal = true }
            self.value.fenced()
            return
        }
        self.sim.trace("a\(self.index)", "its lease is over: fences \(self.server.name)")
        self.isFencing = true
        self.server.standbySignal = true
        let agent = self.agent
        let life = agent.life
        self.sim.after(self.sim.chance(150) ? self.sim.between(.ms(100), .s(1)) : self.sim.between(.ms(2), .ms(30))) {
            [unowned self] in
            self.isFencing = false
            agent.ifAlive(life) { [unowned self] in
                self.server.kill()
                self.value.fenced()
            }
        }
    }

    private func ask(_ voter: NodeName, _ terms: LeaseTerms, _ stamp: Moment) {
        guard let other = self.sim.agents.first(where: { $0.name == voter }) else { return }
        let (place, life) = (Place.node(self.index), self.agent.life)
        self.sim.transmit(place, .node(other.index)) { [unowned self] in
            guard other.isAlive, other.isInSpec else { return }
            other.ifAlive(other.life) { [unowned self] in
                guard LeaderLease.vouches(other.held, for: terms.pledge) else { return }
                self.sim.transmit(.node(other.index), place) { [unowned self] in
                    self.agent.ifAlive(life) { [unowned self] in
                        self.value.vouched(voter, for: terms.pledge, stamp: stamp)
                        self.tick()
                    }
                }
            }
        }
    }
}

extension SimAgent {
    var name: NodeName { self.sim.servers[self.index].name }

    func renew(_ pledge: Pledge, _ terms: LeaseTerms?, stamp: Moment?) -> NodeOutcome {
        if let held = self.held, !held.mayBecome(pledge) { return .failed(.refused(holding: held)) }
        guard let terms else {
            return self.lease.release(pledge) ? .done : .failed(.other("it holds a lease of a newer rule"))
        }
        guard let stamp, self.lease.grant(terms, stamp: stamp) else {
            return .failed(.other("the renewal comes too late"))
        }
        return .done
    }
}
