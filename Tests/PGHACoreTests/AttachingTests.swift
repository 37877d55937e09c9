import PGHACore
import Testing

/// A recorded cohort that does not attach is replaced by a higher version; the lower one stays open until then.
@Suite struct AttachingTests {
    /// b was promoted for b, c and d with two or three copies; its row is written and nobody has flushed it.
    private func attaching(copies: Int, onLoss: Durability.StandbyLoss? = nil) -> Walk<Failover> {
        let names = ["a", "b", "c", "d"]
        var walk = Walk(
            Failover(
                claiming: steady(names, copies: copies, onLoss: onLoss), kind: .automatic, reason: "test", nonce: 5,
                at: at(0)))
        walk.stored()
        for name in ["b", "c", "d"] { walk.answer(name, .sealed(position(end: 100))) }
        for name in ["b", "c", "d"] { walk.answer(name, .sealed(position(end: 100))) }
        walk.stored()
        walk.answer("b", .promoted(position([(1, 100)], on: 2, end: 110)))
        walk.stored()
        walk.answer("b", .wrote(LSN(120)))
        return walk
    }

    private func looks(_ walk: inout Walk<Failover>, _ flushed: [String: UInt64]) -> Effects {
        let names = walk.machine.plan?.names ?? [:]
        return walk.answer(
            "b",
            .senders(
                flushed.sorted { $0.key < $1.key }.compactMap { name, end in
                    names[node(name)].map { sender($0, flushed: end) }
                }))
    }

    @Test func thoseThatAttachedMakeTheNextVersion() {
        var walk = self.attaching(copies: 3)
        _ = self.looks(&walk, ["c": 120, "d": 119])
        #expect(walk.machine.phase == .attaching)
        let effects = walk.wait(11_000)
        // Two can hold copies, three are asked for, and the spec does not allow fewer.
        #expect(effects.persist == nil)

        walk = self.attaching(copies: 3, onLoss: .degrade)
        _ = self.looks(&walk, ["c": 120])
        let open = walk.wait(11_000).persist?.state.openRules ?? []
        #expect(open.map(\.number.version) == [0, 1, 2])
        #expect(open.last?.cohort == [node("b"), node("c")])
        #expect(open.last?.copies == 2)
    }

    /// The claim that would follow could not be written, and the rules before this one would be gone on with.
    @Test func theLeaderIsNotGivenUpWhileTheNextVersionIsBeingWritten() {
        var walk = self.attaching(copies: 3, onLoss: .degrade)
        _ = self.looks(&walk, ["c": 120])
        for _ in 1...4 {
            walk.wait(2000)
            walk.answer("b", .failed(.unreachable("timed out")))
        }
        walk.wait(1000)
        #expect(walk.wait(1500).persist?.state.openRules.last?.number.version == 2)
        walk.answer("b", .failed(.unreachable("timed out")))
        #expect(walk.machine.progress == .running)
        walk.stored()
        walk.wait(2000)
        walk.answer("b", .failed(.unreachable("timed out")))
        guard case .failed(_, exclude: node("b")) = walk.machine.progress else {
            Issue.record("\(walk.machine.progress)")
            return
        }
    }

    @Test func nobodyIsAskedForTheNextVersionBeforeItIsStored() {
        var walk = self.attaching(copies: 3, onLoss: .degrade)
        _ = self.looks(&walk, ["c": 120])
        #expect(walk.wait(11_000).send.isEmpty)
        let effects = walk.stored()
        guard case .writeTermRow(let rule, _, _)? = effects.command(to: "b") else {
            Issue.record("\(effects.orders)")
            return
        }
        #expect(rule.number.version == 2)
        walk.answer("b", .wrote(LSN(140)))
        #expect(self.looks(&walk, ["c": 139]).persist == nil)
        walk.wait(10)
        _ = self.looks(&walk, ["c": 140])
        #expect(walk.machine.phase == .opening)
        let closed = walk.answer("b", .done).persist?.state
        #expect(closed?.openRules.map(\.number.version) == [2])
    }

    @Test func withNobodyAttachedTheCohortStays() {
        var walk = self.attaching(copies: 2)
        #expect(walk.wait(11_000).persist == nil)
        #expect(walk.machine.plan?.rule.cohort == ["b", "c", "d"].map(node))
    }
}

@Suite struct BootstrapTests {
    private func cloning() -> Walk<Bootstrap> {
        var walk = Walk(Bootstrap(ClusterState(spec: spec(["a", "b", "c"])), nonce: 5))
        walk.stored()
        walk.answer("a", .initialized(systemIdentifier: 7, position(end: 50)))
        walk.stored()
        return walk
    }

