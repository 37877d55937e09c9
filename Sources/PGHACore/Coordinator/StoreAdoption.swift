/// What one server knows of the rules: its pledge, and the rows of `pgha.term_history` that it shows.
package struct StoreEvidence: Hashable, Sendable {
    package var systemIdentifier: UInt64
    package var inRecovery: Bool
    package var pledge: Pledge?
    package var rows: [TermHistoryRow]
    package var position: WALPosition

    package init(
        systemIdentifier: UInt64, inRecovery: Bool, pledge: Pledge?, rows: [TermHistoryRow], position: WALPosition
    ) {
        self.systemIdentifier = systemIdentifier
        self.inRecovery = inRecovery
        self.pledge = pledge
        self.rows = rows
        self.position = position
    }
}

/// Makes a store's content again from what the servers hold, when the store is older than the cluster or lost.
///
/// The servers know every rule under which a commit was acknowledged: its row stood on the leader and on N − 1
/// followers first. They do not know what was only in the store: a claim that nobody heard of (harmless), or a
/// change of rule whose row was not written yet. So the result claims a new term above all that was seen, and goes
/// one of two ways. While the leader of the newest rule runs, it alone may be installed: it holds whatever was
/// acknowledged under any rule of its term. Otherwise every other server must be read.
package struct StoreAdoption: Hashable, Sendable {
    /// Without a procedure; `rule` is nil when `leader` must be installed.
    package var state: ClusterState
    /// The only server that may lead the next term; nil when the usual choice is safe.
    package var leader: NodeName?

    /// `withoutData` names servers whose agents say that there is no data directory, with the pledge kept beside it:
    /// nothing can be read there. One that the newest rule does not count was being rebuilt; a member's data is never
    /// removed, so there it is an accident, and as good as no answer.
    package static func rebuild(
        spec: ClusterSpec, stored: ClusterState?, answers: [NodeName: StoreEvidence],
        failures: [NodeName: String], withoutData: [NodeName: Pledge?] = [:]
    ) -> Result<StoreAdoption, RequestRefusal> {
        do throws(RequestRefusal) {
            let evidence = try Evidence(
                spec: spec, stored: stored, answers: answers, failures: failures, withoutData: withoutData)
            let leader = try evidence.leaderToInstall()
            if leader == nil { try evidence.requireEveryOther() }
            return .success(StoreAdoption(state: evidence.state(installing: leader), leader: leader))
        } catch {
            return .failure(error)
        }
    }
}

extension StoreAdoption {
    /// The newest rule that the servers show, and who showed what.
    fileprivate struct Evidence {
        let spec: ClusterSpec
        let stored: ClusterState?
        let answers: [NodeName: StoreEvidence]
        let failures: [NodeName: String]
        let withoutData: [NodeName: Pledge?]
        let rows: [RuleNumber: TermHistoryRow]
        let newest: TermHistoryRow

        init(
            spec: ClusterSpec, stored: ClusterState?, answers: [NodeName: StoreEvidence], failures: [NodeName: String],
            withoutData: [NodeName: Pledge?]
        ) throws(RequestRefusal) {
            self.spec = spec
            self.stored = stored
            self.answers = answers.filter { spec[$0.key] != nil }
            self.failures = failures
            self.withoutData = withoutData.filter { spec[$0.key] != nil && answers[$0.key] == nil }
            self.rows = try Self.rows(self.answers)
            guard let newest = self.rows.max(by: { $0.key < $1.key })?.value else {
                throw RequestRefusal(
                    "nothing_to_adopt", "no server that answers has a row in pgha.term_history",
                    hint: "Servers that pgha never led are taken over with 'pgha init --adopt'.")
            }
            self.newest = newest
            try self.requireOneCluster()
            try self.requireKnownMembers()
        }

        /// Every row by its number; two servers must not disagree about one.
        private static func rows(
            _ answers: [NodeName: StoreEvidence]
        ) throws(RequestRefusal) -> [RuleNumber: TermHistoryRow] {
            var result: [RuleNumber: (node: NodeName, row: TermHistoryRow)] = [:]
            for (node, answer) in answers.sorted(by: { $0.key < $1.key }) {
                for row in answer.rows {
                    guard let known = result[row.rule.number] else {
                        result[row.rule.number] = (node, row)
                        continue
                    }
                    guard known.row.rule.nonce == row.rule.nonce else {
                        throw RequestRefusal(
                            "two_histories", "\(known.node) and \(node) hold different rules \(row.rule.number)",
                            hint: "Two controllers led parts of this cluster: stop the server whose data is not wanted."
                        )
                    }
                }
            }
            return result.mapValues(\.row)
        }

        private func requireOneCluster() throws(RequestRefusal) {
            let identifiers = Set(self.answers.values.map(\.systemIdentifier))
            let expected = self.stored?.systemIdentifier ?? identifiers.min()
            guard identifiers == Set([expected].compactMap { $0 }) else {
                let words = self.answers.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.systemIdentifier)" }
                throw RequestRefusal(
                    "foreign_cluster", "the servers do not belong to one cluster (\(words.joined(separator: ", ")))",
                    hint: "Correct the addresses in the specification.")
            }
        }

