import PGHACore
import Testing

@Suite struct AdoptionTests {
    private static let a = NodeName("a")!, b = NodeName("b")!, c = NodeName("c")!

    private static func spec() -> ClusterSpec {
        ClusterSpec(
            name: "adopted", nodes: [a, b, c].enumerated().map { NodeSpec(name: $1, host: "h", port: 5432 + $0) })
    }

    private static func server(primary: Bool, _ change: (inout AdoptableServer) -> Void = { _ in }) -> AdoptionSurvey {
        let good = [
            "wal_level": "replica", "hot_standby": "on", "max_wal_senders": "10", "max_replication_slots": "10",
            "recovery_target_timeline": "latest", "fsync": "on", "full_page_writes": "on", "max_connections": "100",
        ]
        var server = AdoptableServer(
            version: 150_004, systemIdentifier: 7, inRecovery: !primary,
            position: WALPosition(history: TimelineHistory(timeline: TimelineID(1)), end: LSN(1000)),
            settings: good.mapValues { .init($0) }, scripts: [1, 2])
        change(&server)
        return AdoptionSurvey(.found(server))
    }

    private static let good = [
        a: server(primary: false), b: server(primary: true), c: server(primary: false),
    ]

    private func codes(_ surveys: [NodeName: AdoptionSurvey]) -> [String] {
        switch Adoption.judge(Self.spec(), surveys, scripts: [1, 2]) {
        case .success: []
        case .failure(let refusal): refusal.problems.map(\.code)
        }
    }

    private func codes(_ node: NodeName, _ change: (inout AdoptableServer) -> Void) -> [String] {
        var surveys = Self.good
        surveys[node] = Self.server(primary: node == Self.b, change)
        return self.codes(surveys)
    }

    @Test func soundServersAreTakenOverWithTheirPrimaryAsLeader() throws {
        let finding = try Adoption.judge(Self.spec(), Self.good, scripts: [1, 2]).get()
        #expect(finding.leader == Self.b)
        #expect(finding.systemIdentifier == 7)
        #expect(finding.position.end == LSN(1000))
        #expect(finding.notes == [])
    }

    @Test func eachObstacleIsNamed() {
        #expect(self.codes(Self.a) { $0.pledge = Pledge(Claim(term: Term(3), nonce: 1)) } == ["pledged"])
        #expect(self.codes(Self.a) { $0.systemIdentifier = 8 } == ["system_identifier"])
        #expect(self.codes(Self.a) { $0.version = 160_001 } == ["versions"])
        #expect(self.codes(Self.b) { $0.missingRights = ["REPLICATION"] } == ["rights"])
        #expect(self.codes(Self.b) { $0.scripts = [1] } == ["scripts"])
        #expect(self.codes(Self.b) { $0.settings["wal_level"]?.value = "minimal" } == ["wal_level"])
        #expect(self.codes(Self.c) { $0.settings["fsync"]?.value = "off" } == ["fsync"])
        #expect(self.codes(Self.c) { $0.settings["allow_alter_system"] = .init("off") } == ["allow_alter_system"])
        #expect(
            self.codes(Self.c) { $0.settings["primary_conninfo"] = .init("", source: "command line") }
                == ["command_line"])
        #expect(self.codes(Self.c) { $0.settings["max_connections"]?.value = "50" } == ["max_connections"])
        #expect(self.codes(Self.b) { $0.settings["max_wal_senders"]?.value = "2" } == ["max_wal_senders"])
        #expect(
            self.codes(Self.b) { $0.foreignSlots = (1...9).map { "slot\($0)" } } == ["max_replication_slots"])
        #expect(
            self.codes(Self.c) {
                $0.position.history = TimelineHistory(
                    timeline: TimelineID(2), forks: [.init(parent: TimelineID(1), at: LSN(500))])
            } == ["diverged"])
    }

    @Test func theNumberOfPrimariesMustBeOne() {
        var surveys = Self.good
        surveys[Self.b] = Self.server(primary: false)
        #expect(self.codes(surveys) == ["no_primary"])
        surveys[Self.b] = Self.server(primary: true)
        surveys[Self.c] = Self.server(primary: true)
        #expect(self.codes(surveys) == ["two_primaries"])
    }

    @Test func aServerThatCannotBeReadIsTheOnlyProblemNamed() {
        var surveys = Self.good
        surveys[Self.b] = AdoptionSurvey(.unreadable("refused"))
        #expect(self.codes(surveys) == ["unreadable"])
        surveys[Self.b] = AdoptionSurvey(.tooOld(version: 140_010))
        #expect(self.codes(surveys) == ["version_too_old"])
    }

    @Test func everyObstacleIsListedAndThoseThatNeedARestartAreTold() {
        var surveys = Self.good
        surveys[Self.a] = Self.server(primary: false) {
            $0.settings["max_connections"]?.value = "50"
            $0.settings["fsync"]?.value = "off"
        }
        guard case .failure(let refusal) = Adoption.judge(Self.spec(), surveys, scripts: [1, 2]) else {
            Issue.record("taken over")
            return
        }
        #expect(refusal.problems.map(\.remedy) == [.reload, .restart])
        #expect(refusal.problems.allSatisfy { $0.node == Self.a })
    }

    @Test func anAgentOfOtherDataIsRefused() {
        var surveys = Self.good
        let facts = AgentFacts(node: Self.a, agentPID: 1, postmaster: .absent)
        surveys[Self.a]?.agent = .facts(facts)
        #expect(self.codes(surveys) == ["agent_without_server"])
        surveys[Self.a]?.agent = .facts(AgentFacts(node: Self.c, agentPID: 1, postmaster: .absent))
        #expect(self.codes(surveys) == ["agent_of_another_node"])
        surveys[Self.a]?.agent = .facts(
            AgentFacts(node: Self.a, agentPID: 1, postmaster: .running(pid: 2), systemIdentifier: 7))
        #expect(self.codes(surveys) == [])
    }

    @Test func agentsAreJudgedBeforeTheyTouchTheirServers() {
        func facts(_ name: String, _ identifier: UInt64, pledge: Pledge? = nil) -> AdoptionSurvey.Agent {
            .facts(
                AgentFacts(
                    node: NodeName(name)!, agentPID: 1, postmaster: .running(pid: 2), pledge: pledge,
                    systemIdentifier: identifier))
        }
        var spec = ClusterSpec(
            name: "demo",
            nodes: ["a", "b", "c"].map { NodeSpec(name: NodeName($0)!, host: $0, port: 5432, agent: "http://\($0)") })
        let a = NodeName("a")!, b = NodeName("b")!, c = NodeName("c")!
        #expect(Adoption.judgeAgents(spec, [a: facts("a", 7), b: facts("b", 7), c: facts("c", 7)]).isEmpty)
        let pledge = Pledge(number: RuleNumber(term: Term(1), version: 0), nonce: 1)
        let problems = Adoption.judgeAgents(
            spec, [a: facts("a", 7, pledge: pledge), b: facts("b", 8), c: .silent("refused")])
        #expect(problems.map(\.code) == ["pledged", "agent_silent", "system_identifier"])
        // A node without an agent is nobody's to judge here.
        spec.nodes[2].agent = nil
        #expect(Adoption.judgeAgents(spec, [a: facts("a", 7), b: facts("b", 7)]).isEmpty)
    }
}
