import PGHACore
import Testing

/// b led term 2 with c's copies and died; a led term 1, has rows of its own, and can follow c only once it is rewound.
@Suite("A leader is made although its only follower must be rebuilt first") struct RebuiltCopyTests {
    private static func state(aCounts: Bool = false) -> ClusterState {
        var state = steady(["a", "b", "c"])
        let second = rule("b", aCounts ? ["a", "b", "c"] : ["b", "c"], copies: 2, term: 2, version: 1)
        state.term = Term(2)
        (state.rule, state.openRules) = (second, [second])
        state.timelines.append(
            RecordedTimeline(
                term: Term(2), timeline: TimelineID(2), fork: LSN(100), start: LSN(110),
                holders: [node("b"), node("c")]))
        return state
    }

    private let ofA = position(end: 150)
    private let ofC = position([(1, 100)], on: 2, end: 200)

    /// c and a are sealed, b does not answer.
    private func sealed(_ state: ClusterState = Self.state(), kind: Failover.Kind = .automatic) -> Walk<Failover> {
        var walk = Walk(Failover(claiming: state, kind: kind, reason: "test", nonce: 5, at: at(0)))
        walk.stored()
        walk.answer("b", .failed(.unreachable("refused")))
        walk.answer("c", .sealed(self.ofC))
        walk.answer("a", .sealed(self.ofA))
        return walk
    }

    /// c was chosen alone and is the primary of its timeline.
    private func promoted() -> Walk<Failover> {
        var walk = self.sealed()
        walk.wait(1100)
        for name in ["a", "c"] { walk.answer(name, .sealed(name == "a" ? self.ofA : self.ofC)) }
        walk.stored()
        walk.answer("c", .promoted(position([(1, 100), (2, 200)], on: 3, end: 210)))
        walk.stored()
        return walk
    }

    @Test func itIsRecordedWithTheCopiesThatAreAskedForOnceOthersHadTheirTime() {
        var walk = self.sealed()
        #expect(walk.machine.phase == .sealing)
        #expect(walk.wait(900).orders == ["fence b"])
        #expect(walk.wait(200).orders == ["read_position a", "read_position c"])
        walk.answer("a", .sealed(self.ofA))
        let recorded = walk.answer("c", .sealed(self.ofC)).persist?.state.openRules.last
        #expect(recorded?.leader == node("c"))
        #expect(recorded?.cohort == [node("c")])
        #expect(recorded?.copies == 2)
        #expect(recorded?.lacksMembers == true)
    }

    @Test func aServerWhoseWALCountsIsNotRebuiltForIt() {
        var walk = self.sealed(Self.state(aCounts: true))
        #expect(walk.wait(10_000).orders.contains { $0.hasPrefix("read_position") } == false)
        #expect(walk.machine.phase == .sealing)
    }

    /// b died before its rule was current, so a's is open still. But c holds WAL of b's term: whatever a acknowledged is in
    /// it.
    @Test func aRuleThatALaterTermOutlivedCountsNobody() {
        var state = Self.state()
        state.openRules.insert(steady(["a", "b", "c"]).openRules[0], at: 0)
        state.rule = state.openRules[0]
        var walk = self.sealed(state)
        walk.wait(1100)
        walk.answer("a", .sealed(self.ofA))
        let open = walk.answer("c", .sealed(self.ofC)).persist?.state.openRules
        #expect(open?.map(\.number.term.number) == [2, 3])
        #expect(open?.last?.cohort == [node("c")])
    }

    /// Nothing says that b's term ever began: what a acknowledged may be on a alone.
    @Test func aRuleWhoseTermNobodyReachedOutlivesNothing() {
        var state = Self.state()
        state.openRules.insert(steady(["a", "b", "c"]).openRules[0], at: 0)
        state.rule = state.openRules[0]
        var walk = Walk(Failover(claiming: state, kind: .automatic, reason: "test", nonce: 5, at: at(0)))
        walk.stored()
        walk.answer("b", .failed(.unreachable("refused")))
        walk.answer("c", .sealed(position(end: 90)))
        walk.answer("a", .sealed(self.ofA))
        walk.wait(1100)
        for name in ["a", "c"] { walk.answer(name, .sealed(name == "a" ? self.ofA : position(end: 90))) }
        let open = walk.machine.state.openRules
        #expect(open.map(\.number.term.number) == [1, 2, 3])
        #expect(open.last?.cohort == [node("a"), node("c")])
    }

    /// b is down, but its agent is back: c can follow it as it is.
    @Test func whoeverComesBackInTimeIsPreferred() {
        var walk = self.sealed()
        walk.wait(500)
        walk.answer("b", .fenced(position([(1, 100)], on: 2, end: 220)))
        walk.answer("a", .sealed(self.ofA))
        let recorded = walk.answer("c", .sealed(self.ofC)).persist?.state.openRules.last
        #expect(recorded?.leader == node("b"))
        #expect(recorded?.cohort == [node("b"), node("c")])
    }

    @Test func itStaysFencedUntilThatServerFollows() {
        var walk = self.promoted()
        #expect(walk.machine.phase == .attaching)
        #expect(walk.machine.blockedReason?.contains("rebuilt") == true)
        let looked = walk.answer("c", .senders([]))
        #expect(looked.persist == nil)
        #expect(walk.wait(60_000).orders == ["read_senders c"])
        #expect(walk.machine.progress == .running)
    }

    @Test func theRebuiltServerMakesTheSecondVersion() {
        var walk = self.promoted()
        let name = ReplicationName(node: node("a"), suffix: 77)
        walk.machine.joined(node("a"), name, at: walk.now)
        walk.answer("c", .senders([sender(name, flushed: 209)]))
        #expect(walk.wait(50).orders == ["read_senders c"])
        let open = walk.answer("c", .senders([sender(name, flushed: 210)])).persist?.state.openRules ?? []
        #expect(open.map(\.number.version) == [1, 1, 2])
        #expect(open.last?.cohort == [node("a"), node("c")])
        #expect(open.last?.copies == 2)
        walk.stored()
        guard case .writeTermRow(let rule, _, _)? = walk.wait(3).command(to: "c") else {
            Issue.record("no row is written")
            return
        }
        #expect(rule == open.last)
        walk.answer("c", .wrote(LSN(230)))
        #expect(walk.answer("c", .senders([sender(name, flushed: 230)])).orders == ["set_sync_list c"])
        walk.answer("c", .done)
        walk.stored()
        #expect(walk.machine.progress == .finished)
        #expect(walk.machine.state.rule == open.last)
        #expect(walk.machine.state.openRules == [open.last])
    }

    /// Nothing was acknowledged under it: b, which holds everything of term 2, may lead again.
    @Test func aLeaderThatDiesAloneStandsInNobodysWay() {
        let alone = Rule(
            number: RuleNumber(term: Term(3), version: 1), nonce: 5, leader: node("c"), cohort: [node("c")], copies: 2)
        #expect(alone.missing(SealEvidence(), chosen: node("b"), at: at(0)) == [])
        #expect(alone.followersToDiscover == 0)
    }

    @Test func serversThatAreTakenOverAreNeverRebuiltForIt() {
        var walk = self.sealed(kind: .adopt(leader: node("c")))
        walk.wait(10_000)
        #expect(walk.machine.plan == nil)
    }
}
