import PGHACore
import Testing

/// Changes of leader in mode `async`: when the old leader has surely stopped, and what is said of what it had alone.
@Suite struct LeasedFailoverTests {
    /// Sealing begins at 1 ms; a was last seen with 5000 bytes, 200 ms before.
    private func started(
        _ kind: Failover.Kind = .automatic,
        sight: LeaderSight? = LeaderSight(
            end: LSN(5000), began: at(-200), agentHeard: at(-300)), state: ClusterState = steadyAlone(["a", "b", "c"])
    ) -> Failover {
        var machine = Failover(
            claiming: state, kind: kind, reason: "test", nonce: 5, sights: sight.map { [node("a"): $0] } ?? [:],
            at: at(0))
        _ = machine.begin(at: at(0))
        _ = machine.handle(.stored, at: at(1))
        return machine
    }

    private func answer(
        _ machine: inout Failover, _ name: String, _ command: NodeCommand, _ outcome: NodeOutcome, at time: Int64
    ) -> Effects { machine.handle(.answered(node(name), command, outcome), at: at(time)) }

    /// b and c are sealed by 110 ms; a does not answer.
    private func sealed(_ machine: inout Failover, b: UInt64 = 4000, c: UInt64 = 3900) -> Effects {
        let pledge = machine.pledge
        _ = self.answer(&machine, "a", .reclaim(pledge), .failed(.unreachable("gone")), at: 50)
        _ = self.answer(&machine, "b", .seal(pledge), .sealed(position(end: b)), at: 100)
        return self.answer(&machine, "c", .seal(pledge), .sealed(position(end: c)), at: 110)
    }

    /// From the first seal: 5 s, 1 % of them, and 500 ms.
    private static let over: Int64 = 100 + 5000 + 50 + 500

    private func readAgain(_ machine: inout Failover, b: UInt64 = 4000, c: UInt64 = 3900) -> Effects {
        let pledge = machine.pledge
        _ = self.answer(&machine, "b", .readPosition(pledge), .sealed(position(end: b)), at: Self.over + 1)
        return self.answer(&machine, "c", .readPosition(pledge), .sealed(position(end: c)), at: Self.over + 2)
    }

    @Test func nobodyLeadsBeforeTheLeaseIsOverCountedFromTheFirstSeal() throws {
        var machine = self.started()
        let effects = self.sealed(&machine)
        #expect(machine.phase == .sealing)
        #expect(effects.wakeAt ?? at(0) <= at(Self.over))
        _ = machine.handle(.tick, at: at(Self.over - 1))
        #expect(machine.phase == .sealing)
        _ = machine.handle(.tick, at: at(Self.over))
        #expect(machine.phase != .sealing)
        let recorded = self.readAgain(&machine).persist
        let state = try #require(recorded?.state)
        #expect(state.openRules.last?.leader == node("b"))
        #expect(state.openRules.last?.lease == .seconds(5))
        #expect(state.openRules.last?.copies == 1)
    }

    @Test func theLossIsAnnouncedWithTheRecord() throws {
        var machine = self.started()
        _ = self.sealed(&machine)
        _ = machine.handle(.tick, at: at(Self.over))
        let recorded = self.readAgain(&machine).persist
        let loss = try #require(recorded?.state.loss)
        #expect(loss.bytes == 1000)
        #expect(loss.parts.map(\.from) == [LSN(4000)])
        #expect(loss.unseen == .milliseconds(Self.over + 2 + 200))
        #expect(loss.words.contains("1000 bytes of WAL of a"))
    }

    @Test func aCandidateThatLacksTooMuchWaitsForTheLeaderOrForForce() {
        let far = LeaderSight(end: LSN(4000 + (1 << 20) + 1), began: at(-200), agentHeard: at(-300))
        for sight in [far, nil] {
            var machine = self.started(sight: sight)
            _ = self.sealed(&machine)
            _ = machine.handle(.tick, at: at(20_000))
            #expect(machine.phase == .sealing)
            #expect(machine.blockedReason != nil)
        }
        var forced = self.started(.requested(target: nil, force: true), sight: far)
        _ = self.answer(&forced, "a", .fence(forced.pledge, clean: false), .failed(.unreachable("gone")), at: 50)
        _ = self.answer(&forced, "b", .seal(forced.pledge), .sealed(position(end: 4000)), at: 100)
        _ = self.answer(&forced, "c", .seal(forced.pledge), .sealed(position(end: 3900)), at: 110)
        #expect(forced.phase == .sealing, "two leaders at once are not accepted with the loss")
        _ = forced.handle(.tick, at: at(Self.over))
        let recorded = self.readAgain(&forced).persist
        #expect(recorded?.state.loss?.bytes == (1 << 20) + 1)
    }

