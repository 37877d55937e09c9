/// All that the store holds of a cluster's decisions; written by the leading controller with compare-and-set.
package struct ClusterState: Hashable, Sendable, Codable {
    package var spec: ClusterSpec
    /// PostgreSQL's system identifier; nil until a server was initialised or adopted.
    package var systemIdentifier: UInt64?
    /// The highest term handed out, by this store, to any claim.
    package var term: Term
    /// The rule under which clients are routed; nil before bootstrap has ended.
    package var rule: Rule?
    /// Every rule that a failover must still satisfy, the current one included; ascending.
    package var openRules: [Rule]
    /// Under which name each follower replicates.
    package var replicationNames: [NodeName: ReplicationName]
    /// The timelines that terms explain; ascending by term.
    package var timelines: [RecordedTimeline]
    /// The procedure under way; its phase is written before the step with effects.
    package var procedure: ProcedureRecord?
    /// Leaders of closed rules that have not followed a leader since, sorted: one that still runs as a primary is
    /// rebuilt without asking, where any other primary was promoted by hand and is left to people.
    package var displaced: [NodeName]
    /// Nodes that leave the cluster, sorted: in no new rule, and dropped from the spec once no open rule needs them.
    package var removing: [NodeName]
    /// The controller starts no failover by itself while this is set.
    package var paused: Bool
    /// Up to this term servers may hold pledges to rules that are not in here: the store was made again from the servers,
    /// and none of them showed the row. Nil when every rule was written here.
    package var unknownThrough: Term?
    /// What the last change of leader may have lost; nil when it lost nothing, as always in `quorum` without force.
    package var loss: PossibleLoss?

    package init(spec: ClusterSpec) {
        self.spec = spec
        self.term = .zero
        self.openRules = []
        self.replicationNames = [:]
        self.timelines = []
        self.displaced = []
        self.removing = []
        self.paused = false
    }

    /// Whether `pledge` was certainly not handed out by this store: a later term, an equal claim's later version, an
    /// equal term under another claim, or a rule later than any that is open. Every pledge is written here before a
    /// server is asked for it, and the newest rule is open until a newer one is.
    package func isOlder(than pledge: Pledge) -> Bool {
        if DecisionFaults.isOn(.oldStoreTrusted) { return false }
        if pledge.number.term > self.term { return true }
        let claims = self.openRules.map(\.claim) + [self.procedure?.claim].compactMap { $0 }
        guard let known = claims.first(where: { $0.term == pledge.number.term }) else {
            return self.isUnheardOf(pledge.number)
        }
        let versions = self.openRules.filter { $0.claim == known }.map(\.number.version)
        return known.nonce != pledge.nonce || pledge.number.version > versions.max() ?? 0
    }

    /// A rule, and not merely a claim, above all that are open: claims of an old store's own do not hide it.
    private func isUnheardOf(_ number: RuleNumber) -> Bool {
        guard number.version > 0, number.term > self.unknownThrough ?? .zero, let newest = self.openRules.last else {
            return false
        }
        return number > newest.number
    }

    /// `rule` is confirmed: it alone is open, and nothing is under way any more.
    package mutating func close(_ rule: Rule) {
        let former = Set(self.openRules.map(\.leader)).subtracting([rule.leader])
        self.displaced = Set(self.displaced).subtracting(rule.cohort).union(former).sorted()
        self.rule = rule
        self.openRules = [rule]
        self.procedure = nil
        let gone = Set(self.removing).subtracting(rule.cohort)
        self.spec.nodes.removeAll { gone.contains($0.name) }
        for node in gone { self.replicationNames[node] = nil }
        self.displaced.removeAll { gone.contains($0) }
        self.removing.removeAll { gone.contains($0) }
    }
}

/// A procedure that has begun, as the store remembers it, so that another controller can finish it.
package enum ProcedureRecord: Hashable, Sendable, Codable {
    /// The first leader is being made. `claim` is term 1's.
    case bootstrap(claim: Claim, leader: NodeName)
    /// Members are being sealed for `claim`. `reason` is for people; `planned` names the switchover's candidate,
    /// `forced` that an operator accepted data loss.
    case sealing(claim: Claim, reason: String, planned: NodeName?, forced: Bool)
    /// `rule` is among the open rules and its leader is being promoted. There is no way back.
    case promoting(rule: Rule, reason: String)
    /// `rule` is among the open rules and is being applied by the current leader.
    case changingRule(rule: Rule, reason: String)

    /// The claim under which it runs.
    package var claim: Claim {
        switch self {
        case .bootstrap(let claim, _), .sealing(let claim, _, _, _): claim
        case .promoting(let rule, _), .changingRule(let rule, _): rule.claim
        }
    }

    package var phase: String {
        switch self {
        case .bootstrap: "bootstrap"
        case .sealing: "sealing"
        case .promoting: "promoting"
        case .changingRule: "changing_rule"
        }
    }
}

/// One line of the cluster's history, kept in the store and shown by `pgha history`.
package struct HistoryEntry: Hashable, Sendable, Codable {
    /// Microseconds since 1970-01-01T00:00:00Z.
    package var unixMicroseconds: Int64
    /// `bootstrap`, `failover`, `switchover`, `rule`, `rejoin`, `diverged`, `forced`, `note`.
    package var kind: String
    package var term: Term
    package var leader: NodeName?
    package var detail: String
    /// How long the procedure took; nil for what has no length.
    package var milliseconds: Int64?

    package init(
        unixMicroseconds: Int64, kind: String, term: Term, leader: NodeName?, detail: String,
        milliseconds: Int64? = nil
    ) {
        self.unixMicroseconds = unixMicroseconds
        self.kind = kind
        self.term = term
        self.leader = leader
        self.detail = detail
        self.milliseconds = milliseconds
    }
}
