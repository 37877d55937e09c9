import PGHACore
import Testing

/// What the status says between the end of a procedure and the first probe after it.
@Suite struct SettledStatusTests {
    private static let names = [
        node("b"): ReplicationName(node: node("b"), suffix: 1), node("c"): ReplicationName(node: node("c"), suffix: 1),
    ]
    private static let list = SyncList(rule("a", ["a", "b", "c"], copies: 2), names: names).setting

    /// Everybody was seen 500 ms after the start: a leads, `streaming` stream.
    private func seen(streaming: [String] = ["b", "c"]) -> (Coordinator, Effects) {
        var coordinator = Coordinator(seed: 1, at: .origin)
        var effects = coordinator.handle(.loaded(steady(["a", "b", "c"])), at: .origin)
        let senders = streaming.map { sender(Self.names[node($0)]!, flushed: 100) }
        let answers = [
            ("a", primary(at: 100, senders: senders, list: Self.list)), ("b", standby(at: 100)),
            ("c", standby(at: 100)),
        ]
        for (name, seen) in answers {
            effects.add(coordinator.handle(.probed(node(name), .success(seen), began: at(500)), at: at(502)))
        }
        return (coordinator, effects)
    }

    /// Answers every order with success, a millisecond apart, until no procedure is left. No probe comes between.
    /// Returns when that was.
    private func finish(_ coordinator: inout Coordinator, _ first: Effects, from start: Int64 = 600) -> Int64 {
        var (effects, now) = (first, start)
        var names = coordinator.state?.replicationNames ?? [:]
        var list = SyncList.fence
        for _ in 0..<200 {
            now += 1
            var next = Effects()
            if effects.persist != nil { next.add(coordinator.handle(.stored, at: at(now))) }
            for order in effects.send {
                if case .follow(_, _, let name) = order.command { names[order.node] = name }
                if case .setSyncList(_, let set) = order.command { list = set }
                let outcome = self.success(order.command, names.values.map { self.listed($0, list) })
                next.add(coordinator.handle(.answered(order.node, order.command, outcome), at: at(now)))
            }
            if coordinator.status(at: at(now)).phase == "steady" { return now }
            if next.persist == nil, next.send.isEmpty { next = coordinator.handle(.tick, at: at(now)) }
            effects = next
        }
        Issue.record("never steady: \(coordinator.status(at: at(now)))")
        return now
    }

    private func listed(_ name: ReplicationName, _ list: SyncList) -> SenderObservation {
        let priority =
            switch list {
            case .fence, .none: 0
            case .any(_, let names): names.contains(name) ? 1 : 0
            case .marked(_, let names): names.contains(name) ? 2 : 0
            }
        return sender(name, flushed: 200, priority: priority)
    }

    private func success(_ command: NodeCommand, _ senders: [SenderObservation]) -> NodeOutcome {
        switch command {
        case .seal, .readPosition: .sealed(position(end: 100))
        case .fence: .fenced(position(end: 100))
        case .reclaim, .startLeader: .reclaimed(position(end: 100))
        case .promote: .promoted(position([(1, 100)], on: 2, end: 110))
        case .writeTermRow: .wrote(LSN(120))
        case .readSenders: .senders(senders)
        case .follow, .setSyncList, .checkpoint, .startStandby, .rejoin, .lease: .done
        case .initialize: .initialized(systemIdentifier: 1, position(end: 1))
        }
    }

    /// b leads since then, c follows it; nobody was probed meanwhile.
    private func failedOver() throws -> (Coordinator, Int64) {
        var (coordinator, _) = self.seen()
        let first = try coordinator.request(.failover(target: node("b"), force: false), at: at(600)).get()
        let end = self.finish(&coordinator, first)
        #expect(coordinator.state?.rule?.leader == node("b"))
        return (coordinator, end)
    }

    @Test func aFailoverLeavesWhatTheNewLeaderItselfLastSaid() throws {
        let (coordinator, end) = try self.failedOver()
        let status = coordinator.status(at: at(end))
        #expect(status.atRiskReason == nil)
        #expect(status.verdict == "healthy")
        // a and b were seen last in their old roles, and that is what is said of them.
        #expect(status.nodes.map(\.state) == ["former leader", "taking over", "streaming"])
        #expect(coordinator.verdict != .healthy, "nothing is done on it")
    }

    @Test func whatItSaidCountsNoLongerThanAProbeWould() throws {
        let (coordinator, end) = try self.failedOver()
        // Everybody was probed at 502, and the procedure ended later: the older of the two counts.
        #expect(end > 602)
        #expect(coordinator.status(at: at(3501)).verdict == "healthy")
        let later = coordinator.status(at: at(3502))
        #expect(later.verdict == "suspect: no fresh answer yet")
        #expect(later.atRiskReason?.hasPrefix("0 of 1 standbys stream") == true)
    }

    @Test(arguments: [ProbeFailure.refused, .timedOut, .reset, .startingUp, .aliveBut(code: "53300", message: "full")])
    func aFailedProbeOfTheLeaderEndsIt(failure: ProbeFailure) throws {
        var (coordinator, end) = try self.failedOver()
        _ = coordinator.handle(.probed(node("b"), .failure(failure), began: at(end)), at: at(end + 1))
        let status = coordinator.status(at: at(end + 1))
        #expect(status.verdict.hasPrefix("suspect"))
        #expect(status.atRiskReason != nil)
    }

