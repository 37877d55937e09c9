import PGHACore
import Testing

/// Poolers finish their transactions before a planned change of leader.
@Suite struct DrainTests {
    private func machine(_ kind: Failover.Kind, draining: Bool = true) -> Failover {
        var machine = Failover(
            claiming: steady(["a", "b", "c"]), kind: kind, reason: "test", nonce: 5, draining: draining, at: at(0))
        _ = machine.begin(at: at(0))
        return machine
    }

    @Test func theOldLeaderIsStoppedWhenNoTransactionIsLeft() {
        var machine = self.machine(.planned(candidate: node("b")))
        let waiting = machine.handle(.stored, at: at(1))
        #expect(waiting.orders == [])
        #expect(waiting.wakeAt == at(5001))
        #expect(machine.phase == .draining(until: at(5001)))
        #expect(machine.successor == node("b"))
        #expect(machine.handle(.drained, at: at(20)).orders == ["fence a"])
    }

    @Test func itIsStoppedAtTheLatestAfterTheDrainTimeout() {
        var machine = self.machine(.planned(candidate: node("b")))
        _ = machine.handle(.stored, at: at(1))
        #expect(machine.handle(.tick, at: at(5000)).orders == [])
        #expect(machine.handle(.tick, at: at(5001)).orders == ["fence a"])
        // A late report changes nothing.
        #expect(machine.handle(.drained, at: at(5002)).orders == [])
    }

    @Test func poolersMayBeQuickerThanTheStore() {
        var machine = self.machine(.planned(candidate: node("b")))
        #expect(machine.handle(.drained, at: at(1)).orders == [])
        #expect(machine.handle(.stored, at: at(2)).orders == ["fence a"])
    }

    @Test func nobodyWaitsWithoutPoolersOrForADeadLeader() {
        var alone = self.machine(.planned(candidate: node("b")), draining: false)
        #expect(alone.handle(.stored, at: at(1)).orders == ["fence a"])
        var dead = self.machine(.automatic)
        _ = dead.handle(.stored, at: at(1))
        #expect(dead.phase == .sealing)
    }
}
