import PGHACore

extension ClusterSpecFile {
    private static let fields = ["type", "database", "user", "address", "method"]

    /// The list `access`; nil when the key is not there. What a rule leaves out is as in
    /// ``AccessRule/anyoneWithPassword``.
    static func access(_ root: YAMLSection) throws(ConfigurationError) -> [AccessRule]? {
        guard root.names.contains(where: { $0.text == "access" }) else { return nil }
        var rules: [AccessRule] = []
        for section in try root.list("access") {
            try section.refuseUnknown(known: Self.fields)
            let fallback = AccessRule.anyoneWithPassword
            let type = try section.text("type")?.text ?? fallback.type
            let rule = AccessRule(
                type: type, database: try section.text("database")?.text ?? fallback.database,
                user: try section.text("user")?.text ?? fallback.user,
                address: try section.text("address")?.text ?? (type == "local" ? nil : fallback.address),
                method: try section.text("method")?.text ?? fallback.method)
            if let problem = rule.problem {
                let line = section.names.first { $0.text == problem.field }?.line ?? section.line
                throw ConfigurationError(
                    .file(section.file, line: line),
                    .wrongValue(key: section.path(problem.field), value: problem.value, expected: problem.expected))
            }
            rules.append(rule)
        }
        return rules
    }

    static func accessLines(_ rules: [AccessRule]) -> [String] {
        guard !rules.isEmpty else { return ["access: []"] }
        return ["access:"]
            + rules.flatMap { rule -> [String] in
                var lines = ["type: \(YAMLText.scalar(rule.type))", "database: \(YAMLText.scalar(rule.database))"]
                lines.append("user: \(YAMLText.scalar(rule.user))")
                if let address = rule.address { lines.append("address: \(YAMLText.scalar(address))") }
                lines.append("method: \(YAMLText.scalar(rule.method))")
                return lines.enumerated().map { $0.offset == 0 ? "  - \($0.element)" : "    \($0.element)" }
            }
    }
}
