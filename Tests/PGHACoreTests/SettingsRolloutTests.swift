import PGHACore
import Testing

@Suite struct SettingsRolloutTests {
    private let a = NodeName("a")!, b = NodeName("b")!

    private func limit(_ node: NodeName, wanted: String, leader a: Int?, standby b: Int?) -> String? {
        let running = [self.a: a, self.b: b].compactMapValues { $0.map { ["max_connections": $0] } }
        return SettingsRollout.settings(
            ["max_connections": wanted, "work_mem": "8MB"], for: node, leader: self.a, members: [self.a, self.b],
            running: running)["max_connections"]
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

    @Test func whatWaitsIsSaidInWords() {
        let running = [self.a: ["max_connections": 100], self.b: ["max_connections": 100]]
        let words = SettingsRollout.waiting(
            ["max_connections": "200"], for: self.a, leader: self.a, members: [self.a, self.b], running: running)
        #expect(words == ["max_connections = 200 waits until b has it"])
        #expect(
            SettingsRollout.waiting(
                ["work_mem": "1MB"], for: self.b, leader: self.a, members: [self.a, self.b], running: running) == [])
    }
}