        private func requireKnownMembers() throws(RequestRefusal) {
            let unknown = self.newest.rule.cohort.filter { self.spec[$0] == nil }
            guard !unknown.isEmpty else { return }
            let names = unknown.map(\.text).joined(separator: ", ")
            throw RequestRefusal(
                "unknown_member", "rule \(self.newest.rule.number) counts on \(names), not in this specification",
                hint: "Give the whole specification: 'pgha store adopt -f FILE'.")
        }

        private var missing: [NodeName] {
            self.spec.nodes.map(\.name).filter {
                self.answers[$0] == nil
                    && (self.withoutData[$0] == nil || self.newest.rule.cohort.contains($0))
            }
        }

        private var newestPledge: Pledge? {
            (self.answers.values.map(\.pledge) + self.withoutData.values).compactMap { $0 }.max {
                $0.number < $1.number
            }
        }

        /// The fewest servers that a rule which nobody here has heard of could acknowledge with.
        private var fewestCopies: Int {
            self.spec.lease != nil || self.spec.durability.mayDegrade(nodes: self.spec.nodes.count)
                ? 1 : min(self.newest.rule.copies, self.spec.durability.copies)
        }

        /// The leader of the newest rule, when it runs under it and nothing newer was seen; nil otherwise.
        func leaderToInstall() throws(RequestRefusal) -> NodeName? {
            let rule = self.newest.rule
            guard let answer = self.answers[rule.leader], !answer.inRecovery, answer.pledge?.claim == rule.claim,
                self.newestPledge?.claim == rule.claim
            else { return nil }
            guard self.missing.count < self.fewestCopies else {
                throw self.tooFew(
                    self.missing,
                    "they could have a newer leader among them: at most \(self.fewestCopies - 1) may be away")
            }
            let ready = self.holders(of: rule.number.term).filter { self.spec[$0]?.nosync == false }
            guard ready.count >= rule.copies else {
                throw RequestRefusal(
                    "too_few_answers",
                    "only \(ready.map(\.text).joined(separator: ", ")) show the rule of term \(rule.number.term), and it"
                        + " asks for \(rule.copies) copies",
                    hint: "Wait until the standbys have replayed it, or start them.")
            }
            return rule.leader
        }

        /// Without the leader at work, a durable commit could be anywhere: all others must be read.
        func requireEveryOther() throws(RequestRefusal) {
            let leader = self.newest.rule.leader
            let others = self.missing.filter { $0 != leader }
            guard others.isEmpty else {
                throw self.tooFew(
                    others,
                    "\(leader), the leader of rule \(self.newest.rule.number), does not lead now, so every other"
                        + " server must be read")
            }
            guard self.answers[leader] != nil || self.fewestCopies > 1 else {
                throw self.tooFew([leader], "it leads by rule \(self.newest.rule.number) and may hold the only copy")
            }
        }

        private func tooFew(_ nodes: [NodeName], _ why: String) -> RequestRefusal {
            let words = nodes.map { node in self.failures[node].map { "\(node) (\($0))" } ?? node.text }
            return RequestRefusal(
                "too_few_answers", "no answer from \(words.joined(separator: ", ")): \(why)",
                hint: "Start \(nodes.count == 1 ? "it" : "them") and ask again; nothing was changed.")
        }

        /// Who shows a row of the term: its WAL is that term's. The leader wrote it.
        private func holders(of term: Term) -> [NodeName] {
            self.answers.filter { $0.value.rows.contains { $0.rule.number.term == term } }.keys.sorted()
        }

        func state(installing leader: NodeName?) -> ClusterState {
            var state = ClusterState(spec: self.spec)
            let rule = self.newest.rule
            state.systemIdentifier = self.answers.values.first?.systemIdentifier
            state.term = max(rule.number.term, self.newestPledge?.number.term ?? .zero, self.stored?.term ?? .zero)
            state.unknownThrough = state.term
            state.paused = self.stored?.paused ?? false
            state.removing = (self.stored?.removing ?? []).filter { self.spec[$0] != nil && !rule.cohort.contains($0) }
            let leaders = Set(self.rows.values.map(\.rule.leader)).union(self.stored?.displaced ?? [])
            state.displaced = leaders.subtracting(rule.cohort).filter { self.spec[$0] != nil }.sorted()
            state.openRules = self.rows.values.map(\.rule).filter { $0.number.term == rule.number.term }
                .sorted { $0.number < $1.number }
            if leader == nil { state.rule = rule }
            if leader == nil || self.pledgedVersion > rule.number.version, let strict = self.everyFollowerCounts(rule) {
                state.openRules.append(strict)
            }
            state.timelines = self.timelines(rule.leader)
            return state
        }

