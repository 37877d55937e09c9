import PGHACommand
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

@testable import pgha

@Suite struct CheckJudgementTests {
    @Test func aSoundClusterHasNoFailures() throws {
        let report = CheckReport(CheckJudgement.findings(try Self.sound(), spec: Self.spec))
        #expect(report.ok)
        #expect(report.count(.warn) == 0)
        try expectSnapshot(CheckView.lines(report).rendered(colour: false), "check-sound.txt")
    }

    @Test func whatIsWrongIsNamedWithTheNextStep() throws {
        var surveys = try Self.sound()
        surveys[0].server = .tooOld(version: 140_009)
        surveys[1].server = .refuses(.role, text: "password authentication failed for user \"pgha_control\"")
        surveys[2].agent = .silent(url: "http://127.0.0.1:18433", reason: "connection refused")
        surveys[2].server = .unreachable(text: "Connection refused")
        let report = CheckReport(CheckJudgement.findings(surveys, spec: Self.spec))
        try expectSnapshot(CheckView.lines(report).rendered(colour: false), "check-broken.txt")
        #expect(!report.ok)
    }

    @Test(arguments: [
        ("wal_level", "minimal", "wal_level"), ("hot_standby", "off", "hot_standby"), ("fsync", "off", "fsync"),
        ("full_page_writes", "off", "full_page_writes"), ("max_wal_senders", "1", "max_wal_senders"),
        ("max_replication_slots", "0", "max_replication_slots"), ("allow_alter_system", "off", "allow_alter_system"),
        ("recovery_target_timeline", "current", "recovery_target_timeline"),
        ("wal_log_hints", "off", "wal_log_hints"),
    ])
    func aSettingThatCannotBeIsAFailure(name: String, value: String, code: String) throws {
        var surveys = try Self.sound()
        try Self.change(&surveys[0]) {
            $0.server.settings[name] = .init(value, source: "default")
        }
        #expect(Self.codes(surveys, .fail) == [code])
    }

    @Test func aManagedSettingOnTheCommandLineIsAFailure() throws {
        var surveys = try Self.sound()
        try Self.change(&surveys[1]) {
            $0.server.settings["primary_conninfo"] = .init("host=x", source: "command line")
        }
        #expect(Self.codes(surveys, .fail) == ["command_line"])
    }

    @Test func aStandbyMustNotHaveSmallerLimitsThanThePrimary() throws {
        var surveys = try Self.sound()
        try Self.change(&surveys[2]) {
            $0.server.settings["max_connections"] = .init("50", source: "default")
        }
        #expect(Self.codes(surveys, .fail) == ["max_connections"])
    }

    @Test func rolesAndDatabasesThatWeakenCommitsAreWarnedAbout() throws {
        var surveys = try Self.sound()
        try Self.change(&surveys[0]) {
            $0.overrides = [
                .init(whose: "role app in database shop", name: "synchronous_commit", value: "local"),
                .init(whose: "database shop", name: "synchronous_commit", value: "remote_apply"),
                .init(whose: "role app", name: "client_min_messages", value: "error"),
            ]
        }
        let warnings = CheckJudgement.findings(surveys, spec: Self.spec).filter { $0.severity == .warn }
        #expect(warnings.map(\.code) == ["synchronous_commit", "client_min_messages"])
        #expect(warnings.first?.hint == "ALTER ROLE app IN DATABASE shop RESET synchronous_commit, if they matter.")
    }

    @Test func strangersTwoPrimariesAndOtherVersionsAreFailures() throws {
        var surveys = try Self.sound()
        try Self.change(&surveys[2]) { $0.server.systemIdentifier = 9 }
        #expect(Self.codes(surveys, .fail) == ["system_identifier"])
        surveys = try Self.sound()
        try Self.change(&surveys[2]) { $0.server.inRecovery = false }
        #expect(Self.codes(surveys, .fail) == ["two_primaries"])
        surveys = try Self.sound()
        try Self.change(&surveys[2]) { $0.server.version = 160_004 }
        #expect(Self.codes(surveys, .fail) == ["versions"])
        surveys = try Self.sound()
        try Self.change(&surveys[2]) { $0.server.position.history = TimelineHistory(timeline: TimelineID(7)) }
        #expect(Self.codes(surveys, .fail) == ["timeline"])
    }

    @Test func aClockIsJudgedByMoreThanTheErrorOfItsReading() throws {
        var surveys = try Self.sound()
        try Self.change(&surveys[1]) { ($0.clockOffset, $0.clockError) = (.seconds(-3), .seconds(2.5)) }
        #expect(Self.codes(surveys, .warn) == [])
        try Self.change(&surveys[1]) { $0.clockError = .milliseconds(3) }
        #expect(Self.codes(surveys, .warn) == ["clock"])
    }

    @Test func aServerThatIsNotMadeYetIsNoProblem() throws {
        var surveys = try Self.sound()
        for index in surveys.indices { surveys[index].server = .notMadeYet }
        #expect(CheckReport(CheckJudgement.findings(surveys, spec: Self.spec)).ok)
    }

    @Test func littleDiskIsWarnedAboutAndNoDiskIsAFailure() throws {
        var surveys = try Self.sound()
        var facts = try #require(surveys[0].facts)
        facts.walFreeBytes = 1 << 30
        surveys[0].agent = .answers(facts)
        #expect(Self.codes(surveys, .warn) == ["disk"])
        facts.dataFreeBytes = 100 << 20
        surveys[0].agent = .answers(facts)
        #expect(Self.codes(surveys, .fail) == ["disk"])
    }

