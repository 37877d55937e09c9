import Foundation
import PGHAAgent
import PGHAController
import PGHACore
import Testing

/// Alerts and dashboards ask for series that there are.
@Suite struct MetricNamesTests {
    /// The names of all families, as the sources that make them spell them.
    static func families() throws -> Set<String> {
        let files = Deploy.files(below: "Sources").filter { $0.hasSuffix("Metrics.swift") }
        var names: Set<String> = []
        for file in files {
            let words = try Deploy.text(file).split(separator: "\"")
            names.formUnion(words.filter { Self.isMetric($0) }.map(String.init))
        }
        return names
    }

    static func isMetric(_ word: some StringProtocol) -> Bool {
        ["pgha_", "process_"].contains { word.hasPrefix($0) }
            && word.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F }
    }

    /// The metrics that an expression names; those of histograms without their endings.
    static func metrics(in expression: String) -> [String] {
        let words = expression.utf8.split { !(0x61...0x7A).contains($0) && $0 != 0x5F }.compactMap { String($0) }
        return words.filter { Self.isMetric($0) }.map { word in
            ["_bucket", "_sum", "_count"].first { word.hasSuffix($0) }.map { String(word.dropLast($0.count)) } ?? word
        }
    }

    @Test func alertsNameMetricsThatThereAre() throws {
        let families = try Self.families()
        #expect(families.count > 50)
        for rule in try Self.rules() {
            let name = rule["alert"].text ?? ""
            let used = Self.metrics(in: rule["expr"].text ?? "")
            #expect(!used.isEmpty, "\(name) asks for nothing of ours")
            for metric in used { #expect(families.contains(metric), "\(name) asks for \(metric)") }
        }
    }

    @Test func theDashboardNamesMetricsThatThereAre() throws {
        let families = try Self.families()
        let dashboard = try Deploy.json("deploy/grafana/dashboards/pgha.json")
        let panels = dashboard["panels"].list.filter { $0["type"].text != "row" }
        #expect(panels.count > 20)
        for panel in panels {
            let title = panel["title"].text ?? ""
            let expressions = panel["targets"].list.compactMap { $0["expr"].text }
            #expect(!expressions.isEmpty, "\(title)")
            for metric in expressions.flatMap(Self.metrics) {
                #expect(families.contains(metric), "\(title) asks for \(metric)")
            }
        }
        let identifiers = dashboard["panels"].list.compactMap { $0["id"].number }
        #expect(Set(identifiers).count == dashboard["panels"].list.count)
    }

    static func rules() throws -> [Document] {
        let groups = try #require(try Deploy.yaml("deploy/prometheus/alerts.yaml").first)["groups"].list
        return groups.flatMap { $0["rules"].list }
    }

    @Test func everyAlertHasItsRunbookAndItsTests() throws {
        let runbooks = try Deploy.text("Sources/PGHACore/PGHACore.docc/Runbooks.md")
        let tests = try #require(try Deploy.yaml("deploy/prometheus/alerts_test.yaml").first)["tests"].list
        let rules = try Self.rules()
        #expect(Set(rules.compactMap { $0["alert"].text }).count == rules.count)
        for rule in rules {
            let name = try #require(rule["alert"].text)
            #expect(["critical", "warning", "info"].contains(rule["labels"]["severity"].text), "\(name)")
            #expect(runbooks.contains("\n### \(name)\n"), "\(name) has no runbook")
            let link = rule["annotations"]["runbook_url"].text
            #expect(link == "Sources/PGHACore/PGHACore.docc/Runbooks.md#\(name.lowercased())")
            let outcomes = tests.flatMap { $0["alert_rule_test"].list }.filter { $0["alertname"].text == name }
            #expect(outcomes.contains { !$0["exp_alerts"].list.isEmpty }, "no test in which \(name) fires")
            #expect(outcomes.contains { $0["exp_alerts"].list.isEmpty }, "no test in which \(name) is quiet")
        }
        for match in runbooks.matches(of: #/\n### (\w+)\n/#) {
            let isAlert = rules.contains { $0["alert"].text == String(match.1) }
            #expect(isAlert, "there is no alert \(match.1)")
        }
    }

    // MARK: - The texts themselves

    static func texts() throws -> [String] {
        let name = try #require(NodeName("a"))
        var facts = AgentFacts(node: name, agentPID: 1, postmaster: .running(pid: 2), dataFreeBytes: 3, walFreeBytes: 4)
        facts.activity = "clone from b: 45 %"
        let status = ClusterStatus(
            cluster: "demo", term: Term(3), leader: name, rule: nil, phase: "steady", durability: Durability(),
            effectiveCopies: 2, atRiskReason: nil, verdict: "healthy", waitingFor: nil, paused: false, nodes: [])
        let slot = SlotStatus(node: name, slot: "pgha_b", active: true, lost: false, retainedBytes: 5)
        return [
            ControllerMetrics().text(status, leading: true, details: .init(slots: [slot])),
            AgentMetrics().text(
                facts, saved: SavedWAL(count: 1, bytes: 6), certificates: ["http_tls_cert_file": 1_800_000_000]),
        ]
    }

    /// Source: Prometheus documentation, "Metric and label naming".
    @Test func namesFollowTheConventions() throws {
        for text in try Self.texts() {
            var kinds: [String: String] = [:]
            for line in text.split(separator: "\n") where line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                kinds[String(words[2])] = String(words[3])
            }
            for (name, kind) in kinds {
                #expect(text.contains("# HELP \(name) "), "\(name)")
                #expect((kind == "counter") == name.hasSuffix("_total"), "\(name) is a \(kind)")
                for unit in ["milliseconds", "_ms", "minutes", "kilobytes", "_kb", "_mb", "percent"] {
                    #expect(!name.contains(unit), "\(name): base units only")
                }
            }
            for line in text.split(separator: "\n") where !line.hasPrefix("#") {
                let name = String(line.prefix { $0 != "{" && $0 != " " })
                #expect(Self.metrics(in: name).contains { kinds[$0] != nil }, "\(name) has no TYPE")
            }
        }
        let agent = try Self.texts()[1]
        #expect(agent.contains("pgha_agent_work_progress_ratio{node=\"a\"} 0.45\n"))
        #expect(
            agent.contains(
                "pgha_tls_certificate_expiry_timestamp_seconds{setting=\"http_tls_cert_file\"} 1800000000\n"))
    }

    static let promtool = Tool.path("promtool")

    @Test(.enabled(if: Self.promtool != nil, "promtool is not installed"))
    func promtoolHasNoComplaint() throws {
        for text in try Self.texts() {
            let (output, status) = try Tool.run(
                try #require(Self.promtool), ["check", "metrics"], input: Data(text.utf8))
            #expect(status == 0 && output.isEmpty, "\(output)")
        }
    }
}
