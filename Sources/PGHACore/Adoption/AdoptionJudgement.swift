/// The single conditions of ``Adoption``.
enum AdoptionJudgement {
    typealias Problem = Adoption.Problem

    // MARK: - One server

    static func tooOld(_ node: NodeName, _ version: Int) -> Problem {
        Problem(
            "version_too_old", node,
            "PostgreSQL \(self.text(ofVersion: version)) is too old: 15 is the oldest version supported",
            hint: "Upgrade it with pg_upgrade first.")
    }

    static func unreadable(_ node: NodeSpec, _ why: String) -> Problem {
        Problem(
            "unreadable", node.name, "\(node.host):\(node.port) cannot be read: \(why)",
            hint: "Start it, or correct host and port; see that pg_hba.conf lets pgha_control in. The roles are made by"
                + " 'pgha init --adopt --superuser-file FILE --passfile FILE'.")
    }

    static func pledged(_ node: NodeName, _ pledge: Pledge) -> Problem {
        Problem(
            "pledged", node, "it holds pledge \(pledge): a controller of pgha leads it",
            hint: "Use that controller. If it is gone for good: 'pgha store adopt -f FILE'.")
    }

    static func problems(of node: NodeSpec, _ server: AdoptableServer, peers: Int) -> [Problem] {
        var problems: [Problem] = []
        if let pledge = server.pledge { problems.append(self.pledged(node.name, pledge)) }
        if !server.missingRights.isEmpty, !server.inRecovery {
            problems.append(
                Problem(
                    "rights", node.name, "the controller's role lacks \(server.missingRights.joined(separator: ", "))",
                    hint: "Give 'pgha init --adopt' --superuser-file, or run sql/ on the primary as a superuser."))
        }
        return problems + self.overrides(node.name, server) + self.replication(node.name, server, peers: peers)
            + self.safety(node.name, server)
    }

    private static func overrides(_ node: NodeName, _ server: AdoptableServer) -> [Problem] {
        var problems = ManagedSettings.overSQL.filter { server.settings[$0]?.source == "command line" }.map { name in
            Problem(
                "command_line", node, "\(name) is given on the postmaster's command line, where nothing overrides it",
                hint: "Take '-c \(name)=…' out of how PostgreSQL is started, and restart it.", remedy: .restart)
        }
        if server.settings["allow_alter_system"]?.value == "off" {
            problems.append(
                Problem(
                    "allow_alter_system", node, "allow_alter_system is off: it can be neither fenced nor repointed",
                    hint: "Set allow_alter_system = on and reload.", remedy: .reload))
        }
        return problems
    }

    private static func replication(_ node: NodeName, _ server: AdoptableServer, peers: Int) -> [Problem] {
        func value(_ name: String) -> String? { server.settings[name]?.value }
        var problems: [Problem] = []
        if value("wal_level") == "minimal" {
            problems.append(self.restart("wal_level", node, "minimal", "replica", "nothing can stream from it"))
        }
        if value("hot_standby") == "off" {
            problems.append(self.restart("hot_standby", node, "off", "on", "as a standby it can be asked nothing"))
        }
        if let target = value("recovery_target_timeline"), target != "latest" {
            problems.append(
                self.restart(
                    "recovery_target_timeline", node, target, "latest", "it could not follow a new leader"))
        }
        // Each peer streams, and each keeps a slot here whether it streams or not.
        let slots = server.foreignSlots.count + peers
        for (name, needed) in [("max_wal_senders", peers + 1), ("max_replication_slots", slots)] {
            guard let present = value(name).flatMap({ Int($0) }), present < needed else { continue }
            problems.append(self.restart(name, node, "\(present)", "\(max(needed, 10))", "\(needed) are needed"))
        }
        return problems
    }

    private static func safety(_ node: NodeName, _ server: AdoptableServer) -> [Problem] {
        ["fsync", "full_page_writes"].filter { server.settings[$0]?.value == "off" }.map { name in
            Problem(
                name, node, "\(name) is off: a crash can lose acknowledged commits or damage the data",
                hint: "Set \(name) = on and reload.", remedy: .reload)
        }
    }

    private static func restart(
        _ name: String, _ node: NodeName, _ value: String, _ needed: String, _ why: String
    ) -> Problem {
        Problem(
            name, node, "\(name) is \(value): \(why)", hint: "Set \(name) = \(needed) and restart it.",
            remedy: .restart)
    }

    /// An agent must be the parent, or the adopter, of exactly this server: one that has other data or none would
    /// make a second server.
    static func agentProblems(of node: NodeSpec, _ survey: AdoptionSurvey) -> [Problem] {
        let problems = self.agentProblems(of: node, survey.agent)
        guard problems.isEmpty, case .facts(let facts) = survey.agent, case .found(let server) = survey.server,
            facts.systemIdentifier != server.systemIdentifier
        else { return problems }
        return [self.withoutServer(node.name)]
    }

    static func agentProblems(of node: NodeSpec, _ agent: AdoptionSurvey.Agent) -> [Problem] {
        switch agent {
        case .none: return []
        case .silent(let why):
            return [
                Problem(
                    "agent_silent", node.name, "its agent does not answer: \(why)",
                    hint: "Start it, or take 'agent' out of the specification: it can be added later.")
            ]
        case .facts(let facts):
            guard facts.node == node.name else {
                return [
                    Problem(
                        "agent_of_another_node", node.name, "the agent at its address is node \(facts.node)'s",
                        hint: "Correct 'agent' of \(node.name) or of \(facts.node).")
                ]
            }
            if case .running = facts.postmaster { return [] }
            return [self.withoutServer(node.name)]
        }
    }

