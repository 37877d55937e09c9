package import PGHACore

/// Judges what `pgha check` found out. Pure.
package enum CheckJudgement {
    /// Of every node, then of the cluster. `scripts`: those of `sql/`.
    package static func findings(
        _ surveys: [NodeSurvey], spec: ClusterSpec, scripts: [(number: Int, name: String)] = []
    ) -> [Finding] {
        surveys.flatMap { NodeJudgement.findings($0, peers: surveys.count - 1) } + self.identity(surveys)
            + self.scripts(surveys, scripts) + self.leaderLimits(surveys) + self.versions(surveys)
            + self.clocks(surveys)
            + self.strength(surveys, copies: spec.durability.copies)
    }

    /// The primary speaks for all: its roles and tables are everyone's.
    private static func scripts(_ surveys: [NodeSurvey], _ scripts: [(number: Int, name: String)]) -> [Finding] {
        guard let primary = surveys.first(where: { $0.answer?.inRecovery == false }), let server = primary.answer else {
            return []
        }
        let name = primary.node.name.text
        let missing = scripts.filter { !server.server.scripts.contains($0.number) }.map { "sql/\($0.name).sql" }
        guard !missing.isEmpty else {
            return [.ok(name, "scripts", "all \(scripts.count) scripts of sql/ are applied")]
        }
        return [
            .fail(
                name, "scripts", "not applied: \(missing.joined(separator: ", "))",
                hint:
                    "'pgha init --adopt' applies them. In a running cluster: 'pgha schema apply --superuser-file FILE', or"
                    + " as a superuser on \(name)'s host: 'pgha schema print | psql'.")
        ]
    }

    private static func identity(_ surveys: [NodeSurvey]) -> [Finding] {
        let answers = surveys.compactMap { survey in survey.answer.map { (survey.node.name.text, $0) } }
        guard !answers.isEmpty else { return [] }
        let identifiers = Dictionary(grouping: answers) { $0.1.systemIdentifier }.mapValues { $0.map(\.0) }
        guard identifiers.count == 1 else {
            let groups = identifiers.sorted { $0.value[0] < $1.value[0] }.map {
                "\($0.value.joined(separator: ", ")): \($0.key)"
            }
            return [
                .fail(
                    nil, "system_identifier",
                    "the servers belong to different clusters (\(groups.joined(separator: "; ")))",
                    hint: "Take the stranger out of the specification: a server of another cluster is never touched.")
            ]
        }
        let primaries = answers.filter { !$0.1.inRecovery }.map(\.0)
        switch primaries.count {
        case 1: return self.timelines(answers, primary: primaries[0])
        case 0:
            return [
                .warn(
                    nil, "no_primary", "no server is a primary",
                    hint: "In a running cluster see 'pgha status'; to adopt servers, start their primary.")
            ]
        default:
            return [
                .fail(
                    nil, "two_primaries", "more than one server is a primary: \(primaries.joined(separator: ", "))",
                    hint: "In a running cluster see 'pgha status'; otherwise decide for one and rebuild the others.")
            ]
        }
    }

    private static func timelines(_ answers: [(String, ServerSurvey)], primary: String) -> [Finding] {
        guard let leader = answers.first(where: { $0.0 == primary })?.1 else { return [] }
        let ahead = answers.filter { $0.1.timeline > leader.timeline }.map(\.0)
        guard ahead.isEmpty else {
            return [
                .fail(
                    nil, "timeline",
                    "\(ahead.joined(separator: ", ")) is on a later timeline than the primary \(primary)",
                    hint: "It was promoted at some time: run 'pgha rejoin' for it, or rebuild it.")
            ]
        }
        return [.ok(nil, "identity", "one cluster (\(leader.systemIdentifier)), one primary: \(primary)")]
    }

    /// A standby with smaller limits than the primary pauses replay and cannot be promoted.
    private static func leaderLimits(_ surveys: [NodeSurvey]) -> [Finding] {
        guard let leader = surveys.first(where: { $0.answer?.inRecovery == false }), let limits = leader.answer else {
            return []
        }
        var findings: [Finding] = []
        for survey in surveys {
            guard let server = survey.answer, server.inRecovery else { continue }
            for name in ManagedSettings.standbyLimits {
                guard let own = server.value(name).flatMap({ Int($0) }),
                    let needed = limits.value(name).flatMap({ Int($0) }), own < needed
                else { continue }
                findings.append(
                    .fail(
                        survey.node.name.text, name, "\(name) is \(own), the primary \(leader.node.name) has \(needed)",
                        hint:
                            "Raise it to \(needed) and restart; lower it on the primary first, raise it on standbys first."
                    ))
            }
        }
        return findings
    }

    private static func versions(_ surveys: [NodeSurvey]) -> [Finding] {
        let majors = Set(surveys.compactMap { $0.answer.map { $0.version / 10_000 } })
        guard majors.count > 1 else { return [] }
        return [
            .fail(
                nil, "versions",
                "different major versions: \(majors.sorted().map(String.init).joined(separator: ", "))",
                hint: "Physical replication needs one major version: rebuild or upgrade the others.")
        ]
    }

    /// No decision in `quorum` uses a wall clock; logs and history do, and leases in `async`.
    private static func clocks(_ surveys: [NodeSurvey]) -> [Finding] {
        let answers = surveys.compactMap { survey in survey.answer.map { (survey.node.name.text, $0) } }
        return answers.compactMap { name, server in
            let offset = server.clockOffset < .zero ? .zero - server.clockOffset : server.clockOffset
            guard offset - server.clockError > .seconds(1) else { return nil }
            let direction = server.clockOffset > .zero ? "ahead of" : "behind"
            return .warn(
                name, "clock", "its clock is \(HumanUnits.took(offset)) \(direction) this machine's",
                hint: "Let chrony or systemd-timesyncd keep the clocks.")
        }
    }

    private static func strength(_ surveys: [NodeSurvey], copies: Int) -> [Finding] {
        let voters = surveys.filter { !$0.node.nosync }.count
        if voters <= copies, surveys.count > 1, copies > 1 {
            return [
                .warn(
                    nil, "no_spare", "\(copies) copies of \(voters) nodes: when one is lost, commits wait or are fewer",
                    hint: "Add a node, or see durability.on_standby_loss.")
            ]
        }
        return []
    }
}