    /// It need not have begun after the procedure.
    @Test func aFailedProbeOfTheStandbyEndsIt() throws {
        var (coordinator, end) = try self.failedOver()
        _ = coordinator.handle(.probed(node("c"), .failure(.refused), began: at(end - 3)), at: at(end + 1))
        #expect(coordinator.status(at: at(end + 1)).verdict == "healthy")
        #expect(coordinator.status(at: at(end + 1)).atRiskReason != nil)
        let refused = coordinator.request(.switchover(target: node("c")), at: at(end + 1))
        guard case .failure(let refusal) = refused else { return #expect(Bool(false), "accepted") }
        #expect(refusal.code == "not_ready")
    }

    @Test(arguments: ["b", "c"])
    func anAgentThatFindsNoServerEndsIt(name: String) throws {
        var (coordinator, end) = try self.failedOver()
        let facts = AgentFacts(node: node(name), agentPID: 1, postmaster: .absent)
        _ = coordinator.handle(.agent(node(name), facts), at: at(end + 1))
        #expect(coordinator.status(at: at(end + 1)).atRiskReason != nil)
        #expect((coordinator.status(at: at(end + 1)).verdict == "healthy") == (name == "c"))
    }

    @Test func theFirstProbeOfTheLeaderReplacesIt() throws {
        var (coordinator, end) = try self.failedOver()
        _ = coordinator.handle(.probed(node("b"), .success(primary(at: 130)), began: at(end)), at: at(end + 1))
        let status = coordinator.status(at: at(end + 1))
        #expect(status.verdict == "healthy")
        #expect(status.atRiskReason?.hasPrefix("0 of 1 standbys stream") == true)
    }

    @Test func whatTheStatusCallsReadyCanBeAskedFor() throws {
        var (coordinator, end) = try self.failedOver()
        let effects = try coordinator.request(.switchover(target: node("c")), at: at(end + 1)).get()
        #expect(effects.orders == ["checkpoint b"])
    }

    // MARK: - A change of rule

    /// The probes go on during a change of rule, so nothing has to be forgotten.
    @Test func aChangeOfRuleForgetsNothing() throws {
        var (coordinator, _) = self.seen()
        let first = try coordinator.request(.removeNode(node("c")), at: at(600)).get()
        let end = self.finish(&coordinator, first)
        let status = coordinator.status(at: at(end))
        #expect(status.rule?.cohort == [node("a"), node("b")])
        #expect(status.atRiskReason == nil)
        #expect(status.verdict == "healthy")
        #expect(coordinator.verdict == .healthy)
        #expect(coordinator.nodes[node("b")]?.attachedSince == at(502))
    }

    @Test func whatAProbeShowsDuringAChangeOfRuleStands() throws {
        var (coordinator, _) = self.seen()
        var first = try coordinator.request(.removeNode(node("c")), at: at(600)).get()
        let alone = primary(at: 100, list: Self.list)
        first.add(coordinator.handle(.probed(node("a"), .success(alone), began: at(600)), at: at(600)))
        let end = self.finish(&coordinator, first)
        #expect(coordinator.status(at: at(end)).atRiskReason?.hasPrefix("0 of 1 standbys stream") == true)
        #expect(coordinator.nodes[node("b")]?.detachedSince == at(600))
    }

    // MARK: - The alarm and the timings

    @Test func twoWalsendersOfOneNameAreAnAlarm() {
        var (coordinator, _) = self.seen()
        #expect(coordinator.status(at: at(503)).atRiskReason == nil)
        let twice = ["b", "b", "c"].map { sender(Self.names[node($0)]!, flushed: 100) }
        let leader = primary(at: 100, senders: twice, list: Self.list)
        _ = coordinator.handle(.probed(node("a"), .success(leader), began: at(700)), at: at(701))
        let status = coordinator.status(at: at(702))
        #expect(status.atRiskReason?.hasPrefix("two servers stream as b") == true)
        let alarms = status.nodes.filter { $0.problems.contains { $0.hasPrefix("2 servers stream under its name") } }
        #expect(alarms.map(\.spec.name) == [node("b")])
    }

    @Test func aChangedTimingCountsFromTheMomentItIsStored() throws {
        var (coordinator, _) = self.seen()
        var changed = try #require(coordinator.state).spec
        changed.timings.freshness = .seconds(60)
        let effects = try coordinator.request(.setSpec(changed), at: at(600)).get()
        #expect(effects.persist != nil)
        #expect(coordinator.health.verdict(at: at(20_000)) == .suspect("no fresh answer yet"))
        _ = coordinator.handle(.stored, at: at(602))
        #expect(coordinator.health.verdict(at: at(20_000)) == .healthy)
    }

    /// The agent starts a server before it makes the role; a cluster that is there has it.
    @Test func aServerThatIsBeingMadeMayRefuseTheRole() throws {
        let refusal = ProbeFailure.aliveBut(code: "28P01", message: "no such role")
        var young = Coordinator(seed: 1, at: .origin)
        _ = young.handle(.loaded(nil), at: .origin)
        _ = try young.request(.initialize(spec(["a", "b"])), at: at(1)).get()
        _ = young.handle(.probed(node("a"), .failure(refusal), began: at(2)), at: at(3))
        #expect(young.status(at: at(4)).nodes.map(\.problems).allSatisfy { !$0.contains("no such role (28P01)") })
        var (old, _) = self.seen()
        _ = old.handle(.probed(node("a"), .failure(refusal), began: at(600)), at: at(601))
        #expect(old.status(at: at(602)).nodes.first?.problems.contains("no such role (28P01)") == true)
    }
}