    /// b would pick the id of a's timeline, at the same place, and who follows a could go on along the wrong one.
    @Test func aCandidateWithoutTheLeadersTimelineWaitsForTheLeader() {
        var state = steadyAlone(["a", "b", "c"])
        state.timelines = [
            RecordedTimeline(term: .zero, timeline: TimelineID(1), fork: nil),
            RecordedTimeline(term: Term(1), timeline: TimelineID(2), fork: LSN(4000), holders: [node("a")]),
        ]
        var machine = self.started(state: state)
        _ = self.sealed(&machine)
        _ = machine.handle(.tick, at: at(60_000))
        #expect(machine.phase == .sealing)
        #expect(machine.blockedReason?.contains("has nothing of what a wrote") == true)
    }

    /// Its commits were promised under the mode of its rule; a healthy leader changes that.
    @Test func aChangeOfLeaderKeepsTheModeOfTheRuleBefore() throws {
        var state = steadyAlone(["a", "b", "c"])
        state.spec.durability.mode = .quorum
        var machine = self.started(state: state)
        _ = self.sealed(&machine)
        _ = machine.handle(.tick, at: at(Self.over))
        let recorded = self.readAgain(&machine).persist
        #expect(recorded?.state.openRules.last?.lease == .seconds(5))
    }

    @Test func anAgentThatWasGoneBeforeItsServerEndsNoLease() {
        var machine = self.started(sight: LeaderSight(end: LSN(4000), began: at(-200), agentHeard: at(-3300)))
        _ = self.sealed(&machine)
        _ = machine.handle(.tick, at: at(60_000))
        #expect(machine.phase == .sealing)
    }

    @Test func aFencedLeaderIsReadFirstAndLosesNothing() throws {
        var machine = self.started()
        let pledge = machine.pledge
        _ = self.sealed(&machine)
        _ = machine.handle(.tick, at: at(120))
        _ = self.answer(&machine, "a", .fence(pledge, clean: false), .fenced(nil), at: 130)
        #expect(machine.phase == .sealing)
        _ = self.answer(&machine, "a", .startStandby(pledge), .done, at: 900)
        _ = self.answer(&machine, "a", .seal(pledge), .sealed(position(end: 5100)), at: 910)
        for (name, end) in [("a", 5100), ("b", 4000)] {
            _ = self.answer(
                &machine, name, .readPosition(pledge), .sealed(position(end: UInt64(end))), at: 911)
        }
        let effects = self.answer(&machine, "c", .readPosition(pledge), .sealed(position(end: 3900)), at: 912)
        let state = try #require(effects.persist?.state)
        #expect(state.openRules.last?.leader == node("a"))
        #expect(state.loss == nil)
    }

    @Test func aFencedLeaderThatCannotBeReadIsNotWaitedForForEver() {
        var machine = self.started()
        let pledge = machine.pledge
        _ = self.sealed(&machine)
        _ = machine.handle(.tick, at: at(120))
        _ = self.answer(&machine, "a", .fence(pledge, clean: false), .fenced(nil), at: 130)
        _ = machine.handle(.tick, at: at(10_129))
        #expect(machine.phase == .sealing)
        _ = machine.handle(.tick, at: at(10_130))
        #expect(machine.phase != .sealing)
    }

    @Test func aLeaderWithoutFollowersIsReplacedOnlyOnceItIsFenced() {
        var machine = self.started(state: steadyAlone(["a", "b", "c"], cohort: ["a"]))
        _ = self.sealed(&machine)
        _ = machine.handle(.tick, at: at(60_000))
        #expect(machine.phase == .sealing)
    }

    @Test func theNewLeadersListIsOpenedOnlyWithItsLease() throws {
        var machine = self.started()
        _ = self.sealed(&machine)
        _ = machine.handle(.tick, at: at(Self.over))
        _ = self.readAgain(&machine)
        _ = machine.handle(.stored, at: at(6000))
        let pledge = machine.pledge
        let promoted = position([(1, 4000)], on: 2, end: 4100)
        var effects = self.answer(&machine, "b", .promote(pledge), .promoted(promoted), at: 6010)
        let row = try #require(effects.command(to: "b"))
        _ = machine.handle(.stored, at: at(6011))
        #expect(row.label == "write_term_row")
        effects = self.answer(&machine, "b", row, .wrote(LSN(4200)), at: 6012)
        let terms = LeaseTerms(pledge: pledge, length: .seconds(5), voters: [node("c")])
        #expect(effects.command(to: "b") == .lease(pledge, terms))
        effects = self.answer(&machine, "b", .lease(pledge, terms), .failed(.other("too late")), at: 6013)
        #expect(effects.command(to: "b") == nil)
        effects = machine.handle(.tick, at: at(6100))
        #expect(effects.command(to: "b") == .lease(pledge, terms))
        effects = self.answer(&machine, "b", .lease(pledge, terms), .done, at: 6101)
        #expect(effects.command(to: "b") == .setSyncList(pledge, SyncList.none))
    }
}

/// Changes of rule between the modes, and of the cohort under a lease.
@Suite struct LeasedRuleTests {
    private func begun(
        _ state: ClusterState, _ cohort: [String], copies: Int, lease: Duration?
    ) -> (RuleChange, Effects) {
        var machine = RuleChange(
            state, cohort: cohort.map(node), copies: copies, lease: lease, reason: "test", at: at(0))
        _ = machine.begin(at: at(0))
        let effects = machine.handle(.stored, at: at(1))
        return (machine, effects)
    }