    @Test func scriptsThatThePrimaryLacksAreNamedWithWhatToRun() throws {
        let scripts = [(number: 1, name: "001_roles"), (number: 3, name: "003_more")]
        let surveys = try Self.sound()
        let findings = CheckJudgement.findings(surveys, spec: Self.spec, scripts: scripts).filter {
            $0.severity == .fail
        }
        #expect(findings.map(\.code) == ["scripts"])
        #expect(findings.first?.node == "a")
        #expect(findings.first?.message == "not applied: sql/003_more.sql")
        #expect(findings.first?.hint?.contains("pgha schema apply --superuser-file FILE") == true)
    }

    // MARK: - Samples

    private static let spec = ClusterSpec(name: "demo", nodes: [])

    private static func codes(_ surveys: [NodeSurvey], _ severity: Finding.Severity) -> [String] {
        CheckJudgement.findings(surveys, spec: Self.spec).filter { $0.severity == severity }.map(\.code)
    }

    private static func change(_ survey: inout NodeSurvey, _ body: (inout ServerSurvey) -> Void) throws {
        var answer = try #require(survey.answer)
        body(&answer)
        survey.server = .answers(answer)
    }

    private static func sound() throws -> [NodeSurvey] {
        try ["a", "b", "c"].enumerated().map { index, name in
            let node = try Sample.node(name, 15_432 + index)
            let facts = AgentFacts(
                node: node.name, agentPID: 4700, postmaster: .running(pid: 4711), dataFreeBytes: 69 << 30,
                walFreeBytes: 69 << 30)
            let values = [
                "wal_level": "replica", "hot_standby": "on", "fsync": "on", "full_page_writes": "on",
                "synchronous_commit": "on", "wal_log_hints": "on", "data_checksums": "off", "max_connections": "100",
                "max_wal_senders": "10", "max_replication_slots": "10", "max_slot_wal_keep_size": "8192",
                "recovery_target_timeline": "latest",
            ]
            let server = AdoptableServer(
                version: 150_018, systemIdentifier: 77, inRecovery: index > 0,
                position: WALPosition(history: TimelineHistory(timeline: TimelineID(3)), end: LSN(1)),
                settings: values.mapValues { .init($0) }, scripts: [1, 2])
            let survey = ServerSurvey(
                server, role: "pgha_control", clockOffset: .milliseconds(2), clockError: .milliseconds(1))
            return NodeSurvey(node: node, server: .answers(survey), agent: .answers(facts))
        }
    }
}

@Suite(.enabled(if: ScratchPostgres.unavailable == nil, "needs PostgreSQL's programs"))
struct ServerSurveyorTests {
    @Test func aRealServerIsSurveyedAsItIs() async throws {
        var options = ScratchPostgres.Options()
        options.settings = ["wal_log_hints": "on", "max_connections": "33"]
        let server = try await ScratchPostgres.start(options)
        _ = try await server.query("CREATE ROLE weak LOGIN")
        _ = try await server.query("ALTER ROLE weak SET synchronous_commit = 'local'")
        _ = try await server.query("ALTER ROLE weak SET client_min_messages = 'error'")
        _ = try await server.query("ALTER ROLE weak IN DATABASE postgres SET synchronous_commit = 'off'")
        _ = try await server.query("ALTER DATABASE postgres SET synchronous_commit = 'on'")

        let survey = await ServerSurveyor(node: NodeName("a")!, parameters: server.parameters()).survey()
        guard case .answers(let answer) = survey else {
            Issue.record("no answer: \(survey)")
            return
        }
        #expect(!answer.inRecovery)
        #expect(answer.timeline == TimelineID(1))
        #expect(answer.value("wal_log_hints") == "on")
        #expect(answer.value("max_connections") == "33")
        #expect(answer.missingRights.isEmpty)
        #expect(
            answer.overrides.map { "\($0.whose): \($0.name) = \($0.value)" } == [
                "role weak: client_min_messages = error", "role weak: synchronous_commit = local",
                "role weak in database postgres: synchronous_commit = off",
            ])
        #expect(abs(answer.clockOffset.inSeconds) < 1)

        var parameters = server.parameters()
        parameters.user = "weak"
        guard case .answers(let weak) = await ServerSurveyor(node: NodeName("a")!, parameters: parameters).survey()
        else {
            Issue.record("no answer for a role without rights")
            return
        }
        #expect(weak.missingRights.contains("REPLICATION"))
        #expect(weak.missingRights.contains("ALTER SYSTEM ON PARAMETER pgha.term"))
        #expect(weak.missingRights.contains("membership in pg_monitor"))
        #expect(weak.missingRights.contains("EXECUTE ON pg_promote(boolean, integer)"))
        try await server.stop()
        guard case .unreachable = await ServerSurveyor(node: NodeName("a")!, parameters: server.parameters()).survey()
        else {
            Issue.record("a stopped server answered")
            return
        }
    }

    @Test func aWrongPasswordIsTheRolesProblemAndNotTheServers() async throws {
        var options = ScratchPostgres.Options()
        options.authentication = "scram-sha-256"
        let server = try await ScratchPostgres.start(options)
        var parameters = server.parameters()
        parameters.host = "127.0.0.1"
        parameters.password = Secret("wrong")
        let survey = await ServerSurveyor(node: NodeName("a")!, parameters: parameters).survey()
        guard case .refuses(.role, _) = survey else {
            Issue.record("\(survey)")
            return
        }
        try await server.stop()
    }
}
