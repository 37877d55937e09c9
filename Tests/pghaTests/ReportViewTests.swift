import PGHAClient
import PGHACommand
import PGHACore
import Testing

@testable import pgha

@Suite struct ReportViewTests {
    @Test func aPlanNamesTheWinnerAndWhyNotTheOthers() throws {
        let candidates = [
            FailoverPlan.Candidate(
                name: "a", reason: "it leads now", timeline: 3, lsn: "0/5000148", behindBytes: 0, priority: 100,
                sync: "leader"),
            FailoverPlan.Candidate(
                name: "b", reason: nil, timeline: 3, lsn: "0/5000148", behindBytes: 0, priority: 100, sync: "quorum"),
            FailoverPlan.Candidate(
                name: "c", reason: "it does not answer", timeline: nil, lsn: nil, behindBytes: nil, priority: 50,
                sync: "quorum"),
        ]
        let plan = FailoverPlan(
            leader: "a", term: 4, winner: "b", obstacle: nil, bytesAtRisk: 0, expectedMilliseconds: 120,
            candidates: candidates)
        try expectSnapshot(PlanView.lines(plan).rendered(colour: false), "plan.txt")
        let stuck = FailoverPlan(
            leader: "a", term: 4, winner: nil, obstacle: "1 of 2 standbys answer", bytesAtRisk: nil,
            expectedMilliseconds: nil, candidates: [])
        try expectSnapshot(PlanView.lines(stuck).rendered(colour: false), "plan-stuck.txt")
    }

    @Test func theHistoryShowsLocalTime() throws {
        let entries = [
            HistoryEntry(
                unixMicroseconds: 1_767_225_599_999_999, kind: "failover", term: Term(4), leader: try Sample.name("b"),
                detail: "b leads: a is to be replaced", milliseconds: 118),
            HistoryEntry(unixMicroseconds: 0, kind: "note", term: Term(1), leader: nil, detail: "made"),
        ]
        let lines = HistoryView.lines(HistoryReport(entries), offset: 3600)
        try expectSnapshot(lines.rendered(colour: false), "history.txt")
    }

    @Test func nodesShowTheirFlags() throws {
        var nodes = [try Sample.node("a"), try Sample.node("b", 15_433)]
        (nodes[1].nofailover, nodes[1].noread, nodes[1].zone, nodes[1].agent) = (true, true, "north", nil)
        try expectSnapshot(NodesView.lines(NodesReport(nodes)).rendered(colour: false), "nodes.txt")
    }

    @Test func settingsThatWaitForARestartAreNamedWithTheReason() throws {
        let spec = ClusterSpec(name: "demo", nodes: [try Sample.node("a")], postgres: ["work_mem": "8MB"])
        let report = ConfigReport(spec, pendingRestart: [.init(node: "a", settings: ["shared_buffers"])])
        try expectSnapshot(ConfigView.lines(report).rendered(colour: false), "config.txt")
        let one = ConfigView.lines(report, only: "postgresql").rendered(colour: false)
        #expect(one.hasPrefix("SETTING              VALUE\npostgresql.work_mem  8MB\n"))
    }
}