    @Test func theLeaderKnowsWhomToAskBeforeAMemberCounts() {
        var (machine, effects) = self.begun(
            steadyAlone(["a", "b", "c"], cohort: ["a", "b"]), ["b", "c"], copies: 1, lease: .seconds(5))
        let pledge = machine.target.pledge
        let terms = LeaseTerms(pledge: pledge, length: .seconds(5), voters: [node("b"), node("c")])
        #expect(effects.command(to: "a") == .lease(pledge, terms))
        effects = machine.handle(.answered(node("a"), .lease(pledge, terms), .done), at: at(2))
        #expect(effects.command(to: "a") == .setSyncList(pledge, SyncList.none))
        effects = machine.handle(.answered(node("a"), .setSyncList(pledge, .none), .done), at: at(3))
        let row = NodeCommand.writeTermRow(machine.target, timeline: machine.state.timelines[0], reason: "test")
        #expect(effects.command(to: "a") == row)
        effects = machine.handle(.answered(node("a"), row, .wrote(LSN(7))), at: at(4))
        #expect(effects.persist?.state.openRules == [machine.target])
    }

    @Test func fromQuorumTheLeaseComesBeforeTheList() {
        let (machine, effects) = self.begun(steady(["a", "b", "c"]), ["b", "c"], copies: 1, lease: .seconds(5))
        #expect(machine.target.lease == .seconds(5))
        #expect(effects.orders == ["lease a"])
    }

    @Test func toQuorumTheFenceComesFirst() {
        let (machine, effects) = self.begun(steadyAlone(["a", "b", "c"]), ["b", "c"], copies: 2, lease: nil)
        #expect(machine.target.lease == nil)
        #expect(effects.command(to: "a") == .setSyncList(machine.target.pledge, .fence))
    }
}

/// Renewals by the controller.
@Suite struct LeaseRenewalTests {
    private func facts(stamp: Int64, terms: LeaseTerms? = nil) -> AgentFacts {
        var facts = AgentFacts(node: node("a"), agentPID: 1, postmaster: .running(pid: 2))
        facts.leaseStamp = .milliseconds(stamp)
        facts.leaseTerms = terms
        return facts
    }

    @Test func eachStampIsSentBackOnce() {
        let state = steadyAlone(["a", "b", "c"])
        var coordinator = Coordinator(seed: 1, at: at(0))
        _ = coordinator.handle(.loaded(state), at: at(0))
        let effects = coordinator.handle(.agent(node("a"), self.facts(stamp: 70)), at: at(10))
        let terms = LeaseTerms(
            pledge: state.openRules[0].pledge, length: .seconds(5), voters: [node("b"), node("c")])
        let order = NodeCommand.lease(terms.pledge, terms)
        #expect(effects.command(to: "a") == order)
        _ = coordinator.handle(.answered(node("a"), order, .done), at: at(11))
        let again = coordinator.handle(.tick, at: at(20))
        #expect(again.command(to: "a") == nil)
        let next = coordinator.handle(.agent(node("a"), self.facts(stamp: 1070)), at: at(1010))
        #expect(next.command(to: "a") == order)
    }

    @Test func nothingIsRenewedOnceASuccessorIsPrepared() {
        var state = steadyAlone(["a", "b", "c"])
        state.term = Term(2)
        state.procedure = .sealing(
            claim: Claim(term: Term(2), nonce: 3), reason: "test", planned: nil, forced: false)
        var coordinator = Coordinator(seed: 1, at: at(0))
        _ = coordinator.handle(.loaded(state), at: at(0))
        let effects = coordinator.handle(.agent(node("a"), self.facts(stamp: 70)), at: at(10))
        #expect(!effects.orders.contains("lease a"))
    }

    @Test func inQuorumALeaseIsEndedAndNoneIsGiven() {
        let state = steady(["a", "b", "c"])
        var coordinator = Coordinator(seed: 1, at: at(0))
        _ = coordinator.handle(.loaded(state), at: at(0))
        let none = coordinator.handle(.agent(node("a"), self.facts(stamp: 70)), at: at(10))
        #expect(none.orders.isEmpty)
        let old = LeaseTerms(pledge: state.openRules[0].pledge, length: .seconds(5), voters: [node("b")])
        let effects = coordinator.handle(.agent(node("a"), self.facts(stamp: 80, terms: old)), at: at(20))
        #expect(effects.command(to: "a") == .lease(state.openRules[0].pledge, nil))
    }

    @Test func aServerWithoutAnAgentCannotBeInSuchACluster() {
        var spec = spec(["a", "b"])
        spec.durability.mode = .async
        spec.nodes[1].agent = nil
        var coordinator = Coordinator(seed: 1, at: at(0))
        _ = coordinator.handle(.loaded(nil), at: at(0))
        let result = coordinator.request(.initialize(spec), at: at(1))
        guard case .failure(let refusal) = result else {
            Issue.record("accepted")
            return
        }
        #expect(refusal.code == "invalid")
    }
}