        /// The version of the newest rule's term that a server has pledged: later than the rule's while a change of rule
        /// was under way whose row nobody has, and then the leader may acknowledge by that one's list.
        private var pledgedVersion: UInt32 {
            let pledges = (self.answers.values.map(\.pledge) + self.withoutData.values).compactMap { $0 }
            return pledges.filter { $0.claim == self.newest.rule.claim }.map(\.number.version).max() ?? 0
        }

        /// Stands for a change of rule that nobody has a row of: satisfied only when every other server is sealed and
        /// read. In mode `async` the leader may have acknowledged alone, so it must be there itself.
        private func everyFollowerCounts(_ rule: Rule) -> Rule? {
            let cohort = Set(self.spec.nodes.filter { !$0.nosync }.map(\.name)).union(rule.cohort)
            guard cohort.count > 1 else { return nil }
            return Rule(
                number: RuleNumber(
                    term: rule.number.term, version: max(rule.number.version + 1, self.pledgedVersion)),
                nonce: rule.nonce, leader: rule.leader, cohort: cohort, copies: self.spec.lease == nil ? 2 : 1)
        }

        /// One for each term that has a row, from its first version, held by those who show the row. What the leader's
        /// history has besides is older than the rows: as when running servers are taken over.
        private func timelines(_ leader: NodeName) -> [RecordedTimeline] {
            let byTerm = Dictionary(grouping: self.rows.values) { $0.rule.number.term }
            var result = byTerm.sorted { $0.key < $1.key }.compactMap { term, rows -> RecordedTimeline? in
                guard let first = rows.min(by: { $0.rule.number < $1.rule.number }) else { return nil }
                return RecordedTimeline(
                    term: term, timeline: first.timeline.timeline, fork: first.timeline.fork,
                    holders: self.holders(of: term) + [first.rule.leader])
            }
            let oldest = result.first?.term ?? Term(1)
            let history =
                self.answers[leader]?.position.history
                ?? self.answers.values.map(\.position)
                .max { $0.history.segments.count < $1.history.segments.count }?.history
            let unexplained = (history?.segments ?? []).filter { segment in
                !result.contains { $0.timeline == segment.timeline && $0.fork == segment.begin }
            }
            .filter { ($0.begin ?? .zero) < (result.last?.fork ?? LSN(.max)) }
            result.insert(
                contentsOf: unexplained.map { RecordedTimeline(term: oldest, timeline: $0.timeline, fork: $0.begin) },
                at: 0)
            return result
        }
    }
}

extension Coordinator {
    /// Whether the store may be made again: it is older than the cluster, or empty, or an earlier attempt still waits
    /// for its leader.
    package var mayAdoptStore: Bool {
        if self.halted != nil || self.state == nil { return true }
        if self.isResumingClaim { return self.state?.rule == nil }
        if case .failover(let machine) = self.activity { return self.state?.rule == nil && machine.phase == .sealing }
        return false
    }

    /// Goes on from what the servers hold, under a new claim above all that was seen.
    package mutating func adoptStore(
        spec: ClusterSpec?, answers: [NodeName: StoreEvidence], failures: [NodeName: String], at now: Moment
    ) -> Result<Effects, RequestRefusal> {
        guard self.mayAdoptStore else {
            return .failure(
                RequestRefusal(
                    "not_needed", "this store is not older than its cluster",
                    hint: "Nothing needs to be done: see 'pgha status'."))
        }
        guard let spec = spec ?? self.state?.spec else {
            return .failure(
                RequestRefusal(
                    "no_cluster", "this store is empty", hint: "Give the specification: 'pgha store adopt -f FILE'."))
        }
        let rebuilt: StoreAdoption
        var withoutData: [NodeName: Pledge?] = [:]
        for (node, view) in self.nodes {
            if let facts = view.freshFacts(spec.timings.freshness, at: now), facts.postmaster == .absent {
                withoutData[node] = .some(facts.pledge)
            }
        }
        switch StoreAdoption.rebuild(
            spec: spec, stored: self.state, answers: answers, failures: failures, withoutData: withoutData)
        {
        case .success(let adoption): rebuilt = adoption
        case .failure(let refusal): return .failure(refusal)
        }
        self.forgetProcedures()
        self.state = rebuilt.state
        for node in spec.nodes.map(\.name) where self.nodes[node] == nil { self.nodes[node] = NodeView(at: now) }
        var effects = Effects()
        let seen = rebuilt.state.openRules.last?.number.description ?? "none"
        effects.notes.append("store made again from the servers: newest rule \(seen), term \(rebuilt.state.term)")
        self.startFailover(
            rebuilt.leader.map { .adopt(leader: $0) } ?? .automatic, reason: "the store was made again", at: now,
            &effects)
        return .success(effects)
    }

    private mutating func forgetProcedures() {
        self.halted = nil
        self.activity = .idle
        self.writing = nil
        self.writingForActivity = false
        self.edits = []
        self.hostOrders = MemberOrders()
        self.waitingReason = nil
    }
}
