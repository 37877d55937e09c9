import Logging
package import PGHAClient
package import PGHACore

extension Controller {
    /// Takes over running servers. Every precondition is looked at first, and nothing is changed unless all hold.
    package func adoptServers(_ spec: ClusterSpec) async throws(ControllerRefusal) -> Accepted {
        if let state = self.coordinator.state {
            throw ControllerRefusal(
                code: "cluster_exists", message: "this controller already leads cluster '\(state.spec.name)'",
                hint: "Run 'pgha status', or give the new cluster a controller of its own.")
        }
        guard !self.isAdopting else {
            throw ControllerRefusal(
                code: "busy", message: "servers are being taken over already", hint: "Wait: 'pgha status --watch'.")
        }
        self.isAdopting = true
        defer { self.isAdopting = false }
        var spec = spec
        // Whoever may connect to running servers stays who may connect, unless the specification says otherwise.
        spec.access = spec.access ?? []
        let accesses = Dictionary(uniqueKeysWithValues: spec.nodes.map { ($0.name, self.makeNode($0, nil)) })
        defer { for access in accesses.values { self.start { await access.close() } } }
        try await self.prepareAgents(spec, accesses)
        let finding = try await self.surveyed(spec, accesses)
        let undo = try await self.rehearse(spec, finding, accesses)
        do {
            for note in finding.notes { self.logger.notice("while adopting", metadata: ["note": "\(note)"]) }
            let notes = finding.notes.isEmpty ? "" : "; note: " + finding.notes.joined(separator: "; ")
            return try self.accept(
                .adopt(
                    spec, leader: finding.leader, systemIdentifier: finding.systemIdentifier,
                    position: finding.position), "taking over \(spec.name), led by \(finding.leader)" + notes)
        } catch {
            for undo in undo { await undo() }
            throw error
        }
    }

    /// Agents make the roles and let them in, which the survey needs already. All of them are looked at first.
    private func prepareAgents(
        _ spec: ClusterSpec, _ accesses: [NodeName: any NodeAccess]
    ) async throws(ControllerRefusal) {
        var agents: [NodeName: AdoptionSurvey.Agent] = [:]
        for node in spec.nodes where node.agent != nil { agents[node.name] = await accesses[node.name]?.surveyAgent() }
        let problems = Adoption.judgeAgents(spec, agents)
        guard problems.isEmpty else { throw ControllerRefusal(Adoption.Refusal(problems: problems)) }
        let settings = ServerSettings(postgres: spec.postgres, access: spec.access ?? [])
        // The primary first: the standbys get its roles by replication.
        let order = agents.keys.sorted {
            (agents[$0]?.isStandby ?? false ? 1 : 0, $0) < (agents[$1]?.isStandby ?? false ? 1 : 0, $1)
        }
        for name in order {
            do {
                try await accesses[name]?.prepareAdoption(settings)
            } catch {
                throw ControllerRefusal(
                    code: "cannot_adopt", message: "\(name): its agent cannot prepare the server: \(error)",
                    hint: "No server was restarted. Correct that and run 'pgha init --adopt' again.")
            }
        }
    }

    private func surveyed(
        _ spec: ClusterSpec, _ accesses: [NodeName: any NodeAccess]
    ) async throws(ControllerRefusal) -> Adoption.Finding {
        let surveys = await withTaskGroup(of: (NodeName, AdoptionSurvey).self) { group in
            for (name, access) in accesses { group.addTask { (name, await access.survey()) } }
            return await group.reduce(into: [NodeName: AdoptionSurvey]()) { $0[$1.0] = $1.1 }
        }
        switch Adoption.judge(spec, surveys, scripts: self.requiredScripts) {
        case .success(let finding): return finding
        case .failure(let refusal): throw ControllerRefusal(refusal)
        }
    }

