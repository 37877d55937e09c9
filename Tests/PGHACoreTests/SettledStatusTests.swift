import PGHACore
import Testing

/// What the status says between the end of a procedure and the first probe after it.
@Suite struct SettledStatusTests {
    private static let b = ReplicationName(node: node("b"), suffix: 1)
    private static let c = ReplicationName(node: node("c"), suffix: 1)

    /// Everybody was seen: a leads, b and c stream. `list` is what a shows.
    private func seen(list: String) -> (Coordinator, Effects) {
        var coordinator = Coordinator(seed: 1, at: .origin)
        _ = coordinator.handle(.loaded(steady(["a", "b", "c"])), at: .origin)
        let leader = primary(
            at: 100, senders: [sender(Self.b, flushed: 100), sender(Self.c, flushed: 100)], list: list)
        var effects = Effects()
        for (name, seen) in [("b", standby(at: 100)), ("c", standby(at: 100)), ("a", leader)] {
            effects.add(coordinator.handle(.probed(node(name), .success(seen), began: at(500)), at: at(502)))
        }
        return (coordinator, effects)
    }

    /// Answers every order with success, a millisecond apart, until nothing is asked any more. No probe comes between.
    private func play(_ coordinator: inout Coordinator, _ first: Effects, from start: Int64) -> Moment {
        var effects = first
        var now = start
        var names: [NodeName: ReplicationName] = [:]
        for _ in 0..<200 {
            now += 1
            var next = Effects()
            if effects.persist != nil { next.add(coordinator.handle(.stored, at: at(now))) }
            for order in effects.send {
                if case .follow(_, _, let name) = order.command { names[order.node] = name }
                next.add(
                    coordinator.handle(.answered(order.node, order.command, self.success(order.command, names)), at: at(now)))
            }
            if effects.persist == nil, effects.send.isEmpty {
                guard coordinator.status(at: at(now)).phase != "steady" else { return at(now) }
                next.add(coordinator.handle(.tick, at: at(now)))
            }
            effects = next
        }
        Issue.record("never steady: \(coordinator.status(at: at(now)))")
        return at(now)
    }

    private func success(_ command: NodeCommand, _ names: [NodeName: ReplicationName]) -> NodeOutcome {
        switch command {
        case .seal, .readPosition: .sealed(position(end: 100))
        case .fence: .fenced(position(end: 100))
        case .reclaim, .startLeader: .reclaimed(position(end: 100))
        case .promote: .promoted(position([(1, 100)], on: 2, end: 110))
        case .writeTermRow: .wrote(LSN(120))
        case .readSenders: .senders(names.values.map { sender($0, flushed: 200) })
        case .follow, .setSyncList, .checkpoint, .startStandby, .rejoin: .done
        case .initialize: .initialized(systemIdentifier: 1, position(end: 1))
        }
    }

    @Test func aFailoverLeavesWhoWasToldToFollowUnconfirmedAndTheLeaderHealthy() throws {
        var (coordinator, _) = self.seen(list: SyncList(rule("a", ["a", "b", "c"], copies: 2), names: [
            node("b"): Self.b, node("c"): Self.c,
        ]).setting)
        #expect(coordinator.status(at: at(503)).atRiskReason == nil)
        let first = try coordinator.request(.failover(target: nil, force: false), at: at(600)).get()
        let end = self.play(&coordinator, first, from: 600)
        let status = coordinator.status(at: end)
        #expect(status.leader == node("b") || status.leader == node("a"))
        #expect(status.atRiskReason == nil)
        #expect(status.verdict == "healthy")
        // The old leader was seen as a primary last, which it is no more: that is said too.
        #expect(status.nodes.map(\.state).sorted() == ["former leader", "taking over", "unconfirmed"])
        // Once that is older than the freshness limit nothing is claimed any more.
        let later = coordinator.status(at: end + .seconds(4))
        #expect(later.atRiskReason != nil)
        #expect(later.verdict == "suspect: no fresh answer yet")
    }

    @Test func twoWalsendersOfOneNameAreAnAlarm() {
        var coordinator = self.seen(list: "").0
        let twice = [sender(Self.b, flushed: 100), sender(Self.b, flushed: 100), sender(Self.c, flushed: 100)]
        _ = coordinator.handle(.probed(node("a"), .success(primary(at: 100, senders: twice)), began: at(700)), at: at(701))
        let status = coordinator.status(at: at(702))
        #expect(status.nodes.first { $0.spec.name == node("b") }?.problems.contains { $0.hasPrefix("2 walsenders bear") } == true)
        let other = status.nodes.first { $0.spec.name == node("c") }
        #expect(other?.problems.contains { $0.contains("walsenders") } == false)
    }

    @Test func aChangedTimingCountsFromTheMomentItIsStored() throws {
        var (coordinator, _) = self.seen(list: SyncList(rule("a", ["a", "b", "c"], copies: 2), names: [
            node("b"): Self.b, node("c"): Self.c,
        ]).setting)
        var changed = try #require(coordinator.state).spec
        changed.timings.freshness = .seconds(60)
        var effects = try coordinator.request(.setSpec(changed), at: at(600)).get()
        if effects.persist == nil { effects = coordinator.handle(.tick, at: at(601)) }
        #expect(effects.persist != nil)
        _ = coordinator.handle(.stored, at: at(602))
        #expect(coordinator.health.verdict(at: at(20_000)) == .healthy)
    }
}
