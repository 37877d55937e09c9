import PGHACore
import Testing

@Suite struct FailoverTests {
    private func started(_ state: ClusterState) -> (Failover, Effects) {
        var machine = Failover(claiming: state, kind: .automatic, reason: "test", nonce: 5, at: at(0))
        let first = machine.begin(at: at(0))
        #expect(first.persist?.state.term == state.term.next)
        #expect(first.send.isEmpty)
        let effects = machine.handle(.stored, at: at(1))
        return (machine, effects)
    }

    private func answer(
        _ machine: inout Failover, _ name: String, _ command: NodeCommand, _ outcome: NodeOutcome, at time: Int64
    ) -> Effects { machine.handle(.answered(node(name), command, outcome), at: at(time)) }

    @Test func nothingIsAskedBeforeTheClaimIsStored() {
        let (_, effects) = self.started(steady(["a", "b", "c"]))
        #expect(effects.orders == ["reclaim a", "seal b", "seal c"])
    }

    @Test func theWholeWayFromTheClaimToTheNewRule() {
        var (machine, _) = self.started(steady(["a", "b", "c"]))
        let pledge = machine.pledge
        _ = self.answer(&machine, "b", .seal(pledge), .sealed(position(end: 100)), at: 2)
        var effects = self.answer(&machine, "c", .seal(pledge), .sealed(position(end: 90)), at: 3)
        #expect(effects.orders == ["read_position b", "read_position c"])
        _ = self.answer(&machine, "b", .readPosition(pledge), .sealed(position(end: 100)), at: 4)
        effects = self.answer(&machine, "c", .readPosition(pledge), .sealed(position(end: 90)), at: 5)
        #expect(effects.persist?.state.openRules.map(\.leader) == [node("a"), node("b")])
        #expect(effects.send.isEmpty)
        effects = machine.handle(.stored, at: at(6))
        #expect(effects.orders == ["promote b", "follow c"])
        // A claim is version 0, its rule version 1: a store from before the record can tell them apart.
        let recorded = machine.pledge
        #expect((pledge.number.version, recorded.number.version) == (0, 1))
        effects = self.answer(
            &machine, "b", .promote(recorded), .promoted(position([(1, 100)], on: 2, end: 110)), at: 7)
        #expect(effects.persist?.state.timelines.last?.timeline == TimelineID(2))
        #expect(effects.orders == ["write_term_row b"])
        guard let row = effects.command(to: "b"), let name = machine.plan?.names[node("c")] else {
            Issue.record("no row")
            return
        }
        _ = machine.handle(.stored, at: at(8))
        _ = self.answer(&machine, "b", row, .wrote(LSN(120)), at: 9)
        effects = self.answer(&machine, "b", .readSenders(recorded), .senders([sender(name, flushed: 119)]), at: 10)
        #expect(machine.phase == .attaching)
        effects = machine.handle(.tick, at: at(14))
        effects = self.answer(&machine, "b", .readSenders(recorded), .senders([sender(name, flushed: 120)]), at: 15)
        #expect(machine.phase == .opening)
        guard let list = effects.command(to: "b") else {
            Issue.record("no list")
            return
        }
        effects = self.answer(&machine, "b", list, .done, at: 21)
        #expect(effects.persist?.state.openRules.count == 1)
        #expect(effects.persist?.state.procedure == nil)
        #expect(effects.persist?.state.displaced == [node("a")])
        _ = machine.handle(.stored, at: at(22))
        #expect(machine.progress == .finished)
    }

    @Test func aPositionThatMovedIsReadAgainBeforeAnythingIsRecorded() {
        var (machine, _) = self.started(steady(["a", "b", "c"]))
        let pledge = machine.pledge
        _ = self.answer(&machine, "b", .seal(pledge), .sealed(position(end: 100)), at: 2)
        _ = self.answer(&machine, "c", .seal(pledge), .sealed(position(end: 90)), at: 3)
        _ = self.answer(&machine, "b", .readPosition(pledge), .sealed(position(end: 100)), at: 4)
        let effects = self.answer(&machine, "c", .readPosition(pledge), .sealed(position(end: 130)), at: 5)
        #expect(effects.persist == nil)
        #expect(effects.orders.contains("read_position c"))
    }

