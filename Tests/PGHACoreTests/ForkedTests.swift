import PGHACore
import Testing

/// Two servers that are promoted apart at one position pick the same timeline id: what looks equal is not.
@Suite struct ForkedTests {
    /// b leads term 2 on timeline 2, which begins at 100; c and d were told to follow.
    private var state: ClusterState {
        var state = steady(["a", "b", "c", "d"])
        let second = rule("b", ["b", "c"], copies: 2, term: 2)
        state.term = Term(2)
        (state.rule, state.openRules) = (second, [second])
        state.replicationNames = [node("c"): ReplicationName(node: node("c"), suffix: 1)]
        state.timelines.append(
            RecordedTimeline(
                term: Term(2), timeline: TimelineID(2), fork: LSN(100), holders: [node("b"), node("c")]))
        return state
    }

    @Test func aServerPromotedByHandDoesNotHoldTheTimelineWhoseIdItPicked() throws {
        var coordinator = Coordinator(seed: 1, at: at(0))
        _ = coordinator.handle(.loaded(self.state), at: at(0))
        var seen = primary(at: 200)
        seen.timeline = TimelineID(2)
        let effects = coordinator.handle(.probed(node("c"), .success(seen), began: at(1)), at: at(2))
        let recorded = try #require(effects.persist?.state.timelines.last)
        #expect(recorded.holders == [node("b")])
        let forked = position([(1, 100)], on: 2, end: 200)
        let ancestry = Ancestry(effects.persist?.state.timelines ?? [])
        #expect(ancestry.rank(forked, of: node("c")) == .init(term: Term(1), end: LSN(100)))
        #expect(ancestry.rank(forked, of: node("b")) == .init(term: Term(2), end: LSN(200)))
    }

    @Test func aFailoverThatFindsItAsAPrimaryCountsItsWALUpToTheForkOnly() {
        var machine = Failover(claiming: self.state, kind: .automatic, reason: "test", nonce: 5, at: at(0))
        _ = machine.begin(at: at(0))
        _ = machine.handle(.stored, at: at(1))
        let pledge = machine.pledge
        _ = machine.handle(.answered(node("c"), .seal(pledge), .failed(.isPrimary)), at: at(2))
        let order = machine.handle(.tick, at: at(100)).command(to: "c")
        #expect(order == .fence(pledge, clean: false))
        _ = machine.handle(
            .answered(node("c"), .fence(pledge, clean: false), .fenced(position([(1, 100)], on: 2, end: 900))),
            at: at(101))
        #expect(machine.state.timelines.last?.holders == [node("b")])
    }

    /// a led term 1, came back under term 2 as a standby that its agent had compared, and was promoted by hand then.
    @Test func aFormerLeaderThatFollowedAgainIsNoFormerLeaderAnyMore() throws {
        var state = self.state
        state.displaced = [node("a")]
        var coordinator = Coordinator(seed: 1, at: at(0))
        _ = coordinator.handle(.loaded(state), at: at(0))
        let facts = AgentFacts(node: node("a"), agentPID: 1, postmaster: .stopped(exitStatus: nil))
        let order = try #require(coordinator.handle(.agent(node("a"), facts), at: at(1)).command(to: "a"))
        let effects = coordinator.handle(.answered(node("a"), order, .done), at: at(2))
        let stored = try #require(effects.persist?.state)
        #expect(stored.displaced == [])
        #expect(stored.timelines.last?.isHeld(by: node("a")) == true)
        _ = coordinator.handle(.stored, at: at(3))
        var seen = primary(at: 200)
        seen.timeline = TimelineID(2)
        let forked = coordinator.handle(.probed(node("a"), .success(seen), began: at(4)), at: at(5))
        #expect(forked.persist?.state.timelines.last?.isHeld(by: node("a")) == false)
    }

    private func orders(for seen: ServerObservation) -> [String] {
        var state = self.state
        state.spec.nodes[3].agent = nil
        var coordinator = Coordinator(seed: 1, at: at(0))
        _ = coordinator.handle(.loaded(state), at: at(0))
        var result: [String] = []
        for step in Int64(1)...20 {
            let effects = coordinator.handle(
                .probed(node("d"), .success(seen), began: at(step * 250)), at: at(step * 250 + 1))
            result += effects.orders
        }
        return result
    }

    /// Nobody can compare its WAL, and PostgreSQL would stream across the fork.
    @Test func aServerWithoutAnAgentIsNotToldToFollowAcrossATimelineThatItMayNotShare() {
        var seen = standby(at: 150, receiving: false)
        seen.timeline = TimelineID(2)
        #expect(self.orders(for: seen) == [])
        seen.timeline = TimelineID(1)
        #expect(self.orders(for: seen).first == "follow d")
    }
}
