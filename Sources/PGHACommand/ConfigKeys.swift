package import PGHAClient
import PGHAConfiguration
import PGHACore

/// The settings that change while a cluster runs, as `pgha config` names them: `durability.copies`,
/// `timings.probe_interval`, `postgresql.work_mem`.
package enum ConfigKeys {
    /// Why `KEY=VALUE` was not understood.
    package struct Problem: Error, Hashable, Sendable {
        package var message: String
        package var hint: String
    }

    private static let serverPrefix = "postgresql."

    private typealias Field = (key: String, path: WritableKeyPath<TimingsDocument, Int64?>)

    // Computed: key paths are not Sendable.
    private static var durations: [Field] {
        [
            ("confirm_after", \.confirmAfter), ("drain_timeout", \.drainTimeout),
            ("failover_interval", \.failoverInterval), ("freshness", \.freshness), ("keep_diverged", \.keepDiverged),
            ("lease", \.lease), ("probe_interval", \.probeInterval), ("standby_timeout", \.standbyTimeout),
            ("start_patience", \.startPatience), ("veto_max", \.vetoMax),
        ]
    }

    /// Every key but those of PostgreSQL.
    package static var known: [String] {
        ["access", "durability.copies", "durability.mode", "durability.on_standby_loss"]
            + (self.durations.map(\.key) + ["max_lag_bytes"]).map { "timings.\($0)" }
    }

    /// Every setting with its value.
    package static func settings(_ report: ConfigReport) -> [(key: String, value: String)] {
        let access = report.access ?? [.anyoneWithPassword]
        var result: [(String, String)] = [
            ("access", access.isEmpty ? "(nobody but pgha)" : access.map(\.line).joined(separator: "; ")),
            ("durability.copies", report.durability.copies.map(String.init) ?? ""),
            ("durability.mode", report.durability.mode ?? ""),
            ("durability.on_standby_loss", report.durability.onStandbyLoss ?? ""),
        ]
        for field in self.durations {
            let value = report.timings[keyPath: field.path].map { DurationValue.text(.milliseconds($0)) } ?? ""
            result.append(("timings.\(field.key)", value))
        }
        result.append(("timings.max_lag_bytes", report.timings.maxLagBytes.map(String.init) ?? ""))
        return result + report.postgres.sorted { $0.key < $1.key }.map { ("postgresql.\($0.key)", $0.value) }
    }

    /// The change that `KEY=VALUE` words ask for.
    package static func patch(_ words: [String]) throws(Problem) -> ConfigPatch {
        var patch = ConfigPatch()
        for word in words {
            guard let equals = word.firstIndex(of: "=") else {
                throw Problem(message: "'\(word)' sets nothing", hint: "Write KEY=VALUE.")
            }
            try self.set(&patch, key: String(word[..<equals]), value: String(word[word.index(after: equals)...]))
        }
        return patch
    }

    private static func set(_ patch: inout ConfigPatch, key: String, value: String) throws(Problem) {
        if key.hasPrefix(self.serverPrefix), key.count > self.serverPrefix.count {
            let name = String(key.dropFirst(self.serverPrefix.count))
            // An empty value takes the setting out of the spec.
            patch.postgres = (patch.postgres ?? [:]).merging([name: value.isEmpty ? nil : value]) { $1 }
            return
        }
        guard self.known.contains(key) else {
            let nearest = NearestKey.of(key, among: self.known).map { "Did you mean '\($0)'? " } ?? ""
            throw Problem(
                message: "there is no setting '\(key)'",
                hint: nearest + "'pgha config get' lists them; PostgreSQL's own start with 'postgresql.'.")
        }
        if key == "access" {
            patch.access = try self.access(value)
        } else if key.hasPrefix("durability.") {
            patch.durability = try self.durability(patch.durability ?? DurabilityDocument(), key, value)
        } else {
            patch.timings = try self.timing(patch.timings ?? TimingsDocument(), String(key.dropFirst(8)), value)
        }
    }

    /// Lines of `pg_hba.conf`, with `;` between them.
    private static func access(_ text: String) throws(Problem) -> [AccessRule] {
        var rules: [AccessRule] = []
        for line in text.split(separator: ";").map(String.init) where line.contains(where: { !$0.isWhitespace }) {
            guard let rule = AccessRule(line: line) else {
                throw Problem(
                    message: "'\(line)' is no rule",
                    hint: "Write TYPE DATABASE USER ADDRESS METHOD, such as 'host all app"
                        + " 10.0.0.0/8 scram-sha-256', and ';' between rules.")
            }
            if let problem = rule.problem {
                throw Problem(
                    message: "'\(problem.value)' is not what '\(problem.field)' takes",
                    hint: "Give \(problem.expected).")
            }
            rules.append(rule)
        }
        return rules
    }

    private static func durability(
        _ document: DurabilityDocument, _ key: String, _ value: String
    ) throws(Problem) -> DurabilityDocument {
        var document = document
        switch key {
        case "durability.mode": document.mode = value
        case "durability.on_standby_loss": document.onStandbyLoss = value
        default:
            guard let copies = Int(value) else {
                throw Problem(message: "\(key) is '\(value)'", hint: "Give a whole number, such as 2.")
            }
            document.copies = copies
        }
        return document
    }

    private static func timing(
        _ document: TimingsDocument, _ key: String, _ value: String
    ) throws(Problem) -> TimingsDocument {
        var document = document
        if key == "max_lag_bytes" {
            guard let bytes = UInt64(value) else {
                throw Problem(message: "timings.max_lag_bytes is '\(value)'", hint: "Give a number of bytes.")
            }
            document.maxLagBytes = bytes
        } else if let field = self.durations.first(where: { $0.key == key }) {
            guard let duration = DurationValue.parse(value), duration >= .milliseconds(1) else {
                throw Problem(
                    message: "timings.\(key) is '\(value)'",
                    hint: "Give a duration with its unit: 250ms, 10s, 5min, 2h, 7d.")
            }
            document[keyPath: field.path] = duration.milliseconds
        }
        return document
    }
}

/// `pgha config get`.
package enum ConfigView {
    package static func lines(_ report: ConfigReport, only key: String? = nil) -> [Line] {
        let settings = ConfigKeys.settings(report).filter { setting in
            key.map { setting.key == $0 || setting.key.hasPrefix("\($0).") } ?? true
        }
        var table = TextTable([("SETTING", .left), ("VALUE", .left)])
        table.rows = settings.map { [Styled($0.key), Styled($0.value.isEmpty ? "default" : $0.value, .strong)] }
        return table.lines + self.pendingLines(report)
    }

    package static func pendingLines(_ report: ConfigReport) -> [Line] {
        guard !report.pendingRestart.isEmpty else { return [] }
        let nodes: [Line] = report.pendingRestart.map {
            [Styled($0.node, .strong), Styled(" needs a restart for \($0.settings.joined(separator: ", "))", .warning)]
        }
        return [""] + nodes + [[Styled("PostgreSQL reads these only at its start: run 'pgha restart'.", .faint)]]
    }
}