    private static func withoutServer(_ node: NodeName) -> Problem {
        Problem(
            "agent_without_server", node, "its agent does not have this server, or the server does not run",
            hint:
                "Start the server as you always did, and the agent with --data and its data directory; or take 'agent'"
                + " out of the specification: it can be added later.")
    }

    // MARK: - All of them

    static func identityProblems(_ servers: [NodeName: AdoptableServer]) -> [Problem] {
        let groups = Dictionary(grouping: servers.keys.sorted()) { servers[$0]?.systemIdentifier ?? 0 }
        var problems = groups.count > 1 ? [self.foreign(groups)] : []
        let majors = Set(servers.values.map { $0.version / 10_000 }).sorted()
        if majors.count > 1 {
            problems.append(
                Problem(
                    "versions", nil, "different major versions: \(majors.map(String.init).joined(separator: ", "))",
                    hint: "Physical replication needs one: rebuild or upgrade the others."))
        }
        return problems
    }

    static func foreign(_ groups: [UInt64: [NodeName]]) -> Problem {
        let words = groups.sorted { $0.value[0] < $1.value[0] }
            .map { "\($0.value.map(\.text).joined(separator: ", ")): \($0.key)" }.joined(separator: "; ")
        return Problem(
            "system_identifier", nil, "the servers belong to different clusters (\(words))",
            hint: "Take the stranger out of the specification: it is not touched.")
    }

    static func notOnePrimary(_ primaries: [NodeName]) -> Problem {
        primaries.isEmpty
            ? Problem("no_primary", nil, "no server is a primary", hint: "Start or promote the one that should lead.")
            : Problem(
                "two_primaries", nil, "\(primaries.map(\.text).joined(separator: ", ")) are primaries",
                hint: "Decide for one, and rebuild the others from it or take them out of the specification.")
    }

    static func problems(
        between leader: NodeName, _ primary: AdoptableServer, _ servers: [NodeName: AdoptableServer], scripts: [Int]
    ) -> [Problem] {
        var problems: [Problem] = []
        let missing = Set(scripts).subtracting(primary.scripts).sorted()
        if !missing.isEmpty {
            problems.append(
                Problem(
                    "scripts", leader,
                    "scripts of sql/ are missing: \(missing.map(String.init).joined(separator: ", "))",
                    hint: "Give 'pgha init --adopt' --superuser-file, or run them on \(leader) as a superuser."))
        }
        for (node, server) in servers.sorted(by: { $0.key < $1.key }) where server.inRecovery {
            if server.systemIdentifier == primary.systemIdentifier, !self.isPrefix(server.position, primary.position) {
                problems.append(
                    Problem(
                        "diverged", node,
                        "its WAL left the primary's history (timeline \(server.position.history.timeline))",
                        hint: "Rebuild it from \(leader), or take it out of the specification."))
            }
            for name in ManagedSettings.standbyLimits {
                guard let own = server.settings[name].flatMap({ Int($0.value) }),
                    let needed = primary.settings[name].flatMap({ Int($0.value) }), own < needed
                else { continue }
                problems.append(
                    self.restart(name, node, "\(own)", "\(needed)", "the primary \(leader) has \(needed)"))
            }
        }
        return problems
    }

    /// The standby's timelines are the first of the primary's, with the same switch points.
    private static func isPrefix(_ standby: WALPosition, _ primary: WALPosition) -> Bool {
        let ours = standby.history.segments, theirs = primary.history.segments
        guard ours.count <= theirs.count else { return false }
        for (our, their) in zip(ours.dropLast(), theirs) where our != their { return false }
        let last = ours[ours.count - 1], same = theirs[ours.count - 1]
        return last.timeline == same.timeline && last.begin == same.begin
            && (same.end.map { standby.end <= $0 } ?? true)
    }

    // MARK: - No obstacles

    static func notes(_ spec: ClusterSpec, _ servers: [NodeName: AdoptableServer]) -> [String] {
        servers.sorted { $0.key < $1.key }.flatMap { node, server -> [String] in
            func value(_ name: String) -> String? { server.settings[name]?.value }
            var notes: [String] = []
            if let level = value("synchronous_commit"), level != "on", level != "remote_apply" {
                notes.append("\(node): synchronous_commit is \(level), so acknowledged commits can be lost")
            }
            if spec[node]?.agent != nil, value("wal_log_hints") == "off", value("data_checksums") == "off" {
                notes.append("\(node): without wal_log_hints or checksums it is copied anew where it could be rewound")
            }
            if value("restore_command")?.isEmpty == false {
                notes.append("\(node): restore_command is emptied, since a sealed standby must not get WAL elsewhere")
            }
            if !server.foreignSlots.isEmpty {
                notes.append(
                    "\(node): slots that are not pgha's stay: \(server.foreignSlots.sorted().joined(separator: ", "));"
                        + " drop those that no longer serve")
            }
            return notes
        }
    }

    private static func text(ofVersion version: Int) -> String {
        version >= 100_000 ? "\(version / 10_000).\(version % 10_000)" : "\(version / 10_000).\(version / 100 % 100)"
    }
}
