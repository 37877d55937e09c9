extension Failover {
    /// The leaders that may still be acknowledging: of the open rules, the current one's first.
    var oldLeaders: Set<NodeName> { Set(self.state.openRules.map(\.leader)) }

    mutating func sealAnswered(_ node: NodeName, _ command: NodeCommand, _ outcome: NodeOutcome, at now: Moment) {
        self.noteForked(node, outcome)
        switch outcome {
        case .sealed(let position):
            self.sealed(node, position, again: command == .readPosition(self.pledge), at: now)
        case .reclaimed(let position):
            // A running primary with the fence. Its position may still move, so it is not read again.
            self.members[node] = Member(position: position, way: .already)
            self.holdsStill(node, position: position, at: now)
        case .fenced(let position):
            self.evidence.fenced.insert(node)
            self.fencedSince[node] = self.fencedSince[node] ?? now
            self.members[node] = Member(position: position, way: position == nil ? nil : .start)
            self.members[node]?.isStopped = true
            self.holdsStill(node, position: position, at: now)
        case .failed(let failure):
            self.members[node, default: Member()].lastFailure = failure
            self.members[node]?.isStopped = false
            if case .unreachable = failure, case .seal = command { self.members[node]?.isStopped = true }
            self.orders.failed(node, at: now)
            if case .readPosition = command { self.lose(node) }
            return
        case .done:
            if case .startStandby = command {
                self.members[node] = Member()
                self.evidence.read.remove(node)
                self.evidence.leaderRead.remove(node)
            }
        case .promoted, .wrote, .senders, .initialized: break
        }
        self.orders.succeeded(node)
    }

    /// A server that was promoted by hand may have picked the id, at the very fork, of a timeline that it was to follow.
    private mutating func noteForked(_ node: NodeName, _ outcome: NodeOutcome) {
        switch outcome {
        case .failed(.isPrimary):
            if !self.oldLeaders.contains(node), !self.state.displaced.contains(node) {
                self.promotedByHand.insert(node)
            }
        case .sealed(let position), .reclaimed(let position), .fenced(.some(let position)):
            guard self.promotedByHand.contains(node) else { return }
            self.state.timelines.disown(
                position.history.timeline, of: node, among: self.state.spec.nodes.map(\.name))
        case .done, .promoted, .wrote, .senders, .fenced(nil), .initialized, .failed: break
        }
    }

    /// A server that runs as a primary, or not at all, and holds this claim's pledge acknowledges for nobody else:
    /// in a rule that counts it as a follower it is as good as sealed.
    private mutating func holdsStill(_ node: NodeName, position: WALPosition?, at now: Moment) {
        self.noteSealed(node, at: now)
        guard position != nil else { return }
        self.evidence.read.insert(node)
        self.evidence.leaderRead.insert(node)
    }

    private mutating func noteSealed(_ node: NodeName, at now: Moment) {
        self.evidence.sealed.insert(node)
        self.evidence.sealedSince[node] = self.evidence.sealedSince[node] ?? now
    }

    private mutating func sealed(_ node: NodeName, _ position: WALPosition, again: Bool, at now: Moment) {
        let moved = again && self.members[node]?.position != position
        self.members[node] = Member(position: position, way: .promote)
        self.noteSealed(node, at: now)
        self.evidence.read.insert(node)
        guard case .rereading(var rest) = self.phase, again else { return }
        rest.remove(node)
        self.phase = moved ? .sealing : .rereading(rest)
    }

    /// A position that cannot be read again does not count. The seal itself is durable and stays.
    private mutating func lose(_ node: NodeName) {
        self.members[node]?.position = nil
        self.evidence.read.remove(node)
        self.evidence.leaderRead.remove(node)
        self.phase = .sealing
    }

    mutating func advanceSealing(at now: Moment, _ effects: inout Effects) {
        switch self.phase {
        case .handingOver(let until):
            if self.oldLeaders.isSubset(of: self.evidence.fenced) || now >= until { self.phase = .sealing }
            effects.wake(at: until)
        case .rereading(let rest):
            guard rest.isEmpty else { return }
            guard let chosen = self.choose(at: now, &effects) else {
                self.phase = .sealing
                return
            }
            self.record(chosen, at: now, &effects)
        case .sealing:
            if DecisionFaults.isOn(.switchoverWithoutSealing), let candidate = self.handedOver() {
                self.record(candidate, at: now, &effects)
                return
            }
            guard let chosen = self.choose(at: now, &effects) else { return }
            let again = self.members.filter { $0.value.way == .promote && $0.value.position != nil }.map(\.key)
            if again.isEmpty {
                self.record(chosen, at: now, &effects)
            } else {
                self.phase = .rereading(Set(again))
            }
        case .claiming, .draining, .recording, .promoting, .attaching, .opening, .closing, .finished: break
        }
    }

    mutating func sendSealingOrders(at now: Moment, _ effects: inout Effects) {
        switch self.phase {
        case .handingOver:
            for leader in self.oldLeaders.sorted() where !self.evidence.fenced.contains(leader) {
                self.orders.send(.fence(self.pledge, clean: true), to: leader, at: now, &effects)
            }
        case .rereading(let rest):
            for node in rest.sorted() { self.orders.send(.readPosition(self.pledge), to: node, at: now, &effects) }
        case .sealing:
            for node in self.state.spec.nodes.map(\.name) {
                // A leader that was stopped cleanly can hold a copy only when it runs, as a standby.
                if self.needsMoreCopies, self.members[node]?.way == .start {
                    self.orders.send(.startStandby(self.pledge), to: node, at: now, &effects)
                } else if self.members[node]?.position == nil {
                    self.orders.send(self.sealingOrder(for: node), to: node, at: now, &effects)
                }
            }
        case .claiming, .draining, .recording, .promoting, .attaching, .opening, .closing, .finished: break
        }
    }

    /// A standby is sealed, and started for it when it does not run. A server that leads, or turns out to be a
    /// primary, is reclaimed where it runs, or fenced through its agent and then started as a standby. The ways take
    /// turns, since it is not known which is open.
    private func sealingOrder(for node: NodeName) -> NodeCommand {
        let member = self.members[node] ?? Member()
        let hasAgent = self.state.spec[node]?.agent != nil
        let turn = self.orders.failureCount(node) % 2 == 1
        if case .adopt(let leader) = self.kind, node == leader {
            return hasAgent && turn ? .startLeader(self.pledge) : .reclaim(self.pledge)
        }
        let isFenced = self.evidence.fenced.contains(node)
        let leads = self.oldLeaders.contains(node) && !isFenced && member.lastFailure != .isStandby
        guard leads || member.lastFailure == .isPrimary else {
            return hasAgent && member.isStopped ? .startStandby(self.pledge) : .seal(self.pledge)
        }
        // A dead process is found at once by its agent; a live one keeps its clients when it is reclaimed.
        let fenceFirst: Bool
        switch self.kind {
        case .automatic, .adopt: fenceFirst = false
        case .requested, .planned: fenceFirst = true
        }
        return hasAgent && (fenceFirst || turn) ? .fence(self.pledge, clean: false) : .reclaim(self.pledge)
    }
}
