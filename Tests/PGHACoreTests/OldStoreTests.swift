import PGHACore
import Testing

/// A store that was restored from a backup hands out terms that were used: it must notice before it acts.
@Suite struct OldStoreTests {
    private let state = steady(["a", "b", "c"])

    /// A coordinator that has loaded `state` and then saw `pledge` on b.
    private func coordinator(seeing pledge: Pledge, on name: String = "b", systemIdentifier: UInt64 = 1) -> Coordinator
    {
        var coordinator = Coordinator(seed: 1, at: .origin)
        _ = coordinator.handle(.loaded(self.state), at: .origin)
        var seen = standby(at: 100, pledge: pledge)
        seen.systemIdentifier = systemIdentifier
        let effects = coordinator.handle(.probed(node(name), .success(seen), began: at(1)), at: at(2))
        #expect(coordinator.halted == nil || (effects.persist == nil && effects.send.isEmpty))
        return coordinator
    }

    private func pledge(_ term: UInt64, _ version: UInt32 = 0, nonce: UInt64 = 7) -> Pledge {
        Pledge(number: RuleNumber(term: Term(term), version: version), nonce: nonce)
    }

    @Test func whatTheStoreHandedOutIsNoReasonToHalt() {
        #expect(self.coordinator(seeing: self.pledge(1)).halted == nil)
        #expect(self.coordinator(seeing: self.pledge(0, nonce: 3)).halted == nil)
    }

    @Test func aLaterTermALaterVersionOrAnotherClaimOnTheTermHaltsIt() {
        for unknown in [self.pledge(2), self.pledge(1, 1), self.pledge(1, nonce: 8)] {
            let halted = self.coordinator(seeing: unknown).halted
            #expect(halted?.contains("pgha store adopt") == true, "\(unknown)")
            #expect(halted?.contains("b holds pledge \(unknown)") == true)
        }
    }

    /// The store was made again, and whether that was written stays unknown: what is read back is the old one.
    @Test func whatWasSeenBeforeTheStoreIsReadBackCounts() {
        var newer = self.state
        newer.term = Term(2)
        let second = rule("b", ["a", "b", "c"], copies: 2, term: 2, version: 1)
        (newer.rule, newer.openRules) = (second, [second])
        var coordinator = Coordinator(seed: 1, at: .origin)
        _ = coordinator.handle(.loaded(newer), at: .origin)
        let seen = standby(at: 100, pledge: self.pledge(2, 1))
        _ = coordinator.handle(.probed(node("c"), .success(seen), began: at(1)), at: at(2))
        #expect(coordinator.halted == nil)
        let effects = coordinator.handle(.loaded(self.state), at: at(3))
        #expect(coordinator.halted?.contains("pgha store adopt") == true)
        #expect(effects.persist == nil && effects.send.isEmpty)
    }

    /// Its controller would be told again and again that all poolers have let go.
    @Test func aHaltedOneWaitsForNoPooler() {
        var state = self.state
        state.term = Term(2)
        state.procedure = .sealing(claim: Claim(term: Term(2), nonce: 9), reason: "x", planned: nil, forced: false)
        var coordinator = Coordinator(seed: 1, at: .origin)
        coordinator.hasPoolers = true
        _ = coordinator.handle(.loaded(state), at: .origin)
        for name in ["a", "b", "c"] {
            _ = coordinator.handle(.probed(node(name), .success(standby(at: 100)), began: .origin), at: at(1))
        }
        #expect(coordinator.draining?.term == Term(3))
        let seen = standby(at: 100, pledge: self.pledge(7))
        _ = coordinator.handle(.probed(node("b"), .success(seen), began: at(1)), at: at(2))
        #expect(coordinator.halted != nil)
        #expect(coordinator.draining == nil)
    }

    /// The copy was made after the claim and before the record: b led term 2 by a rule that this store never saw.
    @Test func aStoreFromBeforeTheRecordNoticesThatItsClaimWentOn() {
        var state = self.state
        state.term = Term(2)
        state.procedure = .sealing(claim: Claim(term: Term(2), nonce: 9), reason: "x", planned: nil, forced: false)
        #expect(!state.isOlder(than: self.pledge(2, 0, nonce: 9)))
        #expect(state.isOlder(than: self.pledge(2, 1, nonce: 9)))
    }