    @Test func oneFollowerOfThreeMembersIsNotEnough() {
        var (machine, _) = self.started(steady(["a", "b", "c"]))
        let effects = self.answer(&machine, "b", .seal(machine.pledge), .sealed(position(end: 100)), at: 2)
        #expect(effects.persist == nil)
        #expect(machine.blockedReason?.contains("could still acknowledge") ?? true)
        #expect(machine.phase == .sealing)
    }

    /// DESIGN 5.7: a and b hold X; a dies; b is recorded with {b, c}; b dies before c attached. c alone satisfies
    /// b's rule, and not a's: it must not lead.
    @Test func aRecordedTermThatWasNeverOpenedDoesNotForgetTheRuleBefore() {
        var state = steady(["a", "b", "c"])
        state.term = Term(2)
        state.openRules.append(rule("b", ["b", "c"], copies: 2, term: 2, nonce: 9))
        var machine = Failover(claiming: state, kind: .automatic, reason: "b died", nonce: 5, at: at(0))
        _ = machine.begin(at: at(0))
        _ = machine.handle(.stored, at: at(1))
        let pledge = machine.pledge
        let effects = self.answer(&machine, "c", .seal(pledge), .sealed(position(end: 90)), at: 2)
        #expect(effects.persist == nil)
        #expect(machine.phase == .sealing)
        // b comes back with X, and is sealed: now everything durable is known.
        _ = self.answer(&machine, "b", .reclaim(pledge), .failed(.isStandby), at: 3)
        _ = machine.handle(.tick, at: at(200))
        _ = self.answer(&machine, "b", .seal(pledge), .sealed(position(end: 100)), at: 201)
        #expect(machine.phase == .rereading([node("b"), node("c")]))
    }

    @Test func aStoppedFollowerIsStartedBeforeItIsSealed() {
        var (machine, _) = self.started(steady(["a", "b", "c"]))
        let pledge = machine.pledge
        _ = self.answer(&machine, "b", .seal(pledge), .failed(.unreachable("refused")), at: 2)
        var effects = machine.handle(.tick, at: at(100))
        #expect(effects.orders == ["start_standby b"])
        effects = self.answer(&machine, "b", .startStandby(pledge), .done, at: 300)
        #expect(effects.orders == ["seal b"])
    }

    @Test func aFencedLeaderOfUnknownPositionIsStartedAsAStandbyToBeRead() {
        var (machine, _) = self.started(steady(["a", "b", "c"]))
        let pledge = machine.pledge
        _ = self.answer(&machine, "a", .reclaim(pledge), .failed(.unreachable("refused")), at: 2)
        var effects = machine.handle(.tick, at: at(100))
        #expect(effects.orders == ["fence a"])
        effects = self.answer(&machine, "a", .fence(pledge, clean: false), .fenced(nil), at: 110)
        #expect(effects.orders == ["start_standby a"])
    }

    @Test func aNewerPledgeThanThisStoreGaveOutStopsEverything() {
        var (machine, _) = self.started(steady(["a", "b", "c"]))
        let newer = rule("b", ["b"], copies: 1, term: 9, nonce: 3).pledge
        let effects = self.answer(&machine, "b", .seal(machine.pledge), .failed(.refused(holding: newer)), at: 2)
        #expect(machine.progress == .storeIsOlder(holding: newer))
        #expect(effects.send.isEmpty)
    }

