import PGHACore
import Testing

@Suite struct MovedAgentTests {
    private let older = Pledge(number: RuleNumber(term: Term(2), version: 4), nonce: 8)
    private let pledge = Pledge(number: RuleNumber(term: Term(3), version: 1), nonce: 9)
    private let next = Pledge(number: RuleNumber(term: Term(3), version: 2), nonce: 9)
    private let newer = Pledge(number: RuleNumber(term: Term(4), version: 1), nonce: 7)

    private func facts(_ name: String, _ identifier: UInt64?, _ pledge: Pledge?) -> AgentFacts {
        AgentFacts(
            node: node(name), agentPID: 1, postmaster: .running(pid: 2), pledge: pledge, systemIdentifier: identifier)
    }

    /// Of a, b and c; `a` leads the rule that `pledge` is to.
    private func state(cohort: [NodeName]) -> ClusterState {
        let rule = Rule(number: self.next.number, nonce: self.next.nonce, leader: node("a"), cohort: cohort, copies: 2)
        var state = ClusterState(spec: spec(["a", "b", "c"]))
        (state.systemIdentifier, state.term, state.rule, state.openRules) = (7, Term(3), rule, [rule])
        return state
    }

    @Test func anAgentIsTheNodesByItsNameItsDataAndItsPledge() {
        let state = self.state(cohort: [node("a"), node("b")])
        let known = self.facts("b", 7, self.pledge)
        func problem(_ facts: AgentFacts) -> MovedAgent.Problem? {
            MovedAgent.problem(facts, of: node("b"), in: state, known: known)
        }
        #expect(problem(known) == nil)
        #expect(problem(self.facts("b", 7, self.next)) == nil)
        #expect(problem(self.facts("c", 7, self.pledge)) == .otherNode(node("c")))
        #expect(problem(self.facts("b", 8, self.pledge)) == .otherCluster(8))
        #expect(problem(self.facts("b", nil, self.pledge)) == .otherCluster(nil))
        #expect(problem(self.facts("b", 7, self.older)) == .otherPledge(self.older, known: self.pledge))
        #expect(problem(self.facts("b", 7, nil)) == .otherPledge(nil, known: self.pledge))
        #expect(problem(self.facts("b", 7, self.newer)) == .unheardOf(self.newer))
        #expect(MovedAgent.isCertain(known: known))
    }

    @Test func whoseFormerAgentWasNeverHeardIsComparedWithWhatTheStoreKnows() {
        let state = self.state(cohort: [node("a"), node("b")])
        func problem(_ name: String, _ pledge: Pledge?, known: AgentFacts? = nil) -> MovedAgent.Problem? {
            MovedAgent.problem(self.facts(name, 7, pledge), of: node(name), in: state, known: known)
        }
        let claim = Pledge(self.pledge.claim)
        #expect(problem("b", self.pledge) == nil)
        #expect(problem("b", claim) == nil)
        #expect(problem("b", self.older) == .otherPledge(self.older, known: claim))
        #expect(problem("b", nil) == .otherPledge(nil, known: claim))
        #expect(problem("b", self.older, known: self.facts("b", 7, nil)) == .otherPledge(self.older, known: claim))
        // No member: it may have been away for long, but not for ever.
        #expect(problem("c", self.older) == nil)
        #expect(problem("c", nil) == .noPledge)
        #expect(problem("c", self.newer) == .unheardOf(self.newer))
        #expect(!MovedAgent.isCertain(known: nil) && !MovedAgent.isCertain(known: self.facts("b", 7, nil)))
    }
}
