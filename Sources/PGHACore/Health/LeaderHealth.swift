/// Judges the leader from directed, aged evidence (DESIGN section 6).
///
/// Three kinds of evidence, never mixed: what the leader itself answered to us, what its agent says of its process,
/// and what the standbys see of it. Only the first two can condemn; the third can only acquit (a veto) or confirm.
package struct LeaderHealth: Hashable, Sendable {
    package enum Verdict: Hashable, Sendable {
        /// It answered within the freshness limit.
        case healthy
        /// Something failed, not enough to act. Look again at once.
        case suspect(String)
        /// The evidence contradicts itself, or is ours to doubt. Never act.
        case inconclusive(String)
        /// Act.
        case replace(Cause)
    }

    package enum Cause: Hashable, Sendable {
        /// The agent saw the postmaster exit.
        case postmasterExited
        /// Refused twice, and no reachable standby has a receiver any more.
        case refused
        /// No answer for the confirmation time.
        case unreachable
        /// Starting up for longer than the patience allows.
        case stuckStarting
        /// It answers, but as a standby.
        case demoted

        package var words: String {
            switch self {
            case .postmasterExited: "its agent saw the postmaster exit"
            case .refused: "connections refused and no standby receives from it"
            case .unreachable: "no answer within the confirmation time"
            case .stuckStarting: "it has been starting up for too long"
            case .demoted: "it runs as a standby"
            }
        }
    }

    /// What the last look at a standby showed of its receiver.
    private struct Witness: Hashable, Sendable {
        var began: Moment
        var ended: Moment
        var hasReceiver: Bool
        var position: LSN
        var lastMessage: Int64?
        /// The leader lived at this moment or later: the standby had heard nothing new before it.
        var sawLifeSince: Moment?
    }

    /// As the specification has them now.
    package var timings: Timings
    /// End of the last probe that the leader answered in any way.
    private var lastAnswer: Moment?
    /// The last answer was an observation, not "starting up" or an error.
    private var lastAnswerWasGood = false
    private var startingSince: Moment?
    private var isStandby = false
    /// Probes begun after the last answer that failed.
    private var failedAttempts = 0
    private var refusals = 0
    private var firstRefusalBegan: Moment?
    /// The agent's word that there is no postmaster; cleared by an answer to a later probe.
    private var exitedAt: Moment?
    private var witnesses: [NodeName: Witness] = [:]
    /// Evidence counts from here: the controller itself was late before.
    private var floor: Moment
    private var lastTick: Moment?
    private var latencies: [Duration] = []
    /// Their 99th percentile; zero while there are too few.
    private var slowAnswer = Duration.zero

    package init(timings: Timings, at now: Moment) {
        self.timings = timings
        self.floor = now
    }

    /// The confirmation time, raised to three times the recent 99th percentile of the answers' latency.
    package var confirmAfter: Duration { max(self.timings.confirmAfter, self.slowAnswer * 3) }

    private mutating func noteLatency(_ latency: Duration) {
        self.latencies.append(latency)
        if self.latencies.count > 200 { self.latencies.removeFirst(100) }
        guard self.latencies.count >= 20 else { return }
        self.slowAnswer = self.latencies.sorted()[self.latencies.count * 99 / 100]
    }

    package mutating func leaderAnswered(
        _ result: Result<ServerObservation, ProbeFailure>, began: Moment, ended: Moment
    ) {
        switch result {
        case .success(let seen):
            self.answered(began: began, ended: ended)
            self.lastAnswerWasGood = true
            self.startingSince = nil
            self.isStandby = seen.inRecovery
            self.noteLatency(ended - began)
        case .failure(let failure) where failure.provesLife:
            self.answered(began: began, ended: ended)
            self.lastAnswerWasGood = false
            self.startingSince = failure == .startingUp ? (self.startingSince ?? began) : nil
        case .failure(let failure):
            guard began >= self.floor, began >= self.lastAnswer ?? self.floor else { return }
            self.failedAttempts += 1
            guard failure == .refused else { return }
            self.refusals += 1
            self.firstRefusalBegan = self.firstRefusalBegan ?? began
        }
    }

    private mutating func answered(began: Moment, ended: Moment) {
        self.lastAnswer = ended
        self.failedAttempts = 0
        self.refusals = 0
        self.firstRefusalBegan = nil
        if let exitedAt = self.exitedAt, began > exitedAt { self.exitedAt = nil }
    }

    /// `running` as the leader's agent reported it at `moment`.
    package mutating func agentReported(running: Bool, at moment: Moment) {
        self.exitedAt = running ? nil : (self.exitedAt ?? moment)
    }

    /// A look at a standby that follows, or followed, the leader.
    package mutating func standbyAnswered(_ node: NodeName, _ seen: ServerObservation, began: Moment, ended: Moment) {
        var life = self.witnesses[node]?.sawLifeSince
        if let before = self.witnesses[node], seen.inRecovery, seen.receiver != nil {
            let moved = seen.position > before.position
            let heard = (seen.receiver?.lastMessage ?? 0) > (before.lastMessage ?? .max)
            if moved || heard { life = before.began }
        }
        self.witnesses[node] = Witness(
            began: began, ended: ended, hasReceiver: seen.receiver != nil, position: seen.position,
            lastMessage: seen.receiver?.lastMessage, sawLifeSince: life)
    }

    /// Call regularly, at least every second probe interval: a gap means that this process was stopped or starved,
    /// and that the silence it "heard" was its own.
    package mutating func tick(at now: Moment) {
        defer { self.lastTick = now }
        guard let lastTick = self.lastTick, now - lastTick > self.timings.probeInterval * 3 else { return }
        self.floor = now
        self.failedAttempts = 0
        self.refusals = 0
        self.firstRefusalBegan = nil
    }

    package func verdict(at now: Moment) -> Verdict {
        if let exitedAt = self.exitedAt, exitedAt >= self.lastAnswer ?? exitedAt || self.failedAttempts > 0 {
            return .replace(.postmasterExited)
        }
        if let since = self.startingSince, self.failedAttempts == 0 {
            return now - since >= self.timings.startPatience ? .replace(.stuckStarting) : .suspect("it is starting up")
        }
        if self.isStandby, self.failedAttempts == 0, self.lastAnswerWasGood { return .replace(.demoted) }
        if self.failedAttempts == 0 {
            guard let lastAnswer = self.lastAnswer, now - lastAnswer < self.timings.freshness else {
                return .suspect("no fresh answer yet")
            }
            return self.lastAnswerWasGood ? .healthy : .suspect("it answers with an error")
        }
        if self.refusals >= 2, let since = self.firstRefusalBegan, let verdict = self.refusalVerdict(since: since) {
            return verdict
        }
        return self.silenceVerdict(at: now)
    }

    /// Refusal is trusted only with the standbys' word: a firewall's REJECT looks the same.
    private func refusalVerdict(since: Moment) -> Verdict? {
        let heard = self.witnesses.values.filter { $0.began >= since }
        guard !heard.isEmpty, heard.allSatisfy({ !$0.hasReceiver }) else { return nil }
        return .replace(.refused)
    }

    private func silenceVerdict(at now: Moment) -> Verdict {
        let reachable = self.witnesses.values.filter { now - $0.ended < self.confirmAfter }
        let lastLife = reachable.compactMap(\.sawLifeSince).max()
        let silentSince = max(self.lastAnswer ?? self.floor, self.floor)
        guard now - silentSince >= self.confirmAfter, self.failedAttempts >= 2 else {
            return .suspect("no answer for \((now - silentSince).milliseconds) ms")
        }
        guard !reachable.isEmpty else {
            return .inconclusive("no server answers: the fault may be on this side")
        }
        if let lastLife, !DecisionFaults.isOn(.vetoIgnored), now - lastLife < self.confirmAfter,
            now - silentSince < self.timings.vetoMax
        {
            return .inconclusive("it does not answer, but a standby still receives from it")
        }
        return .replace(.unreachable)
    }
}
