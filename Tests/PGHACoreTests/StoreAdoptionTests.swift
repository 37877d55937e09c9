import PGHACore
import Testing

@Suite struct StoreAdoptionTests {
    private static let a = NodeName("a")!, b = NodeName("b")!, c = NodeName("c")!

    private static func spec(copies: Int = 2) -> ClusterSpec {
        ClusterSpec(
            name: "demo", nodes: [a, b, c].enumerated().map { NodeSpec(name: $1, host: "h", port: 5432 + $0) },
            durability: Durability(copies: copies))
    }

    private static func row(
        _ term: UInt64, _ version: UInt32 = 0, leader: NodeName = a, copies: Int = 2, timeline: UInt32 = 1,
        fork: UInt64? = nil, nonce: UInt64? = nil
    ) -> TermHistoryRow {
        TermHistoryRow(
            rule: Rule(
                number: RuleNumber(term: Term(term), version: version), nonce: nonce ?? term, leader: leader,
                cohort: [a, b, c], copies: copies),
            timeline: RecordedTimeline(
                term: Term(term), timeline: TimelineID(timeline), fork: fork.map { LSN($0) }), reason: "test")
    }

    private static func evidence(
        primary: Bool = false, pledge: UInt64 = 5, version: UInt32 = 0, nonce: UInt64? = nil,
        rows: [TermHistoryRow] = [row(4), row(5, leader: b, timeline: 2, fork: 900)]
    ) -> StoreEvidence {
        StoreEvidence(
            systemIdentifier: 7, inRecovery: !primary,
            pledge: Pledge(number: RuleNumber(term: Term(pledge), version: version), nonce: nonce ?? pledge),
            rows: rows,
            position: WALPosition(
                history: TimelineHistory(
                    timeline: TimelineID(2), forks: [.init(parent: TimelineID(1), at: LSN(900))]), end: LSN(1000)))
    }

    private func rebuild(
        _ answers: [NodeName: StoreEvidence], spec: ClusterSpec = spec(), stored: ClusterState? = nil
    ) -> Result<StoreAdoption, RequestRefusal> {
        StoreAdoption.rebuild(spec: spec, stored: stored, answers: answers, failures: [:])
    }

    private func refusal(_ answers: [NodeName: StoreEvidence], spec: ClusterSpec = spec()) -> String? {
        if case .failure(let refusal) = self.rebuild(answers, spec: spec) { return refusal.code }
        return nil
    }

    @Test func theRunningLeaderOfTheNewestRuleIsInstalledAgain() throws {
        let adoption = try self.rebuild([
            Self.a: Self.evidence(), Self.b: Self.evidence(primary: true, version: 2), Self.c: Self.evidence(),
        ]).get()
        #expect(adoption.leader == Self.b)
        #expect(adoption.state.term == Term(5))
        #expect(adoption.state.rule == nil)
        #expect(adoption.state.openRules.map(\.number.term) == [Term(5), Term(5)])
        #expect(adoption.state.timelines.map(\.term) == [Term(4), Term(5)])
        #expect(adoption.state.timelines.map(\.holders) == [[Self.a, Self.b, Self.c], [Self.a, Self.b, Self.c]])
        #expect(adoption.state.systemIdentifier == 7)
    }

    /// A change of rule was under way: its list may be in force, and its row is nowhere.
    @Test func aPledgeBeyondEveryRowIsNoNewsTwice() throws {
        let adoption = try self.rebuild([
            Self.a: Self.evidence(), Self.b: Self.evidence(primary: true, version: 2), Self.c: Self.evidence(),
        ]).get()
        let unknown = try #require(adoption.state.openRules.last)
        #expect(unknown.number == RuleNumber(term: Term(5), version: 2))
        #expect(unknown.followersToDiscover == 2)
        #expect(!adoption.state.isOlder(than: unknown.pledge))
    }

    /// c was to lead term 6, and its row is nowhere: its pledge is no reason to call the new store an old one.
    @Test func aPledgeToARuleOfALaterTermThanAnyRowIsNoNewsEither() throws {
        let later = Self.evidence(pledge: 6, version: 1)
        let state = try self.rebuild([
            Self.a: Self.evidence(), Self.b: Self.evidence(primary: true, version: 2), Self.c: later,
        ]).get().state
        #expect(state.term == Term(6))
        let held = try #require(later.pledge)
        var claimed = state
        claimed.term = Term(7)
        claimed.procedure = .sealing(claim: Claim(term: Term(7), nonce: 1), reason: "x", planned: nil, forced: false)
        #expect(!claimed.isOlder(than: held))
        // Another store that did lead on from here knows better.
        claimed.term = Term(9)
        #expect(claimed.isOlder(than: Pledge(number: RuleNumber(term: Term(8), version: 1), nonce: 3)))
    }

    @Test func oneOfThreeMayBeAwayWithTwoCopiesAndNoMore() {
        let leader = Self.evidence(primary: true)
        #expect(self.refusal([Self.b: leader, Self.c: Self.evidence()]) == nil)
        #expect(self.refusal([Self.b: leader]) == "too_few_answers")
        // A cluster that may shrink to one copy could have shrunk to the one that is away.
        var degrading = Self.spec()
        degrading.durability.onStandbyLoss = .degrade
        #expect(self.refusal([Self.b: leader, Self.c: Self.evidence()], spec: degrading) == "too_few_answers")
    }

