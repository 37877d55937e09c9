/// Which standby answers the next read.
///
/// Intuition: of two that are drawn, take the less loaded (Mitzenmacher, "The Power of Two Choices in Randomized Load
/// Balancing"): nearly as even as asking all of them, and no herd runs to the one that was idle at the last look. Lag
/// counts as load, up to the limit beyond which a standby is no choice at all.
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

        package init(
            lagBytes: UInt64 = 16 << 20, lagSeconds: Double = 10, usesLeader: Bool = true,
            ejection: Duration = .seconds(1)
        ) {
            self.lagBytes = lagBytes
            self.lagSeconds = lagSeconds
            self.usesLeader = usesLeader
            self.ejection = ejection
        }
    }

    package enum Choice: Hashable, Sendable {
        case standby(NodeName)
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
        if let until = self.ejectedUntil[node.name], now < until { return false }
        if self.limits.lagBytes > 0, let lag = node.lagBytes, lag > self.limits.lagBytes { return false }
        if self.limits.lagSeconds > 0, let lag = node.lagSeconds, lag > self.limits.lagSeconds { return false }
        return true
    }

    /// `random` is drawn afresh for each choice; `load`: transactions that run there or wait for it.
    package func choose(
        _ topology: PoolTopology, at now: Moment, random: UInt64, load: (NodeName) -> Int
    ) -> Choice {
        let eligible = topology.standbys.filter { self.isEligible($0, at: now) }
        guard !eligible.isEmpty else { return self.limits.usesLeader && topology.leader != nil ? .leader : .none }
        let first = eligible[Int(random % UInt64(eligible.count))]
        guard eligible.count > 1 else { return .standby(first.name) }
        // Another one than the first, each equally likely.
        let step = 1 + Int((random >> 32) % UInt64(eligible.count - 1))
        let second = eligible[(Int(random % UInt64(eligible.count)) + step) % eligible.count]
        return .standby(self.weight(second, load) < self.weight(first, load) ? second.name : first.name)
    }

    /// A standby at its lag limit counts as twice as loaded as one without lag.
    private func weight(_ node: PoolTopology.Node, _ load: (NodeName) -> Int) -> Double {
        let limit = Double(max(self.limits.lagBytes, 1))
        return Double(load(node.name) + 1) * (1 + min(Double(node.lagBytes ?? 0) / limit, 1))
    }
}
