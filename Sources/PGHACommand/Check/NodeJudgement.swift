import PGHACore

/// Whether one server can be a member of a cluster.
enum NodeJudgement {
    static func findings(_ survey: NodeSurvey, peers: Int) -> [Finding] {
        let name = survey.node.name.text
        return self.agentFindings(survey, name) + self.serverFindings(survey, name, peers: peers)
    }

    // MARK: - Agent

    private static func agentFindings(_ survey: NodeSurvey, _ name: String) -> [Finding] {
        switch survey.agent {
        case .none:
            return [
                .warn(
                    name, "no_agent", "has no agent: pgha can watch and promote it, but not start, fence or rebuild it",
                    hint: "Run 'pgha agent' beside it and give its address under 'agent'.")
            ]
        case .silent(let url, let reason):
            return [
                .fail(
                    name, "agent_silent", "its agent does not answer at \(url): \(reason)",
                    hint: "Start it ('pgha agent --node \(name) …'), or correct the address.")
            ]
        case .answers(let facts): return self.agentFindings(facts, name)
        }
    }

    private static func agentFindings(_ facts: AgentFacts, _ name: String) -> [Finding] {
        guard facts.node.text == name else {
            return [
                .fail(
                    name, "agent_of_another_node", "the agent at its address is node \(facts.node)'s",
                    hint: "Correct 'agent' of \(name) or of \(facts.node).")
            ]
        }
        var findings: [Finding] = [.ok(name, "agent", "agent answers (process \(facts.agentPID))")]
        if let problem = facts.problem {
            findings.append(
                .warn(name, "agent_problem", "its agent's last work failed: \(problem)", hint: "See the agent's log."))
        }
        findings += self.disk(facts.dataFreeBytes, "data", name)
        if facts.walFreeBytes != facts.dataFreeBytes { findings += self.disk(facts.walFreeBytes, "WAL", name) }
        return findings
    }

    private static func disk(_ free: UInt64?, _ what: String, _ name: String) -> [Finding] {
        guard let free else {
            return [
                .warn(
                    name, "disk", "how much room is left for \(what) is unknown",
                    hint: "See the agent's log; check with df.")
            ]
        }
        let words = "\(HumanUnits.bytes(free)) free for \(what)"
        let hint = "Make room: a server without room for WAL stops, and a copy needs as much room as the data."
        if free < 256 << 20 { return [.fail(name, "disk", "only \(words)", hint: hint)] }
        if free < 2 << 30 { return [.warn(name, "disk", "only \(words)", hint: hint)] }
        return [.ok(name, "disk", words)]
    }

    // MARK: - Server

    private static func serverFindings(_ survey: NodeSurvey, _ name: String, peers: Int) -> [Finding] {
        let address = "\(survey.node.host):\(survey.node.port)"
        switch survey.server {
        case .notMadeYet: return [.ok(name, "no_server", "no server yet: 'pgha init' makes it")]
        case .unreachable(let text):
            return [
                .fail(
                    name, "unreachable", "no PostgreSQL answers at \(address): \(text)",
                    hint: "Start it, or correct host and port; check listen_addresses and firewalls.")
            ]
        case .refuses(let refusal, let text): return [self.refusal(refusal, text, name, address: address)]
        case .tooOld(let version):
            return [
                .fail(
                    name, "version_too_old",
                    "PostgreSQL \(ServerSurvey.versionText(version)) is too old: 15 is the oldest version supported",
                    hint: "Upgrade it with pg_upgrade first.")
            ]
        case .answers(let server): return self.findings(server, name, peers: peers)
        }
    }

    private static func refusal(
        _ refusal: NodeSurvey.Refusal, _ text: String, _ name: String, address: String
    ) -> Finding {
        let message = "PostgreSQL at \(address) lets nobody check it: \(text)"
        switch refusal {
        case .role:
            return .fail(
                name, "role_refused", "PostgreSQL at \(address) does not let this role in: \(text)",
                hint: "Check --user, the password in --passfile, and pg_hba.conf.")
        case .tls:
            return .fail(name, "tls", message, hint: "Check --sslmode, and the server's certificate and key.")
        case .starting: return .fail(name, "starting", message, hint: "Wait until it is up, and check again.")
        case .other: return .fail(name, "no_session", message, hint: "See the server's log.")
        }
    }

    private static func findings(_ server: ServerSurvey, _ name: String, peers: Int) -> [Finding] {
        let role = server.inRecovery ? "standby" : "primary"
        return [
            .ok(name, "version", "PostgreSQL \(server.versionText) answers as \(role) on timeline \(server.timeline)")
        ]
            + SettingsJudgement.findings(server, name, peers: peers) + self.rights(server, name)
            + self.overrides(server, name)
    }

    private static func rights(_ server: ServerSurvey, _ name: String) -> [Finding] {
        guard !server.missingRights.isEmpty else {
            return [.ok(name, "rights", "role \(server.role) has the rights it needs")]
        }
        return [
            .fail(
                name, "rights", "role \(server.role) lacks \(server.missingRights.joined(separator: ", "))",
                hint: "'pgha init' grants them; by hand, run sql/001_roles.sql on the primary as a superuser.")
        ]
    }

    private static func overrides(_ server: ServerSurvey, _ name: String) -> [Finding] {
        // Roles and databases are the cluster's: the primary speaks for all.
        guard !server.inRecovery else { return [] }
        return server.overrides.compactMap { override in
            switch (override.name, override.value) {
            case ("synchronous_commit", "on"), ("synchronous_commit", "remote_apply"): nil
            case ("synchronous_commit", _):
                .warn(
                    nil, "synchronous_commit",
                    "\(override.whose) has synchronous_commit = \(override.value): "
                        + "its acknowledged commits can be lost in a failover",
                    hint: "ALTER \(override.alterWords) RESET synchronous_commit, if they matter.")
            default:
                .warn(
                    nil, override.name,
                    "\(override.whose) has \(override.name) = \(override.value), "
                        + "which hides the warning that a commit is not replicated",
                    hint: "ALTER \(override.alterWords) RESET \(override.name).")
            }
        }
    }
}

extension ServerSurvey.Override {
    /// `ROLE app IN DATABASE shop`, for `ALTER`.
    var alterWords: String {
        self.whose.replacing("role ", with: "ROLE ").replacing(" in database ", with: " IN DATABASE ")
            .replacing("database ", with: "DATABASE ")
    }
}
