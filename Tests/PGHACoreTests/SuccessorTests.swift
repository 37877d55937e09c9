import PGHACore
import Testing

/// Who leads next, when the one with the most WAL is not the one that should.
@Suite struct SuccessorTests {
    private func started(_ kind: Failover.Kind) -> Failover {
        var machine = Failover(claiming: steady(["a", "b", "c"]), kind: kind, reason: "test", nonce: 5, at: at(0))
        _ = machine.begin(at: at(0))
        _ = machine.handle(.stored, at: at(1))
        return machine
    }

    private func answer(
        _ machine: inout Failover, _ name: String, _ command: NodeCommand, _ outcome: NodeOutcome, at time: Int64
    ) -> Effects { machine.handle(.answered(node(name), command, outcome), at: at(time)) }

    /// a's agent is quicker than the standbys: a holds the latest WAL, and would have to recover from its crash.
    private func withFencedLeader() -> Failover {
        var machine = self.started(.automatic)
        let pledge = machine.pledge
        _ = self.answer(&machine, "a", .reclaim(pledge), .failed(.unreachable("refused")), at: 2)
        _ = machine.handle(.tick, at: at(60))
        let effects = self.answer(
            &machine, "a", .fence(pledge, clean: false), .fenced(position(end: 500)), at: 70)
        #expect(effects.persist == nil)
        #expect(machine.phase == .sealing)
        return machine
    }

    @Test func aStandbyIsPromotedRatherThanADeadLeaderStartedAgain() {
        var machine = self.withFencedLeader()
        let pledge = machine.pledge
        _ = self.answer(&machine, "b", .seal(pledge), .sealed(position(end: 100)), at: 80)
        _ = self.answer(&machine, "c", .seal(pledge), .sealed(position(end: 90)), at: 90)
        _ = self.answer(&machine, "b", .readPosition(pledge), .sealed(position(end: 100)), at: 91)
        let effects = self.answer(&machine, "c", .readPosition(pledge), .sealed(position(end: 90)), at: 92)
        #expect(effects.persist?.state.openRules.last?.leader == node("b"))
    }

    @Test func withoutEnoughStandbysTheDeadLeaderIsStartedAgain() {
        var machine = self.withFencedLeader()
        let pledge = machine.pledge
        _ = self.answer(&machine, "b", .seal(pledge), .sealed(position(end: 100)), at: 80)
        #expect(machine.phase == .sealing)
        _ = machine.handle(.tick, at: at(5100))
        let effects = self.answer(&machine, "b", .readPosition(pledge), .sealed(position(end: 100)), at: 5101)
        #expect(effects.persist?.state.openRules.last?.leader == node("a"))
        #expect(machine.plan?.way == .start)
    }

    /// b was asked for and is still ending its queries; c has all of a's WAL too.
    @Test func aSwitchoverWaitsForTheServerThatItNames() {
        var machine = self.started(.planned(candidate: node("b")))
        let pledge = machine.pledge
        _ = self.answer(&machine, "a", .fence(pledge, clean: true), .fenced(position(end: 100)), at: 100)
        #expect(machine.phase == .sealing)
        _ = self.answer(&machine, "c", .seal(pledge), .sealed(position(end: 100)), at: 110)
        _ = machine.handle(.tick, at: at(500))
        #expect(machine.phase == .sealing)
        #expect(machine.blockedReason != nil)
        _ = self.answer(&machine, "b", .seal(pledge), .sealed(position(end: 100)), at: 510)
        _ = self.answer(&machine, "b", .readPosition(pledge), .sealed(position(end: 100)), at: 511)
        let effects = self.answer(&machine, "c", .readPosition(pledge), .sealed(position(end: 100)), at: 512)
        #expect(effects.persist?.state.openRules.last?.leader == node("b"))
    }

    /// c is being copied anew when b's removal begins and a dies: without b nobody could hold a second copy, for ever.
    @Test func aNodeThatLeavesHoldsACopyWhileNobodyElseCan() {
        var state = steady(["a", "b", "c"])
        state.removing = [node("b")]
        let two = rule("a", ["a", "b"], copies: 2)
        (state.rule, state.openRules) = (two, [two])
        var machine = Failover(claiming: state, kind: .automatic, reason: "test", nonce: 5, at: at(0))
        _ = machine.begin(at: at(0))
        _ = machine.handle(.stored, at: at(1))
        let pledge = machine.pledge
        _ = self.answer(&machine, "c", .seal(pledge), .failed(.unreachable("refused")), at: 2)
        _ = self.answer(&machine, "b", .seal(pledge), .sealed(position(end: 90)), at: 3)
        _ = self.answer(&machine, "a", .reclaim(pledge), .reclaimed(position(end: 100)), at: 4)
        let effects = self.answer(&machine, "b", .readPosition(pledge), .sealed(position(end: 90)), at: 5)
        #expect(effects.persist?.state.openRules.last?.cohort == [node("a"), node("b")])
    }
}

/// c is frozen: nobody waits for the end of its seal's time while no server leads.
@Suite struct FrozenThirdServerTests {
    private func answer(
        _ machine: inout Failover, _ name: String, _ command: NodeCommand, _ outcome: NodeOutcome, at time: Int64
    ) -> Effects { machine.handle(.answered(node(name), command, outcome), at: at(time)) }

