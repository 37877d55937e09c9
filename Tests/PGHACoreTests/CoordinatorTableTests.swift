import Foundation
import PGHACore
import Testing

/// What a coordinator does with every event and request, whatever it is at.
@Suite struct CoordinatorTableTests {
    private typealias Setting = (String, @Sendable () throws -> IdealCluster)

    private static let three = steady(["a", "b", "c"])

    private static func standing(_ state: ClusterState? = three, primary: String? = "a") -> IdealCluster {
        var cluster = IdealCluster(state, primary: primary)
        if state != nil { _ = cluster.run(seconds: 2, until: { _ in false }) }
        return cluster
    }

    private static func after(_ request: OperatorRequest, events: Int) throws -> IdealCluster {
        var cluster = self.standing()
        try cluster.request(request)
        for _ in 0..<events { cluster.step() }
        return cluster
    }

    private static let settings: [Setting] = [
        ("no cluster", { standing(nil, primary: nil) }),
        (
            "being made",
            {
                var cluster = standing(nil, primary: nil)
                try cluster.request(.initialize(spec(["a", "b", "c"])))
                for _ in 0..<2 { cluster.step() }
                return cluster
            }
        ),
        ("steady", { standing() }),
        (
            "paused",
            {
                var state = three
                state.paused = true
                return standing(state)
            }
        ),
        ("two nodes", { standing(steady(["a", "b"])) }),
        ("a claim is being written", { try after(.failover(target: nil, force: false), events: 0) }),
        ("sealing", { try after(.failover(target: nil, force: false), events: 1) }),
        ("a switchover waits for its checkpoint", { try after(.switchover(target: nil), events: 0) }),
        ("a rule is being changed", { try after(.removeNode(node("c")), events: 1) }),
        (
            "halted",
            {
                var cluster = standing()
                var seen = standby(at: 100, pledge: rule("b", ["b"], copies: 1, term: 9).pledge)
                seen.systemIdentifier = 1
                _ = cluster.coordinator.handle(
                    .probed(node("b"), .success(seen), began: at(cluster.now)), at: at(cluster.now))
                return cluster
            }
        ),
    ]

    private static func sealing(_ state: ClusterState) -> ClusterState {
        var state = state
        state.term = Term(2)
        state.procedure = .sealing(claim: Claim(term: Term(2), nonce: 3), reason: "x", planned: nil, forced: false)
        return state
    }

    private static func promoting(_ state: ClusterState) -> ClusterState {
        var state = state
        let next = rule("b", ["b", "c"], copies: 2, term: 2, version: 1, nonce: 9)
        state.term = Term(2)
        state.openRules.append(next)
        state.procedure = .promoting(rule: next, reason: "x")
        return state
    }

    private static func facts(_ name: String, _ postmaster: AgentFacts.Postmaster) -> AgentFacts {
        AgentFacts(node: node(name), agentPID: 1, postmaster: postmaster, systemIdentifier: 1)
    }

    private static func events(at now: Moment) -> [(String, Coordinator.Event)] {
        var foreign = primary(at: 500)
        foreign.systemIdentifier = 2
        return [
            ("loaded: nothing", .loaded(nil)),
            ("loaded: steady", .loaded(three)),
            ("loaded: sealing", .loaded(self.sealing(three))),
            ("loaded: promoting", .loaded(self.promoting(three))),
            ("stored", .stored),
            ("tick", .tick),
            ("a refuses", .probed(node("a"), .failure(.refused), began: now)),
            (
                "a has too many clients",
                .probed(node("a"), .failure(.aliveBut(code: "53300", message: "full")), began: now)
            ),
            ("a is a standby", .probed(node("a"), .success(standby(at: 100, receiving: false)), began: now)),
            ("b is a primary", .probed(node("b"), .success(primary(at: 500)), began: now)),
            ("b belongs to another cluster", .probed(node("b"), .success(foreign), began: now)),
            ("b lost its upstream", .probed(node("b"), .success(standby(at: 100, receiving: false)), began: now)),
            (
                "b holds a newer pledge",
                .probed(
                    node("b"), .success(standby(at: 100, pledge: rule("b", ["b"], copies: 1, term: 9).pledge)),
                    began: now)
            ),
            ("an unknown node answers", .probed(node("x"), .success(primary(at: 500)), began: now)),
            ("agent of a: it exited", .agent(node("a"), self.facts("a", .stopped(exitStatus: -9)))),
            ("agent of b: it exited", .agent(node("b"), self.facts("b", .stopped(exitStatus: -9)))),
            ("agent of b: no data", .agent(node("b"), self.facts("b", .absent))),
            ("an answer to no order", .answered(node("b"), .checkpoint, .done)),
        ]
    }

    private static let requests: [(String, OperatorRequest)] = [
        ("init", .initialize(spec(["a", "b", "c"]))),
        ("failover", .failover(target: nil, force: false)),
        ("failover a", .failover(target: node("a"), force: false)),
        ("failover --force", .failover(target: nil, force: true)),
        ("switchover", .switchover(target: nil)),
        ("switchover c", .switchover(target: node("c"))),
        ("switchover x", .switchover(target: node("x"))),
        ("pause", .pause(true)),
        ("resume", .pause(false)),
        ("rejoin b", .rejoin(node("b"), discard: false)),
        ("node add d", .addNode(NodeSpec(name: node("d"), host: "d", port: 5432, agent: "http://d"))),
        ("node remove a", .removeNode(node("a"))),
        ("node remove b", .removeNode(node("b"))),
        ("copies 3", .setSpec(spec(["a", "b", "c"], copies: 3))),
    ]

    private static func words(_ effects: Effects, _ before: Coordinator, _ after: Coordinator, at now: Moment) -> String
    {
        let from = before.status(at: now).phase
        let to = after.status(at: now).phase
        var words: [String] = from == to ? [] : ["-> \(to)"]
        if let persist = effects.persist {
            words.append("write \(persist.state.procedure?.phase ?? "steady"), term \(persist.state.term)")
        }
        if !effects.send.isEmpty { words.append(effects.orders.joined(separator: ", ")) }
        return words.isEmpty ? "." : words.joined(separator: "; ")
    }

    @Test func everyEventAndRequestWhateverItIsAt() throws {
        var lines = ["A coordinator of a, b, c (two copies), where a leads."]
        for (name, make) in Self.settings {
            let cluster = try make()
            let now = at(cluster.now + 1)
            lines.append("\n[\(cluster.coordinator.status(at: now).phase)] \(name)")
            for (event, value) in Self.events(at: now) {
                var next = cluster.coordinator
                let effects = next.handle(value, at: now)
                lines.append(Self.line(event, Self.words(effects, cluster.coordinator, next, at: now)))
            }
            for (request, value) in Self.requests {
                var next = cluster.coordinator
                switch next.request(value, at: now) {
                case .success(let effects):
                    let words = Self.words(effects, cluster.coordinator, next, at: now)
                    lines.append(Self.line("pgha \(request)", words == "." ? "accepted" : words))
                case .failure(let refusal): lines.append(Self.line("pgha \(request)", "refused: \(refusal.code)"))
                }
            }
        }
        try expectTable("coordinator", lines.joined(separator: "\n") + "\n")
    }

    private static func line(_ event: String, _ words: String) -> String {
        "  \(event.padding(toLength: 30, withPad: " ", startingAt: 0)) \(words)"
    }
}