    @Test func aCandidateThatCannotBePromotedIsLeftForANewClaim() {
        var state = steady(["a", "b", "c"])
        let next = rule("b", ["b", "c"], copies: 2, term: 2, nonce: 9)
        state.term = Term(2)
        state.openRules.append(next)
        state.procedure = .promoting(rule: next, reason: "test")
        var machine = Failover(finishing: next, reason: "test", state: state, at: at(0))
        #expect(machine.begin(at: at(0)).orders.first == "promote b")
        for attempt in 1...5 {
            let time = Int64(attempt) * 5000
            _ = machine.handle(.tick, at: at(time))
            _ = self.answer(&machine, "b", .promote(machine.pledge), .failed(.unreachable("gone")), at: time + 1)
        }
        guard case .failed(_, let exclude) = machine.progress else {
            Issue.record("\(machine.progress)")
            return
        }
        #expect(exclude == node("b"))
    }
}

@Suite struct RuleChangeTests {
    @Test func aChangePassesThroughTheMarkerAndIsConfirmedByAFlushOfTheNewList() {
        let state = steady(["a", "b", "c"])
        let (b, c) = (ReplicationName(node: node("b"), suffix: 1), ReplicationName(node: node("c"), suffix: 1))
        var machine = RuleChange(state, cohort: [node("a"), node("b")], copies: 2, reason: "c left", at: at(0))
        #expect(machine.begin(at: at(0)).persist?.state.openRules.count == 2)
        var effects = machine.handle(.stored, at: at(1))
        let pledge = machine.target.pledge
        #expect(effects.command(to: "a") == .setSyncList(pledge, .marked(1, [b])))
        effects = machine.handle(.answered(node("a"), .setSyncList(pledge, .marked(1, [b])), .done), at: at(2))
        #expect(effects.orders == ["read_senders a"])
        // c's walsender still has the old list: it could release a commit that b lacks.
        let old = [sender(b, flushed: 10, priority: 2), sender(c, flushed: 10, priority: 1)]
        _ = machine.handle(.answered(node("a"), .readSenders(pledge), .senders(old)), at: at(3))
        #expect(machine.phase == .markerSeen)
        _ = machine.handle(.tick, at: at(10))
        let marked = [sender(b, flushed: 10, priority: 2), sender(c, flushed: 10, priority: 0)]
        _ = machine.handle(.answered(node("a"), .readSenders(pledge), .senders(marked)), at: at(11))
        effects = machine.handle(.tick, at: at(20))
        #expect(effects.command(to: "a") == .setSyncList(pledge, .any(1, [b])))
    }

    /// The leader was started in place meanwhile, with the fence: no walsender would ever show the marker.
    @Test func aListThatDoesNotShowIsSetAgain() {
        var machine = RuleChange(
            steady(["a", "b", "c"]), cohort: [node("a"), node("b")], copies: 2, reason: "c left", at: at(0))
        _ = machine.begin(at: at(0))
        let order = machine.handle(.stored, at: at(1)).command(to: "a")
        guard let order else {
            Issue.record("no order")
            return
        }
        _ = machine.handle(.answered(node("a"), order, .done), at: at(2))
        let fenced = [sender(ReplicationName(node: node("b"), suffix: 1), flushed: 10, priority: 0)]
        _ = machine.handle(.answered(node("a"), .readSenders(machine.target.pledge), .senders(fenced)), at: at(3))
        #expect(machine.phase == .markerSeen)
        _ = machine.handle(.tick, at: at(1010))
        _ = machine.handle(.answered(node("a"), .readSenders(machine.target.pledge), .senders(fenced)), at: at(1011))
        #expect(machine.phase == .marking)
        #expect(machine.handle(.tick, at: at(1020)).command(to: "a") == order)
    }

