import PGHACore
import Testing

/// A controller is killed anywhere in a procedure; the next one starts from what the store holds by then.
@Suite struct ResumeTests {
    /// Runs `begin` on a fresh cluster again and again, each time killing the controller after one more event, until
    /// it gets through undisturbed. Returns the phases in which it was killed.
    private func killedEverywhere(
        _ state: ClusterState?, primary: String?, begin: (inout IdealCluster) throws -> Void,
        ends: (ClusterState) -> Bool, at location: SourceLocation = #_sourceLocation
    ) throws -> Set<String> {
        var phases: Set<String> = []
        for events in 1...400 {
            var cluster = IdealCluster(state, primary: primary)
            if state != nil { _ = cluster.run(seconds: 2, until: { _ in false }) }
            let before = cluster.writes.count
            try begin(&cluster)
            for _ in 0..<events { cluster.step() }
            let isOver =
                cluster.writes.count > before && cluster.coordinator.state == cluster.writes.last
                && cluster.coordinator.state?.procedure == nil
            for stored in cluster.possibleStates {
                phases.insert(stored.procedure?.phase ?? "steady")
                var next = cluster
                next.restart(from: stored)
                let done = next.run(until: { stored.procedure == nil || ends($0) })
                #expect(
                    done,
                    "killed after \(events) events in \(stored.procedure?.phase ?? "steady"): \(next.coordinator.status(at: at(next.now)).waitingFor ?? ""), \(next.orders.suffix(12))",
                    sourceLocation: location)
                guard done else { return phases }
            }
            if isOver { return phases }
        }
        Issue.record("it does not end", sourceLocation: location)
        return phases
    }

    @Test func aFailover() throws {
        let phases = try self.killedEverywhere(
            steady(["a", "b", "c"]), primary: "a",
            begin: {
                $0.down = [node("a")]
                try $0.request(.failover(target: nil, force: false))
            }, ends: { $0.rule?.leader != node("a") && $0.rule?.number.term ?? .zero > Term(1) })
        #expect(phases == ["sealing", "promoting", "steady"])
    }

    @Test func aForcedFailover() throws {
        let phases = try self.killedEverywhere(
            steady(["a", "b", "c"]), primary: "a",
            begin: {
                $0.down = [node("a"), node("b")]
                try $0.request(.failover(target: nil, force: true))
            }, ends: { $0.rule?.leader == node("c") })
        #expect(phases == ["sealing", "promoting", "steady"])
    }

    @Test func aSwitchover() throws {
        let phases = try self.killedEverywhere(
            steady(["a", "b", "c"]), primary: "a", begin: { try $0.request(.switchover(target: node("b"))) },
            ends: { $0.rule?.number.term ?? .zero > Term(1) })
        #expect(phases == ["sealing", "promoting", "steady"])
    }

    @Test func aChangeOfRule() throws {
        let phases = try self.killedEverywhere(
            steady(["a", "b", "c"]), primary: "a", begin: { try $0.request(.removeNode(node("c"))) },
            ends: { $0.rule?.cohort == [node("a"), node("b")] })
        #expect(phases == ["changing_rule", "steady"])
    }

    @Test func theMakingOfACluster() throws {
        let phases = try self.killedEverywhere(
            nil, primary: nil, begin: { try $0.request(.initialize(spec(["a", "b", "c"]))) },
            ends: { $0.rule?.cohort.count == 3 })
        #expect(phases == ["bootstrap", "sealing", "promoting", "steady"])
    }
}