@Suite struct HumanUnitsTests {
    @Test(
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (16 << 20, "16 MiB"), (3 << 30, "3 GiB"),
            (1 << 50, "1024 TiB"),
        ] as [(UInt64, String)])
    func bytesHaveBinaryUnits(bytes: UInt64, text: String) { #expect(HumanUnits.bytes(bytes) == text) }

    @Test(
        arguments: [
            (40, "0.0 s"), (9_940, "9.9 s"), (45_000, "45 s"), (180_000, "3 min"), (9_000_000, "2.5 h"),
            (864_000_000, "10 d"),
        ] as [(Int, String)])
    func agesAreShort(milliseconds: Int, text: String) { #expect(HumanUnits.age(.milliseconds(milliseconds)) == text) }

    @Test(
        arguments: [
            (951_782_400, "2000-02-29 00:00:00"), (1_767_225_599, "2025-12-31 23:59:59"), (-1, "1969-12-31 23:59:59"),
        ] as [(Int64, String)])
    func datesAreRightAcrossLeapDaysAndYears(seconds: Int64, text: String) {
        #expect(HumanUnits.wallClock(unixMicroseconds: seconds * 1_000_000, offset: 0) == text)
    }
}

@Suite struct ConfigKeysTests {
    @Test func wordsBecomeOneChange() throws {
        let patch = try ConfigKeys.patch([
            "durability.copies=3", "timings.probe_interval=500ms", "postgresql.work_mem=8MB", "postgresql.jit=",
        ])
        #expect(patch.durability?.copies == 3)
        #expect(patch.timings?.probeInterval == 500)
        #expect(patch.postgres == ["work_mem": "8MB", "jit": nil])
    }

    @Test func accessRulesAreLinesOfPgHBA() throws {
        let words = "access=host all app 10.0.0.0/8 scram-sha-256; local all all peer"
        let patch = try ConfigKeys.patch([words])
        #expect(patch.access?.map(\.line) == ["host all app 10.0.0.0/8 scram-sha-256", "local all all peer"])
        var spec = ClusterSpec(name: "demo", nodes: [try Sample.node("a")])
        func shown() -> String? {
            ConfigKeys.settings(ConfigReport(spec, pendingRestart: [])).first { $0.key == "access" }?.value
        }
        #expect(shown() == "host all all all scram-sha-256")
        spec = try decoded(ConfigPatch.self, from: JSONText.line(patch)).applied(to: spec)
        #expect(shown() == "host all app 10.0.0.0/8 scram-sha-256; local all all peer")
        spec = try ConfigKeys.patch(["access="]).applied(to: spec)
        #expect(shown() == "(nobody but pgha)")
        #expect(throws: ControllerRefusal.self) {
            try ConfigPatch(access: [
                AccessRule(type: "host", database: "all", user: "a b", address: "all", method: "md5")
            ])
            .applied(to: spec)
        }
    }

    /// A null in JSON takes a setting out; it must survive the wire.
    @Test func aSettingTakenOutIsNullOnTheWire() throws {
        let patch = try ConfigKeys.patch(["postgresql.jit="])
        #expect(try JSONText.line(patch) == #"{"postgres":{"jit":null}}"#)
        let spec = ClusterSpec(name: "demo", nodes: [try Sample.node("a")], postgres: ["jit": "off"])
        #expect(try decoded(ConfigPatch.self, from: #"{"postgres":{"jit":null}}"#).applied(to: spec).postgres.isEmpty)
    }

    @Test(arguments: [
        ("timings.prob_interval=1s", "Did you mean 'timings.probe_interval'?"), ("copies", "Write KEY=VALUE."),
        ("timings.lease=5", "Give a duration with its unit"), ("durability.copies=two", "Give a whole number"),
        ("timings.max_lag_bytes=1MB", "Give a number of bytes"),
        ("access=host all all trust", "Write TYPE DATABASE USER ADDRESS METHOD"),
        ("access=hots all all all trust", "Give one of local, host"), ("acess=", "Did you mean 'access'?"),
    ])
    func aMistakeNamesTheNextStep(word: String, hint: String) {
        let problem = #expect(throws: ConfigKeys.Problem.self) { try ConfigKeys.patch([word]) }
        #expect(problem?.hint.contains(hint) == true)
    }

    @Test func everyTimingOfTheClusterIsThere() throws {
        let report = ConfigReport(ClusterSpec(name: "demo", nodes: [try Sample.node("a")]), pendingRestart: [])
        let names = ConfigKeys.settings(report).map(\.key)
        #expect(Set(names) == Set(ConfigKeys.known))
        #expect(names.count(where: { $0.hasPrefix("timings.") }) == TimingsDocument.CodingKeys.allCases.count)
    }
}
