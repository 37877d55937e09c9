/// Whether running servers can be taken over as they are, and what stands in the way: all of it, not the first thing
/// only. Nothing is changed by judging.
package enum Adoption {
    /// What stands in the way, and the next step.
    package struct Problem: Error, Hashable, Sendable {
        /// What it takes to remove the obstacle.
        package enum Remedy: String, Hashable, Sendable {
            case restart, reload, other
        }

        /// Stable, for programs.
        package var code: String
        /// Nil for what concerns all of them.
        package var node: NodeName?
        package var message: String
        package var hint: String
        package var remedy: Remedy

        package init(_ code: String, _ node: NodeName?, _ message: String, hint: String, remedy: Remedy = .other) {
            self.code = code
            self.node = node
            self.message = message
            self.hint = hint
            self.remedy = remedy
        }
    }

    /// What can be taken over.
    package struct Finding: Hashable, Sendable {
        package var leader: NodeName
        package var systemIdentifier: UInt64
        /// The primary's.
        package var position: WALPosition
        /// What is worth knowing and no obstacle.
        package var notes: [String]
    }

    package struct Refusal: Error, Hashable, Sendable {
        /// At least one; those of single nodes first, in the order of their names.
        package var problems: [Problem]

        package init(problems: [Problem]) { self.problems = problems }
    }

    /// `server_version_num` of the oldest version supported.
    package static let oldestVersion = 150_000

    /// What stands in the way of having the agents prepare their servers: looked at before any of them is touched.
    package static func judgeAgents(_ spec: ClusterSpec, _ agents: [NodeName: AdoptionSurvey.Agent]) -> [Problem] {
        var problems: [Problem] = []
        var identifiers: [UInt64: [NodeName]] = [:]
        for node in spec.nodes where node.agent != nil {
            let agent = agents[node.name] ?? .silent("it was not asked")
            problems += AdoptionJudgement.agentProblems(of: node, agent)
            guard case .facts(let facts) = agent else { continue }
            if let pledge = facts.pledge { problems.append(AdoptionJudgement.pledged(node.name, pledge)) }
            if let identifier = facts.systemIdentifier { identifiers[identifier, default: []].append(node.name) }
        }
        if identifiers.count > 1 { problems.append(AdoptionJudgement.foreign(identifiers)) }
        return problems
    }

    package static func judge(
        _ spec: ClusterSpec, _ surveys: [NodeName: AdoptionSurvey], scripts: [Int]
    ) -> Result<Finding, Refusal> {
        var problems: [Problem] = []
        var servers: [NodeName: AdoptableServer] = [:]
        for node in spec.nodes {
            let survey = surveys[node.name] ?? AdoptionSurvey(.unreadable("it was not asked"))
            switch survey.server {
            case .found(let server):
                servers[node.name] = server
                problems += AdoptionJudgement.problems(of: node, server, peers: spec.nodes.count - 1)
            case .tooOld(let version): problems.append(AdoptionJudgement.tooOld(node.name, version))
            case .unreadable(let why): problems.append(AdoptionJudgement.unreadable(node, why))
            }
            problems += AdoptionJudgement.agentProblems(of: node, survey)
        }
        problems += AdoptionJudgement.identityProblems(servers)
        let primaries = servers.filter { !$0.value.inRecovery }.keys.sorted()
        guard primaries.count == 1, let leader = primaries.first, let primary = servers[leader] else {
            // A server that could not be read may be the primary: then that is the problem.
            if !primaries.isEmpty || servers.count == spec.nodes.count {
                problems.append(AdoptionJudgement.notOnePrimary(primaries))
            }
            return .failure(Refusal(problems: problems))
        }
        problems += AdoptionJudgement.problems(between: leader, primary, servers, scripts: scripts)
        if spec[leader]?.nosync == true {
            problems.append(
                Problem(
                    "primary_is_observer", leader, "it is the primary, and nosync in the specification",
                    hint: "Take nosync from it, or promote another server first."))
        }
        guard problems.isEmpty else { return .failure(Refusal(problems: problems)) }
        return .success(
            Finding(
                leader: leader, systemIdentifier: primary.systemIdentifier, position: primary.position,
                notes: AdoptionJudgement.notes(spec, servers)))
    }
}
