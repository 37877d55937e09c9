/// What a choice asks for beyond the open rules where leaders acknowledge alone: mode `async`.
extension Failover {
    /// Whether acknowledged commits may be on an old leader alone.
    var hasLeases: Bool { self.state.openRules.contains { $0.lease != nil } }

    /// A change of leader keeps the mode of the rule before: only a leader that is healthy changes it.
    var leaseInForce: Duration? { self.state.rule.map(\.lease) ?? self.state.spec.lease }
    var copiesWanted: Int { self.leaseInForce == nil ? self.state.spec.durability.copies : 1 }

    /// A fenced leader holds commits that nobody else has: its end is read before another is promoted in its place, unless
    /// that takes longer than a server may take to start.
    mutating func awaitsLeasedLeader(at now: Moment, _ effects: inout Effects) -> Bool {
        let patience = self.state.spec.timings.startPatience
        for rule in self.state.openRules where rule.lease != nil && self.members[rule.leader]?.position == nil {
            guard let since = self.fencedSince[rule.leader], now < since + patience else { continue }
            self.blockedReason = "waiting for the end of \(rule.leader)'s WAL, which may hold the latest commits"
            effects.wake(at: since + patience)
            return true
        }
        return false
    }

    /// Whether `chosen` must not lead yet for a reason that only leases give: alone it could not be replaced any more, or
    /// it lacks too much. Sets what is to be announced otherwise.
    mutating func isKeptFromLease(
        _ chosen: NodeName, _ cohort: [NodeName], at now: Moment, _ effects: inout Effects
    ) -> Bool {
        self.loss = []
        if self.leaseInForce != nil, cohort.count < 2, self.isUnheard(besides: cohort, at: now) {
            self.blockedReason = "waiting for the other servers to answer"
            effects.wake(at: self.started + Self.answerTime)
            return true
        }
        guard self.hasLeases else { return false }
        let (parts, obstacle) = self.possibleLoss(chosen, at: now)
        if let obstacle {
            self.blockedReason = obstacle
            return true
        }
        self.loss = parts
        return false
    }

    /// What `chosen` lacks of each leader that acknowledged alone, and why it may not lead because of that.
    func possibleLoss(_ chosen: NodeName, at now: Moment) -> (parts: [PossibleLoss.Part], obstacle: String?) {
        guard let position = self.members[chosen]?.position else { return ([], nil) }
        if DecisionFaults.isOn(.lossUnannounced) { return ([], nil) }
        let ancestry = Ancestry(self.state.timelines)
        let limit = self.state.spec.timings.maxLagBytes
        // Several may stand in the way: the last that is found is told.
        var parts: [PossibleLoss.Part] = []
        var obstacle: String?
        for rule in self.state.openRules where rule.lease != nil && rule.leader != chosen {
            // Without a timeline in the store it was never told to acknowledge anything.
            let from: LSN
            var isApart = false
            switch ancestry.shared(with: rule.number.term, position, of: chosen) {
            case .nothingWritten: continue
            case .along(let end): from = end
            case .apart(let end): (from, isApart) = (end, true)
            }
            if let end = self.members[rule.leader]?.position?.end {
                let bytes = end.bytesAhead(of: from)
                if bytes > 0 { parts.append(.init(leader: rule.leader, from: from, bytes: bytes, unseen: .zero)) }
                continue
            }
            guard let sight = self.sights[rule.leader] else {
                obstacle =
                    "this controller never saw \(rule.leader) lead, so nobody can say what \(chosen) lacks: start "
                    + "\(rule.leader), or force the failover"
                continue
            }
            let bytes = sight.end.bytesAhead(of: from)
            parts.append(.init(leader: rule.leader, from: from, bytes: bytes, unseen: now - sight.began))
            if isApart {
                // Two timelines of one id and one beginning: a server that followed the one would go on along the other.
                obstacle =
                    "\(chosen) has nothing of what \(rule.leader) wrote since it leads, nor has anybody else that answers"
            }
            if bytes > limit, !DecisionFaults.isOn(.lagIgnored) {
                obstacle =
                    "\(chosen) lacks \(bytes) bytes of WAL that \(rule.leader) was seen with, and max_lag_bytes is "
                    + "\(limit)"
            }
        }
        return (parts, obstacle)
    }

    /// Data loss may be accepted, two leaders at once are not: the lease is waited for when its end is known.
    mutating func waitsForLeaseEnd(_ chosen: NodeName, at now: Moment, _ effects: inout Effects) -> Bool {
        let running = self.state.openRules.flatMap { $0.missing(self.evidence, chosen: chosen, at: now) }.filter {
            if case .leaseRuns = $0 { true } else { false }
        }
        guard case .leaseRuns(let leader, _)? = running.first else { return false }
        self.blockedReason = "the lease of \(leader) is not over yet"
        self.wakeAtLeaseEnd(running, &effects)
        return true
    }

    func wakeAtLeaseEnd(_ missing: [Rule.Missing], _ effects: inout Effects) {
        for case .leaseRuns(_, let until) in missing { effects.wake(at: until) }
    }

    func whyLeaseLasts(_ leader: NodeName) -> String {
        self.evidence.unguarded.contains(leader)
            ? "the agent of \(leader) was gone before the server was, so nobody may have ended its lease"
            : "the lease of \(leader) lasts until one of its followers is sealed, or it is fenced"
    }

    var lossInWords: String { self.state.loss.map { "; it may lack \($0.words)" } ?? "" }
}