    /// a is stopped for b, and b is sealed.
    private func handedOver(silent: Set<NodeName>) -> (Failover, Effects) {
        var machine = Failover(
            claiming: steady(["a", "b", "c"]), kind: .planned(candidate: node("b")), reason: "test", nonce: 5,
            silent: silent, at: at(0))
        _ = machine.begin(at: at(0))
        _ = machine.handle(.stored, at: at(1))
        let sealing = self.answer(
            &machine, "a", .fence(machine.pledge, clean: true), .fenced(position(end: 100)), at: 100)
        #expect(sealing.orders == ["seal b", "seal c"])
        let sealed = self.answer(&machine, "b", .seal(machine.pledge), .sealed(position(end: 100)), at: 110)
        return (machine, sealed)
    }

    @Test func theOldLeaderIsStartedForItsCopyAtOnce() {
        var (machine, sealed) = self.handedOver(silent: [node("c")])
        #expect(sealed.orders == ["start_standby a"])
        let pledge = machine.pledge
        let started = self.answer(&machine, "a", .startStandby(pledge), .done, at: 200)
        #expect(started.orders == ["seal a"])
        let again = self.answer(&machine, "a", .seal(pledge), .sealed(position(end: 100)), at: 210)
        #expect(again.orders == ["read_position a", "read_position b"])
        _ = self.answer(&machine, "a", .readPosition(pledge), .sealed(position(end: 100)), at: 211)
        let read = self.answer(&machine, "b", .readPosition(pledge), .sealed(position(end: 100)), at: 212)
        let rule = read.persist?.state.openRules.last
        #expect(rule?.leader == node("b"))
        #expect(rule?.cohort == [node("a"), node("b")])
        #expect(rule?.copies == 2)
    }

    /// It froze a moment ago.
    @Test func aServerThatWasHeardHasItsChanceAndNotAllItsTime() {
        var (machine, sealed) = self.handedOver(silent: [])
        #expect(sealed.orders == [])
        #expect(sealed.wakeAt == at(210))
        #expect(machine.handle(.tick, at: at(209)).orders == [])
        #expect(machine.handle(.tick, at: at(210)).orders == ["start_standby a"])
    }

    @Test func itIsNotStartedForWhoAnswersInTime() {
        var (machine, _) = self.handedOver(silent: [])
        let sealed = self.answer(&machine, "c", .seal(machine.pledge), .sealed(position(end: 100)), at: 120)
        #expect(sealed.orders == ["read_position b", "read_position c"])
    }
}

/// A leader without space answers, and writes nothing.
@Suite struct FullDiskTests {
    private let state = steady(["a", "b", "c"])

    private func facts(_ name: String, free: UInt64) -> AgentFacts {
        AgentFacts(
            node: node(name), agentPID: 1, postmaster: .running(pid: 2), systemIdentifier: 1, dataFreeBytes: free,
            walFreeBytes: free)
    }

    /// Ten seconds of answers from everyone, with this much space.
    private func watched(leader: UInt64, standbys: UInt64) -> (Coordinator, [String]) {
        var coordinator = Coordinator(seed: 1, at: .origin)
        _ = coordinator.handle(.loaded(self.state), at: .origin)
        let names = self.state.replicationNames.values.map { sender($0, flushed: 100) }
        let list = SyncList(self.state.openRules[0], names: self.state.replicationNames).setting
        let pledge = self.state.openRules[0].pledge
        for step in Int64(1)...40 {
            let now = at(step * 250)
            var notes: [String] = []
            var seen = primary(at: 100, senders: names, list: list)
            seen.pledge = pledge
            notes += coordinator.handle(.probed(node("a"), .success(seen), began: now), at: now).notes
            for name in ["b", "c"] {
                let standby = standby(at: 100, message: step, pledge: pledge)
                notes += coordinator.handle(.probed(node(name), .success(standby), began: now), at: now).notes
                notes += coordinator.handle(.agent(node(name), self.facts(name, free: standbys)), at: now).notes
            }
            notes += coordinator.handle(.agent(node("a"), self.facts("a", free: leader)), at: now).notes
            if !notes.isEmpty { return (coordinator, notes) }
        }
        return (coordinator, [])
    }

    @Test func aStandbyWithSpaceTakesOver() {
        let (_, notes) = self.watched(leader: 0, standbys: 1 << 30)
        #expect(notes.contains { $0.contains("failover begins") && $0.contains("a has 0 bytes of disk left") })
    }

    @Test func withoutSpaceAnywhereNothingIsChangedAndTheReasonIsSaid() {
        let (coordinator, notes) = self.watched(leader: 4096, standbys: 4096)
        #expect(notes == [])
        let status = coordinator.status(at: at(10_100))
        #expect(status.phase == "steady")
        #expect(status.waitingFor?.contains("make space") == true)
        for shown in status.nodes { #expect(shown.problems.contains { $0.contains("disk is full") }) }
    }

    @Test func enoughSpaceIsNoReason() {
        let (coordinator, notes) = self.watched(leader: 1 << 30, standbys: 1 << 30)
        #expect(notes == [])
        for shown in coordinator.status(at: at(10_100)).nodes { #expect(shown.problems == []) }
    }
}
