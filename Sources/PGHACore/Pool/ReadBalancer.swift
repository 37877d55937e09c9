/// Which standby answers the next read.
///
/// Intuition: of two that are drawn, take the less loaded (Mitzenmacher, "The Power of Two Choices in Randomized Load
/// Balancing"): nearly as even as asking all of them, and no herd runs to the one that was idle at the last look. Lag
/// counts as load, up to the limit beyond which a standby is no choice at all. Standbys of the pooler's own zone are
/// taken before all others, and the leader after all of them.
package struct ReadBalancer: Hashable, Sendable {
    package struct Limits: Hashable, Sendable {
        /// A standby that lacks more WAL than this is passed over. Bytes; 0: no limit.
        package var lagBytes: UInt64
        /// The same in seconds; 0: no limit.
        package var lagSeconds: Double
        /// With no standby to be had, reads go to the leader instead of waiting.
        package var usesLeader: Bool
        /// How long a standby is passed over whose connections broke.
        package var ejection: Duration
        /// Where the pooler stands; nil: all standbys are equally near.
        package var zone: String?
        /// How long a session waits for a standby that has replayed what it must see, before the leader answers.
        package var catchUp: Duration

        package init(
            lagBytes: UInt64 = 16 << 20, lagSeconds: Double = 10, usesLeader: Bool = true,
            ejection: Duration = .seconds(1), zone: String? = nil, catchUp: Duration = .milliseconds(50)
        ) {
            self.lagBytes = lagBytes
            self.lagSeconds = lagSeconds
            self.usesLeader = usesLeader
            self.ejection = ejection
            self.zone = zone
            self.catchUp = catchUp
        }
    }

    package enum Choice: Hashable, Sendable {
        /// The place among the topology's standbys.
        case standby(Int)
        case leader
        /// Nobody may be read from now.
        case none
    }

    package var limits: Limits
    private var ejectedUntil: [NodeName: Moment] = [:]

    package init(_ limits: Limits = Limits()) { self.limits = limits }

    /// Its connections broke, or could not be made.
    package mutating func failed(_ node: NodeName, at now: Moment) {
        self.ejectedUntil[node] = now + self.limits.ejection
    }

    package mutating func answered(_ node: NodeName) { self.ejectedUntil[node] = nil }

    /// Whether reads may go there. An unknown lag is no reason against it: the leader may just be unheard.
    package func isEligible(_ node: PoolTopology.Node, at now: Moment) -> Bool {
        if node.noRead { return false }
        if !self.ejectedUntil.isEmpty, let until = self.ejectedUntil[node.name], now < until { return false }
        if self.limits.lagBytes > 0, let lag = node.lagBytes, lag > self.limits.lagBytes { return false }
        if self.limits.lagSeconds > 0, let lag = node.lagSeconds, lag > self.limits.lagSeconds { return false }
        return true
    }

    /// `random` is drawn afresh for each choice. By a standby's place, `load` gives the transactions that run there or
    /// wait for it, and `fits` what else it must be.
    package func choose(
        _ topology: PoolTopology, at now: Moment, random: UInt64, load: (Int) -> Int,
        fits: (Int) -> Bool = { _ in true }
    ) -> Choice {
        let standbys = topology.standbys
        // Places as bits: no memory is taken for a choice. A cluster of more than 64 standbys uses the first 64.
        var eligible: UInt64 = 0
        var near: UInt64 = 0
        for place in 0..<min(standbys.count, 64) {
            guard self.isEligible(standbys[place], at: now), fits(place) else { continue }
            eligible |= 1 << UInt64(place)
            if let zone = self.limits.zone, standbys[place].zone == zone { near |= 1 << UInt64(place) }
        }
        if near != 0 { eligible = near }
        guard eligible != 0 else { return self.limits.usesLeader && topology.leader != nil ? .leader : .none }
        let count = UInt64(eligible.nonzeroBitCount)
        let first = Self.place(random % count, of: eligible)
        guard count > 1 else { return .standby(first) }
        // Another one than the first, each equally likely.
        let step = 1 + (random >> 32) % (count - 1)
        let second = Self.place((random % count + step) % count, of: eligible)
        let isSecondBetter = self.weight(standbys[second], load(second)) < self.weight(standbys[first], load(first))
        return .standby(isSecondBetter ? second : first)
    }

    /// The place of the bit with this number among those that are set.
    private static func place(_ number: UInt64, of bits: UInt64) -> Int {
        var bits = bits
        for _ in 0..<number { bits &= bits - 1 }
        return bits.trailingZeroBitCount
    }

    /// A standby at its lag limit counts as twice as loaded as one without lag.
    private func weight(_ node: PoolTopology.Node, _ load: Int) -> Double {
        let limit = Double(max(self.limits.lagBytes, 1))
        return Double(load + 1) * (1 + min(Double(node.lagBytes ?? 0) / limit, 1))
    }
}

extension ReadBalancer {
    /// What becomes of a read of a session that must see certain writes.
    package enum Plan: Hashable, Sendable {
        case go(Choice)
        /// It waits for the leader's answer to this sample, or a later one.
        case waitForSample(UInt64)
        /// It waits until a standby has replayed so far; those that might are asked.
        case waitForReplay(LSN)
    }

    /// `waited`: since the session began to wait for this read. Who has waited long enough is answered by the leader,
    /// which has it all; where it may not (`usesLeader`), the read waits on.
    package func plan(
        _ need: CausalSession.Need, _ book: ReplayBook, waited: Duration, usesLeader: Bool, _ topology: PoolTopology,
        at now: Moment, random: UInt64, load: (Int) -> Int
    ) -> Plan {
        let wait: Plan
        switch need {
        case .nothing: return .go(self.choose(topology, at: now, random: random, load: load))
        case .sample(let number): wait = .waitForSample(number)
        case .position(let position):
            let choice = self.choose(topology, at: now, random: random, load: load) {
                book.hasReplayed(topology.standbys[$0].name, position)
            }
            if case .standby = choice { return .go(choice) }
            wait = .waitForReplay(position)
        }
        let isHopeless = !topology.standbys.contains { self.isEligible($0, at: now) }
        if isHopeless || waited >= self.limits.catchUp {
            return usesLeader ? .go(.leader) : isHopeless ? .go(.none) : wait
        }
        return wait
    }
}