    /// b went while c was leaving: with nobody else in the new rule it would wait for ever.
    @Test func aChangeThatNobodyConfirmsIsGivenUpForAHigherVersion() {
        var walk = Walk(
            RuleChange(
                steady(["a", "b", "c"]), cohort: [node("a"), node("b")], copies: 2, reason: "c left", at: at(0)))
        walk.stored()
        for outcome: NodeOutcome in [.done, .senders([]), .done, .senders([]), .wrote(LSN(120))] {
            walk.wait(10)
            walk.answer("a", outcome)
        }
        walk.answer("a", .senders([]))
        #expect(walk.machine.progress == .running)
        walk.wait(10_000)
        walk.answer("a", .senders([]))
        guard case .failed(_, exclude: nil) = walk.machine.progress else {
            Issue.record("\(walk.machine.progress)")
            return
        }
        // The rule stays open: its list may be in force.
        #expect(walk.machine.state.openRules.count == 2)
    }

    @Test func leavingOneCopyPutsUpTheFenceFirst() {
        var state = steady(["a", "b"])
        let alone = rule("a", ["a"], copies: 1, version: 3)
        state.rule = alone
        state.openRules = [alone]
        var machine = RuleChange(state, cohort: [node("a"), node("b")], copies: 2, reason: "b joined", at: at(0))
        _ = machine.begin(at: at(0))
        let effects = machine.handle(.stored, at: at(1))
        #expect(effects.command(to: "a") == .setSyncList(machine.target.pledge, .fence))
        #expect(machine.target.number.version == 4)
    }
}

/// What a change of rule may do in one step.
@Suite struct RuleStepTests {
    private func step(_ rules: [Rule], _ cohort: [String], _ copies: Int) -> String {
        let step = rules.onTheWay(to: cohort.map(node), copies: copies)
        return "\(step.copies) of \(step.cohort.map(\.text).sorted().joined())"
    }

    /// A walsender that still has the old number counts a new member, whom the new number alone would not look for.
    @Test func moreCopiesAndOtherMembersComeOneAfterTheOther() {
        #expect(self.step([rule("b", ["b", "c"], copies: 2)], ["a", "b", "c"], 3) == "2 of abc")
        #expect(self.step([rule("b", ["a", "b", "c"], copies: 2)], ["a", "b", "c"], 3) == "3 of abc")
        #expect(self.step([rule("a", ["a", "b", "c", "d"], copies: 3)], ["a", "c", "d", "e"], 3) == "3 of abcde")
        // One with the new number may count the one that leaves.
        #expect(self.step([rule("a", ["a", "b", "c"], copies: 3)], ["a", "b"], 2) == "2 of abc")
    }

    @Test func whatOneOfTheRulesLooksForGoesAtOnce() {
        #expect(self.step([rule("a", ["a", "b"], copies: 2)], ["a", "b", "c"], 2) == "2 of abc")
        #expect(self.step([rule("a", ["a", "b", "c"], copies: 2)], ["a", "b"], 2) == "2 of ab")
        #expect(self.step([rule("a", ["a", "b", "c"], copies: 3)], ["b", "a", "c"], 2) == "2 of abc")
        #expect(self.step([rule("a", ["a", "b", "c"], copies: 2)], ["a"], 1) == "1 of a")
        // Each rule of two reads all of its own.
        #expect(self.step([rule("a", ["a", "b"], copies: 2)], ["a", "c"], 2) == "2 of ac")
    }

    @Test func aChangeIsRecordedAsItsFirstStep() {
        var state = steady(["a", "b", "c"], copies: 3)
        let two = rule("a", ["a", "b"], copies: 2)
        (state.rule, state.openRules) = (two, [two])
        let machine = RuleChange(state, cohort: ["a", "b", "c"].map(node), copies: 3, reason: "c joined", at: at(0))
        #expect(machine.target.copies == 2)
        #expect(machine.target.cohort == ["a", "b", "c"].map(node))
    }
}

@Suite struct CoordinatorTests {
    private func code(_ coordinator: inout Coordinator, _ request: OperatorRequest) -> String? {
        if case .failure(let refusal) = coordinator.request(request, at: at(10)) { return refusal.code }
        return nil
    }