    @Test func theClaimIsStoredBeforeAServerIsTouchedAndTheIdentifierBeforeAClone() {
        var walk = Walk(Bootstrap(ClusterState(spec: spec(["a", "b", "c"])), nonce: 5))
        #expect(walk.stored().orders == ["initialize a"])
        let effects = walk.answer("a", .initialized(systemIdentifier: 7, position(end: 50)))
        #expect(effects.persist?.state.systemIdentifier == 7)
        #expect(effects.send.isEmpty)
        #expect(walk.stored().orders == ["rejoin b", "rejoin c"])
    }

    @Test func thePreferredNodeLeadsAndOneThatMayNotNeverDoes() {
        var wanted = spec(["a", "b", "c"])
        wanted.nodes[1].priority = 200
        #expect(Bootstrap(ClusterState(spec: wanted), nonce: 5).leader == node("b"))
        wanted.nodes[1].nofailover = true
        #expect(Bootstrap(ClusterState(spec: wanted), nonce: 5).leader == node("a"))
    }

    @Test func aCloneThatKeepsFailingIsLeftBehindAfterAMinute() {
        var walk = self.cloning()
        walk.answer("b", .done)
        walk.answer("c", .failed(.other("no space")))
        walk.wait(50_000)
        #expect(walk.machine.progress == .running)
        walk.wait(11_000)
        #expect(walk.machine.progress == .finished)
    }

    @Test func withoutEnoughCopiesItWaits() {
        var walk = self.cloning()
        walk.answer("b", .failed(.other("no space")))
        walk.answer("c", .failed(.other("no space")))
        walk.wait(120_000)
        #expect(walk.machine.progress == .running)
    }

    @Test func anotherClustersPledgeStopsIt() {
        var walk = self.cloning()
        let foreign = rule("b", ["b"], copies: 1, term: 9, nonce: 3).pledge
        walk.answer("b", .failed(.refused(holding: foreign)))
        #expect(walk.machine.progress == .storeIsOlder(holding: foreign))
    }
}

/// What a coordinator does about writes that did not go as it thought.
@Suite struct StoreOutcomeTests {
    private func failingOver() -> (Coordinator, Effects) {
        var coordinator = Coordinator(seed: 1, at: at(0))
        _ = coordinator.handle(.loaded(steady(["a", "b", "c"])), at: at(0))
        guard case .success(let effects) = coordinator.request(.failover(target: nil, force: false), at: at(1)) else {
            Issue.record("refused")
            return (coordinator, Effects())
        }
        return (coordinator, effects)
    }

    @Test func nothingIsSentWhileTheOutcomeIsUnknown() {
        var (coordinator, effects) = self.failingOver()
        #expect(effects.persist?.state.term == Term(2))
        for step in Int64(1)...20 { effects.add(coordinator.handle(.tick, at: at(step * 100))) }
        #expect(effects.send.isEmpty)
    }

    @Test func aWriteThatDidNotLandIsDecidedAnew() {
        var (coordinator, _) = self.failingOver()
        let effects = coordinator.handle(.loaded(steady(["a", "b", "c"])), at: at(100))
        #expect(effects.persist == nil)
        #expect(effects.send.isEmpty)
        #expect(coordinator.status(at: at(101)).phase == "steady")
    }

    /// It did land: the claim may have been heard of, so a later one is taken.
    @Test func aWriteThatLandedIsGoneOnFrom() {
        var (coordinator, first) = self.failingOver()
        for name in ["a", "b", "c"] {
            _ = coordinator.handle(.probed(node(name), .success(standby(at: 100)), began: at(2)), at: at(3))
        }
        let effects = coordinator.handle(.loaded(first.persist?.state), at: at(100))
        #expect(effects.persist?.state.term == Term(3))
    }

    /// Another controller has led meanwhile: what the store says counts, nothing of ours is left.
    @Test func aConflictForgetsTheProcedure() {
        var (coordinator, _) = self.failingOver()
        var state = steady(["a", "b", "c"])
        let theirs = rule("b", ["b", "c"], copies: 2, term: 2, version: 1, nonce: 77)
        state.term = Term(2)
        (state.rule, state.openRules) = (theirs, [theirs])
        let effects = coordinator.handle(.loaded(state), at: at(100))
        #expect(effects.persist == nil)
        #expect(coordinator.status(at: at(101)).leader == node("b"))
        // An answer to an order of before changes nothing.
        let late = coordinator.handle(
            .answered(node("b"), .seal(Pledge(Claim(term: Term(2), nonce: 1))), .sealed(position(end: 9))), at: at(102))
        #expect(late.persist == nil && late.send.isEmpty)
    }
}
