import PGHACore
import Testing

/// a led term 2. An operator gave up what d lacked, and d was to lead term 3; it died before anybody followed, and b was
/// to lead term 4 from where a was, since nothing can have been acknowledged under term 3. b died too. Now all are back,
/// as standbys of both branches, each of them a member of an open rule.
@Suite("A server that comes back does not strand those who did without it") struct PassedBranchTests {
    private static var state: ClusterState {
        var state = steady(["a", "b", "c", "d"])
        let second = rule("a", ["a", "b", "c"], copies: 2, term: 2, version: 1)
        state.term = Term(4)
        state.rule = second
        state.openRules = [
            second, rule("d", ["c", "d"], copies: 2, term: 3, version: 1),
            rule("b", ["b", "c"], copies: 2, term: 4, version: 1),
        ]
        state.timelines += [
            self.timeline(2, fork: 100, term: 2, ["a", "b", "c"]), self.timeline(0, fork: 100, term: 3, ["d"]),
            self.timeline(0, fork: 150, term: 4, ["b", "c"]),
        ]
        return state
    }

    private static func timeline(_ id: UInt32, fork: UInt64, term: UInt64, _ holders: [String]) -> RecordedTimeline {
        RecordedTimeline(term: Term(term), timeline: TimelineID(id), fork: LSN(fork), holders: holders.map(node))
    }

    /// As far as their own history files tell, d and the others are on one timeline.
    private func end(_ end: UInt64) -> WALPosition { position([(1, 100)], on: 2, end: end) }

    /// The names with their positions are sealed; nobody else answers.
    private func sealed(_ ends: [(String, UInt64)], in state: ClusterState = Self.state) -> Walk<Failover> {
        var walk = Walk(Failover(claiming: state, kind: .automatic, reason: "test", nonce: 5, at: at(0)))
        walk.stored()
        for (name, end) in ends {
            if state.openRules.contains(where: { $0.leader == node(name) }) {
                walk.answer(name, .failed(.isStandby))
                walk.wait(60)
            }
            walk.answer(name, .sealed(self.end(end)))
        }
        return walk
    }

    /// The rule that is recorded once all positions were read again.
    private func recorded(_ walk: inout Walk<Failover>, _ ends: [(String, UInt64)]) -> [Rule] {
        var effects = Effects()
        for (name, end) in ends { effects.add(walk.answer(name, .sealed(self.end(end)))) }
        return effects.persist?.state.openRules ?? []
    }

    @Test func whoeverIsFollowedLeadsAndNoRuleIsForgotten() {
        let ends: [(String, UInt64)] = [("d", 120), ("a", 150), ("b", 150), ("c", 150)]
        var walk = self.sealed(ends)
        let open = self.recorded(&walk, ends)
        #expect(open.map(\.number.term.number) == [2, 3, 4, 5])
        #expect(open.last?.cohort == ["a", "b", "c"].map(node))
        #expect(open.last?.copies == 2)
        #expect(open.last?.leader != node("d"))
    }

    /// c is the one server with which d can have acknowledged anything, and shows nothing of it.
    @Test func notWithoutThePositionOfTheOnlyFollowerThatDCanHaveHad() {
        let ends: [(String, UInt64)] = [("d", 120), ("a", 150), ("b", 150)]
        var walk = self.sealed(ends)
        walk.answer("c", .failed(.unreachable("gone")))
        walk.wait(10_000)
        #expect(walk.machine.phase == .sealing)
        #expect(walk.machine.plan == nil)
    }

    /// Then something may have been acknowledged there.
    @Test func aBranchThatIsFollowedStillWins() {
        var state = Self.state
        state.openRules.removeLast()
        state.timelines[2] = Self.timeline(0, fork: 100, term: 3, ["c", "d"])
        state.timelines.removeLast()
        let ends: [(String, UInt64)] = [("a", 150), ("b", 150), ("c", 120), ("d", 120)]
        var walk = self.sealed(ends, in: state)
        let open = self.recorded(&walk, ends)
        #expect(open.last?.cohort == [node("c"), node("d")])
    }

    /// e was to lead too, after d, and died as alone as d.
    @Test func moreThanOneBranchCanBeDoneWithout() {
        var state = steady(["a", "b", "c", "d", "e"])
        let rules = [
            rule("a", ["a", "b", "c"], copies: 2, term: 2, version: 1),
            rule("d", ["c", "d"], copies: 2, term: 3, version: 1),
            rule("e", ["c", "e"], copies: 2, term: 4, version: 1),
            rule("b", ["b", "c"], copies: 2, term: 5, version: 1),
        ]
        state.term = Term(5)
        state.rule = rules[0]
        state.openRules = rules
        state.timelines += [
            Self.timeline(2, fork: 100, term: 2, ["a", "b", "c"]), Self.timeline(0, fork: 100, term: 3, ["d"]),
            Self.timeline(0, fork: 100, term: 4, ["e"]), Self.timeline(0, fork: 150, term: 5, ["b", "c"]),
        ]
        let ends: [(String, UInt64)] = [("d", 120), ("e", 130), ("a", 150), ("b", 150), ("c", 150)]
        var walk = self.sealed(ends, in: state)
        let open = self.recorded(&walk, ends)
        #expect(open.map(\.number.term.number) == [2, 3, 4, 5, 6])
        #expect(open.last?.cohort == ["a", "b", "c"].map(node))
    }

    /// Whoever may follow d has the time to answer first.
    @Test func whoHasNotAnsweredYetIsWaitedFor() {
        var state = Self.state
        state.spec.nodes.append(NodeSpec(name: node("e"), host: "e", port: 5432, agent: "http://e"))
        let ends: [(String, UInt64)] = [("d", 120), ("a", 150), ("b", 150), ("c", 150)]
        var walk = self.sealed(ends, in: state)
        #expect(walk.machine.phase == .sealing)
        walk.wait(6000)
        #expect(self.recorded(&walk, ends).last?.cohort == ["a", "b", "c"].map(node))
    }
}
