/// Mode `async`: the leader acknowledges alone while its agent holds a lease, which the leading controller renews.
extension Coordinator {
    /// How the leaders of rules with a lease were last seen, for the loss that a failover must announce.
    var sightsOfLeaders: [NodeName: LeaderSight] {
        let leaders = Set(self.state?.openRules.filter { $0.lease != nil }.map(\.leader) ?? [])
        return self.sights.filter { leaders.contains($0.key) }
    }

    /// Sends the leader's agent its newest stamp back. The lease counts from the stamp, so a late renewal extends nothing.
    mutating func renewLease(at now: Moment, _ effects: inout Effects) {
        guard let (rule, open) = self.leaseToRenew, let facts = self.nodes[rule.leader]?.facts,
            let stamp = facts.leaseStamp
        else { return }
        if let renewed = self.renewedStamp, renewed == (rule.leader, stamp) { return }
        let newest = open.last { $0.claim == rule.claim } ?? rule
        var terms = LeaseTerms(open, leader: rule.leader, pledge: newest.pledge)
        if DecisionFaults.isOn(.growWithoutTerms), let held = facts.leaseTerms { terms?.voters = held.voters }
        if DecisionFaults.isOn(.openWithoutLease), facts.leaseTerms == nil { return }
        let isBound = facts.leaseTerms != nil || facts.leaseOwed == true
        guard terms != nil || isBound, !self.leaseOrders.isBusy(rule.leader) else { return }
        self.renewedStamp = (rule.leader, stamp)
        self.leaseOrders.send(.lease(newest.pledge, terms), to: rule.leader, at: now, &effects)
    }

    /// The leader to renew, and all rules that are open: while no successor of its is prepared, by this controller or by
    /// one before it, and for a new leader once it has its first lease.
    private var leaseToRenew: (Rule, [Rule])? {
        guard let state = self.state else { return nil }
        switch self.activity {
        case .bootstrap: return nil
        case .failover(let machine):
            switch machine.phase {
            case .opening where machine.isLeased, .closing:
                return machine.plan.map { ($0.rule, machine.state.openRules) }
            // A switchover stops its leader only after this.
            case .claiming, .draining:
                guard case .planned = machine.kind, state.procedure == nil || self.isOwnClaim(machine) else {
                    return nil
                }
            case .opening, .handingOver, .sealing, .rereading, .recording, .promoting, .attaching, .finished: return nil
            }
        case .idle, .preparing, .ruleChange:
            switch state.procedure {
            case nil, .changingRule: break
            case .bootstrap, .sealing, .promoting: return nil
            }
        }
        return state.rule.map { ($0, state.openRules) }
    }

    private func isOwnClaim(_ machine: Failover) -> Bool { self.state?.procedure?.claim == machine.claim }

    /// For the reason of a change of rule; nil when nothing changes.
    static func changeOfLease(from old: Duration?, to new: Duration?) -> String? {
        guard old != new else { return nil }
        return new.map { "the leader may acknowledge alone, under a lease of \($0.milliseconds) ms" }
            ?? "the leader no longer acknowledges alone"
    }

    /// An agent ends a leader's lease and vouches for another's: in mode `async` there is none without.
    func requireAgents(_ spec: ClusterSpec) throws(RequestRefusal) {
        guard spec.lease != nil, let node = spec.nodes.first(where: { $0.agent == nil }) else { return }
        throw RequestRefusal(
            "invalid", "durability mode async needs an agent beside every server, and \(node.name) has none",
            hint: "Give \(node.name) an agent, or use mode quorum.")
    }
}

extension ClusterSpec {
    /// Sealing makes a needless failover harmless in `quorum` only: under a lease, a standby that receives from the leader
    /// acquits it for as long as it does.
    var healthTimings: Timings {
        var timings = self.timings
        if self.lease != nil { timings.vetoMax = .seconds(1_000_000_000) }
        return timings
    }
}
