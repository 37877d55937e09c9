import PGHAConfiguration
import PGHACore
import Testing

@Suite struct ClusterSpecFileTests {
    static let example = """
        cluster: demo
        durability: {mode: quorum, copies: 2, on_standby_loss: degrade}
        timings:
          probe_interval: 100ms
          keep_diverged: 5min
          max_lag_bytes: 16MB
        postgresql:
          settings:
            work_mem: 8MB
            log_line_prefix: "%m [%p] "
            jit: off
        nodes:
          - name: b
            host: db2.example.org
            port: 5433
            agent: http://db2.example.org:8433
            priority: 50
            zone: north
          - {name: a, host: "::1", nofailover: false, nosync: no, noread: on}
        """

    private static func parse(_ text: String) throws(ConfigurationError) -> ClusterSpec {
        try ClusterSpecFile.parse(text: text, path: "demo.yaml")
    }

    private static func refusal(_ text: String) -> ConfigurationError? {
        do throws(ConfigurationError) {
            _ = try Self.parse(text)
            return nil
        } catch {
            return error
        }
    }

    @Test func everySettingIsRead() throws {
        let spec = try Self.parse(Self.example)
        var timings = Timings()
        timings.probeInterval = .milliseconds(100)
        timings.keepDiverged = .seconds(300)
        timings.maxLagBytes = 16 << 20
        #expect(
            spec
                == ClusterSpec(
                    name: "demo",
                    nodes: [
                        NodeSpec(name: NodeName("a")!, host: "::1", port: 5432, noread: true),
                        NodeSpec(
                            name: NodeName("b")!, host: "db2.example.org", port: 5433,
                            agent: "http://db2.example.org:8433", priority: 50, zone: "north"),
                    ], durability: Durability(onStandbyLoss: .degrade), timings: timings,
                    postgres: ["work_mem": "8MB", "log_line_prefix": "%m [%p] ", "jit": "off"]))
    }

    @Test func theShortestFileHasTheDefaults() throws {
        let spec = try Self.parse("cluster: c\nnodes: [{name: a, host: h}, {name: b, host: i}]\ntimings:\n")
        #expect(spec.durability == Durability())
        #expect(spec.timings == Timings())
        #expect(spec.nodes[0] == NodeSpec(name: NodeName("a")!, host: "h", port: 5432))
    }

    @Test func whatIsRenderedReadsBackTheSame() throws {
        var spec = try Self.parse(Self.example)
        #expect(try Self.parse(ClusterSpecFile.render(spec)) == spec)
        spec.postgres["log_line_prefix"] = "\"'\\ # : \t\u{1}é\n- {x}"
        spec.postgres["search_path"] = ""
        spec.timings.freshness = .milliseconds(1500)
        spec.timings.lease = .microseconds(1_000_001)
        spec.nodes[0].zone = "no"
        spec.nodes[1].priority = -7
        spec.nodes[1].nofailover = true
        #expect(try Self.parse(ClusterSpecFile.render(spec)) == spec)
    }

    /// Each file, the line of its error and the reason.
    static let refusals: [(String, Int?, ConfigurationError.Reason)] = [
        ("cluster: c\ntimngs: {}", 2, .unknownKey("timngs", nearest: "timings")),
        (
            "cluster: c\ntimings:\n  probe-interval: 1s", 3,
            .unknownKey("timings.probe-interval", nearest: "timings.probe_interval")
        ),
        ("cluster: c\nprobe_interval: 1s", 2, .unknownKey("probe_interval", nearest: "timings.probe_interval")),
        ("cluster: c\ntimings: {copies: 2}", 2, .unknownKey("timings.copies", nearest: "durability.copies")),
        ("cluster: c\nquite_another_thing: 1", 2, .unknownKey("quite_another_thing", nearest: nil)),
        (
            "cluster: c\nnodes:\n- name: a\n  host: h\n  prot: 1", 5,
            .unknownKey("nodes[1].prot", nearest: "nodes[1].port")
        ),
        ("nodes: []", 1, .missing("cluster", ways: "give it in the file")),
        ("", nil, .missing("cluster", ways: "give it in the file")),
        ("cluster: c\nnodes:\n  - name: a\n    port: 5432", 3, .missing("nodes[1].host", ways: "give it in the file")),
        ("- a\n- b", 1, .wrongShape(key: "the file", expected: "a mapping of keys and values")),
        ("cluster: c\nnodes: a", 2, .wrongShape(key: "nodes", expected: "a list")),
        ("cluster: c\nnodes: [a]", 2, .wrongShape(key: "nodes[1]", expected: "a mapping of keys and values")),
        ("cluster: c\ntimings:\n  lease: [5s]", 3, .wrongShape(key: "timings.lease", expected: "a single value")),
        ("cluster: c\ntimings:\n  lease:", 3, .wrongShape(key: "timings.lease", expected: "a single value")),
        (
            "cluster: c\npostgresql:\n  settings:\n    work_mem:", 4,
            .wrongShape(key: "postgresql.settings.work_mem", expected: "a single value")
        ),
        (
            "cluster: c\nnodes: [{name: A, host: h}]", 2,
            .wrongValue(
                key: "nodes[1].name", value: "A",
                expected: "a name of lower-case letters, digits and _, starting with a letter, at most 40")
        ),
        (
            "cluster: c\nnodes:\n- {name: a, host: h, port: 70000}", 3,
            .wrongValue(key: "nodes[1].port", value: "70000", expected: "a whole number from 1 to 65535")
        ),
        (
            "cluster: c\nnodes:\n- {name: a, host: h, agent: 'h:8433'}", 3,
            .wrongValue(key: "nodes[1].agent", value: "h:8433", expected: "http://HOST:PORT")
        ),
        (
            "cluster: c\ndurability: {mode: sync}", 2,
            .wrongValue(key: "durability.mode", value: "sync", expected: "quorum or async")
        ),
        (
            "cluster: c\ndurability: {copies: two}", 2,
            .wrongValue(key: "durability.copies", value: "two", expected: "a whole number from 1 to 100")
        ),
    ]

    @Test(arguments: refusals.indices)
    func aWrongFileIsOneErrorWithItsLine(_ index: Int) {
        let (text, line, reason) = Self.refusals[index]
        #expect(Self.refusal(text) == ConfigurationError(.file("demo.yaml", line: line), reason))
    }

    @Test(arguments: ["250", "1 s", "1.5s", "-1s", "s", "1S", "1w", "1ms", "9999999999999d", "１s"])
    func aDurationNeedsAUnitAndSense(_ text: String) {
        let error = Self.refusal("cluster: c\ntimings:\n  probe_interval: \(text)")
        #expect(error?.source == .file("demo.yaml", line: 3))
        #expect(error?.code == "config_wrong_value")
    }

    @Test(arguments: ["1", "1M", "1mb", "-1B", "1.5MB", "99999999TB"])
    func anAmountOfBytesNeedsAUnitAndSense(_ text: String) {
        let error = Self.refusal("cluster: c\ntimings:\n  max_lag_bytes: \(text)")
        #expect(error?.source == .file("demo.yaml", line: 3))
        #expect(error?.code == "config_wrong_value")
    }

    @Test(arguments: [
        "cluster: [c", "cluster: c\n\tnodes: []", "cluster: c\ncluster: d", "a: b: c", "x: *nowhere", "\u{0}",
    ])
    func whatIsNotYAMLSaysWhere(_ text: String) {
        #expect(Self.refusal(text)?.code == "config_syntax")
    }

    @Test func anErrorReadsAsASentenceWithItsPlace() {
        #expect(
            Self.refusal("cluster: c\ntimings:\n  probe_intervall: 1s")?.description
                == "demo.yaml:3: there is no setting 'timings.probe_intervall'; did you mean 'timings.probe_interval'?")
        #expect(
            Self.refusal("cluster: c\ntimings:\n  lease: 5")?.description
                == "demo.yaml:3: 'timings.lease' is '5', but must be a duration with its unit (ms, s, min, h, d) from 1s "
                + "to 10min")
        #expect(
            Self.refusal("cluster: c\ndurability:\n  mode: async\nnodes: [{name: a, host: h}]")?.description
                == "demo.yaml:3: The durability mode 'async' is not supported yet. Use 'quorum'.")
    }

    static let twoNodes = "nodes:\n  - {name: a, host: h}\n  - {name: b, host: i}\n"

    /// Each file, the line of its error and the problem.
    static let problems: [(String, Int?, SpecProblem)] = [
        ("cluster: c", nil, .noNodes),
        ("cluster: c\nnodes: []", 2, .noNodes),
        ("cluster: c\nnodes:\n  - {name: a, host: h}\n  - {name: a, host: i}", 4, .duplicateName(NodeName("a")!)),
        (
            "cluster: c\nnodes:\n  - {name: a, host: h}\n  - {name: b, host: H, port: 5432}", 4,
            .duplicateAddress(NodeName("a")!, NodeName("b")!, address: "h:5432")
        ),
        (
            "cluster: c\nnodes:\n  - {name: a, host: h, agent: 'http://h:1'}\n  - {name: b, host: i, agent: 'http://h:1'}",
            4,
            .duplicateAgent(NodeName("a")!, NodeName("b")!, agent: "http://h:1")
        ),
        ("cluster: c\ndurability:\n  copies: 3\n\(twoNodes)", 3, .copiesOutOfRange(3, voters: 2)),
        (
            "cluster: c\nnodes:\n  - {name: a, host: h}\n  - {name: b, host: i, nosync: true}", nil,
            .copiesOutOfRange(2, voters: 1)
        ),
        (
            "cluster: c\nnodes:\n  - {name: a, host: h, nosync: true}\n  - {name: b, host: i, nofailover: true}", 2,
            .noCandidate
        ),
        (
            "cluster: c\ntimings: {confirm_after: 300ms}\n\(twoNodes)", 2,
            .confirmsTooSoon(probeInterval: .milliseconds(250), confirmAfter: .milliseconds(300))
        ),
        (
            "cluster: c\npostgresql: {settings: {Primary_ConnInfo: x}}\n\(twoNodes)", 2,
            .managedSetting("Primary_ConnInfo")
        ),
        ("cluster: c\npostgresql: {settings: {pgha.term: x}}\n\(twoNodes)", 2, .managedSetting("pgha.term")),
        ("cluster: c\npostgresql: {settings: {\"a b\": x}}\n\(twoNodes)", 2, .badSettingName("a b")),
        (
            "cluster: c\npostgresql: {settings: {fsync: off}}\n\(twoNodes)", 2,
            .unsafeSetting("fsync", value: "off", needed: "on")
        ),
        (
            "cluster: c\npostgresql: {settings: {synchronous_commit: local}}\n\(twoNodes)", 2,
            .unsafeSetting("synchronous_commit", value: "local", needed: "on or remote_apply")
        ),
    ]

    @Test(arguments: problems.indices)
    func aSpecificationThatCannotBeIsOneErrorWithItsLine(_ index: Int) {
        let (text, line, problem) = Self.problems[index]
        #expect(Self.refusal(text) == ConfigurationError(.file("demo.yaml", line: line), .specification(problem)))
    }
}
