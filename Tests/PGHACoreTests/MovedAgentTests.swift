import PGHACore
import Testing

@Suite struct MovedAgentTests {
    private func facts(_ node: String, _ identifier: UInt64?, _ pledge: Pledge?) throws -> AgentFacts {
        AgentFacts(
            node: try #require(NodeName(node)), agentPID: 1, postmaster: .running(pid: 2), pledge: pledge,
            systemIdentifier: identifier)
    }

    @Test func anAgentIsTheNodesByItsNameItsDataAndItsPledge() throws {
        let b = try #require(NodeName("b"))
        let pledge = Pledge(number: RuleNumber(term: Term(3), version: 1), nonce: 9)
        let older = Pledge(number: RuleNumber(term: Term(2), version: 4), nonce: 8)
        let newer = Pledge(number: RuleNumber(term: Term(4), version: 1), nonce: 7)
        let known = try self.facts("b", 7, pledge)
        func problem(_ facts: AgentFacts, known: AgentFacts?) -> MovedAgent.Problem? {
            MovedAgent.problem(facts, of: b, systemIdentifier: 7, known: known)
        }
        #expect(problem(known, known: known) == nil)
        #expect(problem(try self.facts("b", 7, newer), known: known) == nil)
        #expect(problem(try self.facts("b", 7, nil), known: nil) == nil)
        #expect(problem(try self.facts("c", 7, pledge), known: known) == .otherNode(try #require(NodeName("c"))))
        #expect(problem(try self.facts("b", 8, pledge), known: known) == .otherCluster(8))
        #expect(problem(try self.facts("b", nil, pledge), known: known) == .otherCluster(nil))
        #expect(problem(try self.facts("b", 7, older), known: known) == .otherPledge(older, known: pledge))
        #expect(problem(try self.facts("b", 7, nil), known: known) == .otherPledge(nil, known: pledge))
    }
}