    /// Slots first, or the standbys would wait for them behind the fence. One standby after the other, so that a
    /// primary that already waits for copies keeps the others.
    private func rehearse(
        _ spec: ClusterSpec, _ finding: Adoption.Finding, _ accesses: [NodeName: any NodeAccess]
    ) async throws(ControllerRefusal) -> [@Sendable () async -> Void] {
        guard let leader = spec[finding.leader] else { return [] }
        for (name, access) in accesses {
            let peers = Dictionary(uniqueKeysWithValues: accesses.keys.filter { $0 != name }.map { ($0, LSN?.none) })
            do {
                try await access.keepSlots(peers, advance: false, members: nil)
            } catch {
                throw ControllerRefusal(
                    code: "cannot_adopt", message: "\(name): replication slots cannot be made: \(error)",
                    hint: "Correct that and run 'pgha init --adopt' again.")
            }
        }
        var undo: [@Sendable () async -> Void] = []
        for node in spec.nodes where node.name != leader.name {
            do throws(NodeFailure) {
                guard let access = accesses[node.name] else { continue }
                undo.append(try await access.rehearse(following: leader))
            } catch {
                for undo in undo { await undo() }
                throw ControllerRefusal(
                    code: "cannot_adopt", message: "\(node.name) cannot follow \(leader.name): \(error)",
                    hint:
                        "See the log of \(node.name)'s server. Usual causes: pg_hba.conf of \(leader.name) lacks a line for"
                        + " pgha_replica with database 'replication'; its password is not in .pgpass of the user who runs"
                        + " \(node.name) (or where --replication-passfile says); the address differs there.")
            }
        }
        return undo
    }

    /// Makes the store's content again from what the servers hold.
    package func adoptStore(_ spec: ClusterSpec?) async throws(ControllerRefusal) -> Accepted {
        guard let wanted = spec ?? self.coordinator.state?.spec else {
            throw ControllerRefusal(
                code: "no_cluster", message: "this store is empty",
                hint: "Give the specification: 'pgha store adopt -f FILE'.")
        }
        guard self.coordinator.mayAdoptStore else {
            throw ControllerRefusal(
                code: "not_needed", message: "this store is not older than its cluster",
                hint: "Nothing needs to be done: see 'pgha status'.")
        }
        let identifier = self.coordinator.state?.systemIdentifier
        let accesses = wanted.nodes.map { ($0.name, self.makeNode($0, identifier)) }
        let answers = await withTaskGroup(of: (NodeName, Result<StoreEvidence, NodeFailure>).self) { group in
            for (name, access) in accesses {
                group.addTask {
                    do throws(NodeFailure) {
                        return (name, .success(try await access.storeEvidence()))
                    } catch {
                        return (name, .failure(error))
                    }
                }
            }
            return await group.reduce(into: [NodeName: Result<StoreEvidence, NodeFailure>]()) { $0[$1.0] = $1.1 }
        }
        for (_, access) in accesses { self.start { await access.close() } }
        let evidence = answers.compactMapValues { try? $0.get() }
        let failures = answers.compactMapValues { if case .failure(let failure) = $0 { "\(failure)" } else { nil } }
        switch self.coordinator.adoptStore(spec: spec, answers: evidence, failures: failures, at: self.now) {
        case .success(let effects):
            self.perform(effects)
            let status = self.status()
            return Accepted(
                message: "the store was made again from \(evidence.count) servers; a new term begins",
                term: status.term.number)
        case .failure(let refusal): throw ControllerRefusal(refusal)
        }
    }
}

extension AdoptionSurvey.Agent {
    fileprivate var isStandby: Bool {
        if case .facts(let facts) = self { facts.standbySignal } else { false }
    }
}

extension ControllerRefusal {
    /// One problem is said as it is; several are listed, those that need a restart by that word.
    package init(_ refusal: Adoption.Refusal) {
        let problems = refusal.problems
        let lines = problems.map { problem in
            let subject = problem.node.map { "\($0): " } ?? ""
            let remedy = problem.remedy == .restart ? " [restart]" : ""
            return "\(subject)\(problem.message)\(remedy)"
        }
        guard problems.count > 1 else {
            self.init(
                code: "cannot_adopt", message: lines.first ?? "nothing was found",
                hint: problems.first?.hint ?? "See the controller's log.")
            return
        }
        let list = zip(lines, problems).map { "\n  \($0)\n    \($1.hint)" }.joined()
        self.init(
            code: "cannot_adopt", message: "\(problems.count) things stand in the way:\(list)",
            hint: "Nothing was changed. Then run 'pgha init --adopt' again.")
    }
}