    @Test func requestsAreRefusedWithAReason() {
        var empty = Coordinator(seed: 1, at: at(0))
        _ = empty.handle(.loaded(nil), at: at(0))
        #expect(self.code(&empty, .switchover(target: nil)) == "no_cluster")
        #expect(self.code(&empty, .pause(true)) == "no_cluster")
        var coordinator = Coordinator(seed: 1, at: at(0))
        _ = coordinator.handle(.loaded(steady(["a", "b", "c"])), at: at(0))
        #expect(self.code(&coordinator, .initialize(spec(["a"]))) == "cluster_exists")
        #expect(self.code(&coordinator, .failover(target: node("x"), force: false)) == "unknown_node")
        #expect(self.code(&coordinator, .failover(target: node("a"), force: false)) == "invalid")
        #expect(self.code(&coordinator, .switchover(target: nil)) == "not_ready")
        #expect(self.code(&coordinator, .removeNode(node("a"))) == "invalid")
        #expect(self.code(&coordinator, .rejoin(node("a"), discard: true)) == "invalid")
        #expect(self.code(&coordinator, .addNode(NodeSpec(name: node("d"), host: "b", port: 5432))) == "invalid")
    }

    @Test func aRestartedControllerDoesNotActBeforeItHasEvidence() {
        var coordinator = Coordinator(seed: 1, at: at(0))
        #expect(coordinator.handle(.loaded(steady(["a", "b", "c"])), at: at(0)).send.isEmpty)
        for time in stride(from: Int64(100), to: 3000, by: 100) {
            #expect(coordinator.handle(.tick, at: at(time)).persist == nil)
        }
    }

    @Test func aRecordedPromotionIsFinishedByTheNextController() {
        var state = steady(["a", "b", "c"])
        let next = rule("b", ["b", "c"], copies: 2, term: 2, nonce: 9)
        state.term = Term(2)
        state.openRules.append(next)
        state.procedure = .promoting(rule: next, reason: "test")
        var coordinator = Coordinator(seed: 1, at: at(0))
        #expect(coordinator.handle(.loaded(state), at: at(0)).orders.first == "promote b")
    }

    @Test func aClaimThatWasInterruptedIsTakenAnew() {
        var state = steady(["a", "b", "c"])
        state.term = Term(2)
        state.procedure = .sealing(claim: Claim(term: Term(2), nonce: 3), reason: "x", planned: nil, forced: false)
        var coordinator = Coordinator(seed: 1, at: at(0))
        #expect(coordinator.handle(.loaded(state), at: at(0)).persist == nil)
        for name in ["a", "b"] {
            let effects = coordinator.handle(.probed(node(name), .failure(.refused), began: at(1)), at: at(2))
            #expect(effects.persist == nil)
        }
        #expect(coordinator.status(at: at(2)).phase == "sealing")
        let effects = coordinator.handle(.probed(node("c"), .success(standby(at: 100)), began: at(1)), at: at(3))
        #expect(effects.persist?.state.term == Term(3))
    }

    @Test func aClaimThatWasInterruptedDoesNotWaitLongForWhoIsNotHeard() {
        var state = steady(["a", "b", "c"])
        state.term = Term(2)
        state.procedure = .sealing(claim: Claim(term: Term(2), nonce: 3), reason: "x", planned: nil, forced: true)
        var coordinator = Coordinator(seed: 1, at: at(0))
        let patience = state.spec.timings.confirmAfter
        #expect(coordinator.handle(.loaded(state), at: at(0)).wakeAt == .origin + patience)
        guard case .failure(let refusal) = coordinator.request(.failover(target: nil, force: false), at: at(1)) else {
            Issue.record("a second claim was made of it")
            return
        }
        #expect(refusal.code == "busy")
        let claim = coordinator.handle(.tick, at: .origin + patience).persist?.state
        #expect(claim?.term == Term(3))
        guard case .sealing(_, _, _, forced: true) = claim?.procedure else {
            Issue.record("what the operator accepted was forgotten: \(String(describing: claim?.procedure))")
            return
        }
    }
}
