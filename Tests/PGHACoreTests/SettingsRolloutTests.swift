import PGHACore
import Testing

@Suite struct SettingsRolloutTests {
    private let a = NodeName("a")!, b = NodeName("b")!

    private func limit(
        _ node: NodeName, wanted: String?, leader a: Int?, standby b: Int?, adopted: Set<NodeName> = []
    ) -> String? {
        let running = [self.a: a, self.b: b].compactMapValues { $0.map { ["max_connections": $0] } }
        return SettingsRollout(
            ["max_connections": wanted, "work_mem": "8MB"].compactMapValues(\.self), leader: self.a,
            members: [self.a, self.b], adopted: adopted, running: running
        ).settings(for: node)["max_connections"]
    }

    @Test func aLimitIsRaisedOnStandbysFirst() {
        #expect(self.limit(self.b, wanted: "200", leader: 100, standby: 100) == "200")
        #expect(self.limit(self.a, wanted: "200", leader: 100, standby: 100) == "100")
        #expect(self.limit(self.a, wanted: "200", leader: 100, standby: 200) == "200")
        // A standby that does not answer counts as one that has too little.
        #expect(self.limit(self.a, wanted: "200", leader: 100, standby: nil) == "100")
    }

    @Test func aLimitIsLoweredOnTheLeaderFirst() {
        #expect(self.limit(self.a, wanted: "50", leader: 100, standby: 100) == "50")
        #expect(self.limit(self.b, wanted: "50", leader: 100, standby: 100) == "100")
        #expect(self.limit(self.b, wanted: "50", leader: 50, standby: 100) == "50")
    }

    @Test func aLimitThatTheSpecificationNoMoreNamesGoesToItsDefaultInTheSameOrder() {
        #expect(self.limit(self.a, wanted: nil, leader: 333, standby: 333) == "100")
        #expect(self.limit(self.b, wanted: nil, leader: 333, standby: 333) == "333")
        #expect(self.limit(self.b, wanted: nil, leader: 100, standby: 333) == "100")
        #expect(self.limit(self.a, wanted: nil, leader: 50, standby: 50) == "50")
        #expect(self.limit(self.b, wanted: nil, leader: 50, standby: 50) == "100")
    }

    @Test func serversOfSomebodyElsesMakingKeepTheirOwnLimitsAndNoStandbyHasLessThanItsLeader() {
        let both: Set = [self.a, self.b]
        #expect(self.limit(self.a, wanted: nil, leader: 500, standby: 500, adopted: both) == nil)
        #expect(self.limit(self.b, wanted: nil, leader: 500, standby: 500, adopted: both) == "500")
        #expect(self.limit(self.b, wanted: "200", leader: 500, standby: 500, adopted: both) == "500")
    }

    @Test func whatWaitsIsSaidInWords() {
        let running = [self.a: ["max_connections": 100], self.b: ["max_connections": 100]]
        func rollout(_ wanted: [String: String]) -> SettingsRollout {
            SettingsRollout(wanted, leader: self.a, members: [self.a, self.b], running: running)
        }
        #expect(
            rollout(["max_connections": "200"]).waiting(for: self.a) == ["max_connections = 200 waits until b has it"])
        #expect(rollout(["work_mem": "1MB"]).waiting(for: self.b) == [])
        #expect(rollout(["max_connections": "50"]).lowered(for: self.a) == ["max_connections"])
        #expect(rollout([:]).lowered(for: self.a) == [])
    }
}