    /// c was being rebuilt when the store was lost: its agent says that there is no data, and holds no newer pledge.
    @Test func aServerWithoutDataIsAsGoodAsReadUnlessTheNewestRuleCountsIt() throws {
        func rebuild(_ cohort: [NodeName], pledge: UInt64) -> Result<StoreAdoption, RequestRefusal> {
            let newest = TermHistoryRow(
                rule: Rule(
                    number: RuleNumber(term: Term(5), version: 1), nonce: 5, leader: Self.b, cohort: cohort, copies: 2),
                timeline: RecordedTimeline(term: Term(5), timeline: TimelineID(2), fork: LSN(900)), reason: "test")
            let held = Pledge(number: RuleNumber(term: Term(pledge), version: 1), nonce: pledge)
            var degrading = Self.spec()
            degrading.durability.onStandbyLoss = .degrade
            return StoreAdoption.rebuild(
                spec: degrading, stored: nil,
                answers: [
                    Self.a: Self.evidence(version: 1, rows: [newest]),
                    Self.b: Self.evidence(primary: true, version: 1, rows: [newest]),
                ], failures: [:], withoutData: [Self.c: held])
        }
        #expect(try rebuild([Self.a, Self.b], pledge: 5).get().leader == Self.b)
        guard case .failure(let refusal) = rebuild([Self.a, Self.b, Self.c], pledge: 5) else {
            Issue.record("c counts, and its data is gone")
            return
        }
        #expect(refusal.code == "too_few_answers")
        // A newer pledge there means that another term was begun.
        #expect(try rebuild([Self.a, Self.b], pledge: 6).get().leader == nil)
    }

    @Test func standbysThatDoNotShowTheRuleDoNotCountAsCopies() {
        let old = Self.evidence(pledge: 4, rows: [Self.row(4)])
        #expect(
            self.refusal([Self.a: old, Self.b: Self.evidence(primary: true), Self.c: old]) == "too_few_answers")
    }

    @Test func withoutTheLeaderEveryOtherServerMustBeReadAndAllCount() throws {
        let adoption = try self.rebuild([Self.a: Self.evidence(), Self.c: Self.evidence()]).get()
        #expect(adoption.leader == nil)
        #expect(adoption.state.rule?.leader == Self.b)
        let strict = try #require(adoption.state.openRules.last)
        #expect(strict.followersToDiscover == 2)
        #expect(self.refusal([Self.a: Self.evidence()]) == "too_few_answers")
    }

    @Test func aNewerClaimThanAnyRuleAsksForEveryone() throws {
        let claimed = Self.evidence(pledge: 6)
        #expect(self.refusal([Self.b: Self.evidence(primary: true), Self.c: claimed]) == "too_few_answers")
        let adoption = try self.rebuild([
            Self.a: Self.evidence(), Self.b: Self.evidence(primary: true), Self.c: claimed,
        ]).get()
        #expect(adoption.leader == nil)
        #expect(adoption.state.term == Term(6))
    }

    @Test func strangersAndContradictionsAreRefused() {
        #expect(self.refusal([:]) == "nothing_to_adopt")
        #expect(self.refusal([Self.a: Self.evidence(rows: [])]) == "nothing_to_adopt")
        var foreign = Self.evidence()
        foreign.systemIdentifier = 8
        #expect(self.refusal([Self.a: foreign, Self.b: Self.evidence(primary: true)]) == "foreign_cluster")
        let other = Self.evidence(rows: [Self.row(5, leader: Self.c, nonce: 99)])
        #expect(self.refusal([Self.a: other, Self.b: Self.evidence(primary: true)]) == "two_histories")
        var two = Self.spec()
        two.nodes.removeLast()
        #expect(
            self.refusal([Self.a: Self.evidence(), Self.b: Self.evidence(primary: true)], spec: two)
                == "unknown_member")
    }

    @Test func anEmptyCoordinatorGoesOnFromTheServersAboveEveryTermSeen() throws {
        var coordinator = Coordinator(seed: 1, at: .origin)
        let effects = try coordinator.adoptStore(
            spec: Self.spec(),
            answers: [Self.a: Self.evidence(), Self.b: Self.evidence(primary: true), Self.c: Self.evidence()],
            failures: [:], at: .origin
        ).get()
        let persisted = try #require(effects.persist?.state)
        #expect(persisted.term == Term(6))
        #expect(persisted.procedure?.phase == "sealing")
        guard case .failover(let machine) = coordinator.activity else {
            Issue.record("no procedure")
            return
        }
        #expect(machine.kind == .adopt(leader: Self.b))
        // Nothing may be asked of it a second time once a rule is in force.
        #expect(coordinator.mayAdoptStore == false)
    }

    @Test func whileTheOnlyLeaderIsAwayWhatIsAskedSaysWhatIsWaitedFor() throws {
        var coordinator = Coordinator(seed: 1, at: .origin)
        _ = try coordinator.adoptStore(
            spec: Self.spec(),
            answers: [Self.a: Self.evidence(), Self.b: Self.evidence(primary: true), Self.c: Self.evidence()],
            failures: [:], at: .origin
        ).get()
        var effects = coordinator.handle(.stored, at: .origin)
        // The servers' controller died with the leader: nobody answers for it.
        for step in Int64(1)...20 {
            for order in effects.send where order.node == Self.b {
                effects = coordinator.handle(
                    .answered(order.node, order.command, .failed(.unreachable("connection refused"))),
                    at: at(step * 100))
            }
            effects = coordinator.handle(.tick, at: at(step * 100))
        }
        guard case .failure(let refusal) = coordinator.request(.switchover(target: Self.c), at: at(3000)) else {
            Issue.record("a switchover was accepted")
            return
        }
        #expect(refusal.code == "not_ready")
        #expect(refusal.message.contains("only b may lead first, and it does not yet: "))
        #expect(refusal.message.contains("connection refused"))
        #expect(coordinator.status(at: at(3000)).waitingFor?.contains("b") == true)
        #expect(coordinator.mayAdoptStore)
    }
}