    /// b led term 2 by a rule that this store never saw. Claims of its own may have moved the store's counter since.
    @Test func claimsOfItsOwnDoNotMakeAnOldStoreNewer() {
        var state = self.state
        state.term = Term(4)
        state.procedure = .sealing(claim: Claim(term: Term(4), nonce: 9), reason: "x", planned: nil, forced: false)
        #expect(state.isOlder(than: self.pledge(2, 1, nonce: 8)))
        #expect(!state.isOlder(than: self.pledge(2, 0, nonce: 8)), "a claim that recorded nothing")
        #expect(!state.isOlder(than: self.pledge(4, 0, nonce: 9)))
        let newest = rule("b", ["a", "b", "c"], copies: 2, term: 3, version: 1)
        state.openRules.append(newest)
        #expect(!state.isOlder(than: self.pledge(2, 1, nonce: 8)), "the newest rule was open until term 3's was")
    }

    /// Its seal would take the place of the pledge that tells: it is looked for first.
    @Test func anOldStoreWithAClaimUnderWayLooksBeforeItSeals() {
        var state = self.state
        state.term = Term(2)
        state.procedure = .sealing(claim: Claim(term: Term(2), nonce: 9), reason: "x", planned: nil, forced: false)
        var coordinator = Coordinator(seed: 1, at: .origin)
        var effects = coordinator.handle(.loaded(state), at: .origin)
        effects.add(coordinator.handle(.probed(node("a"), .failure(.timedOut), began: .origin), at: at(1)))
        effects.add(coordinator.handle(.tick, at: at(100)))
        let seen = standby(at: 100, pledge: self.pledge(3, 1, nonce: 5))
        effects.add(coordinator.handle(.probed(node("b"), .success(seen), began: at(1)), at: at(101)))
        effects.add(coordinator.handle(.probed(node("c"), .success(standby(at: 100)), began: at(1)), at: at(102)))
        #expect(coordinator.halted?.contains("b holds pledge 3.1") == true)
        #expect(effects.persist == nil && effects.send.isEmpty)
    }

    @Test func aServerOfAnotherClusterOrOneThatIsNoMemberSaysNothingAboutThisStore() {
        #expect(self.coordinator(seeing: self.pledge(9), systemIdentifier: 2).halted == nil)
        var coordinator = Coordinator(seed: 1, at: .origin)
        var state = self.state
        state.spec.nodes.append(NodeSpec(name: node("d"), host: "d", port: 5432))
        _ = coordinator.handle(.loaded(state), at: .origin)
        _ = coordinator.handle(
            .probed(node("d"), .success(standby(at: 1, pledge: self.pledge(9))), began: at(1)), at: at(2))
        #expect(coordinator.halted == nil)
    }

    @Test func anAgentsPledgeCountsAsMuchAsItsServers() {
        var coordinator = Coordinator(seed: 1, at: .origin)
        _ = coordinator.handle(.loaded(self.state), at: .origin)
        let facts = AgentFacts(
            node: node("a"), agentPID: 1, postmaster: .stopped(exitStatus: 0), pledge: self.pledge(2),
            systemIdentifier: 1)
        let effects = coordinator.handle(.agent(node("a"), facts), at: at(1))
        #expect(effects.send.isEmpty)
        #expect(coordinator.halted != nil)
    }

    /// It goes on watching, truthfully, and calls nobody's legitimate leader a fork.
    @Test func aHaltedCoordinatorStillShowsWhatItSeesAndDoesNothing() {
        var coordinator = self.coordinator(seeing: self.pledge(2, nonce: 9))
        var leader = primary(at: 200)
        leader.pledge = self.pledge(2, nonce: 9)
        for step in Int64(1)...100 {
            let now = at(step * 250)
            var effects = coordinator.handle(.probed(node("c"), .success(leader), began: now), at: now)
            effects.add(coordinator.handle(.probed(node("a"), .failure(.refused), began: now), at: now))
            effects.add(coordinator.handle(.tick, at: now))
            #expect(effects.persist == nil && effects.send.isEmpty)
        }
        let status = coordinator.status(at: at(25_000))
        #expect(status.phase == "halted")
        let shown = status.nodes.first { $0.spec.name == node("c") }
        #expect(shown?.role == .primary)
        #expect(shown?.state == "primary")
        #expect(shown?.problems.contains { $0.contains("rejoin") } == false)
    }
}
