/// What a failover would do if it began now: for `pgha failover --dry-run`. Nothing is asked of any server.
package struct FailoverPreview: Hashable, Sendable {
    package struct Candidate: Hashable, Sendable {
        package var node: NodeName
        /// Why it would not win; nil for the winner.
        package var obstacle: String?
        package var position: LSN?
    }

    package var leader: NodeName
    package var winner: NodeName?
    package var candidates: [Candidate]
    /// What stands in the way of any failover; nil when it could begin.
    package var blocked: String?
    /// WAL that the leader has flushed and the winner was last seen without. With `quorum` none of it was
    /// acknowledged: it is what an unacknowledged transaction may lose. Nil when either position is unknown.
    package var bytesBehind: UInt64?
}

extension Coordinator {
    /// Nil when there is no cluster yet.
    package func previewFailover(to target: NodeName?, at now: Moment) -> FailoverPreview? {
        guard let state = self.state, let rule = state.rule else { return nil }
        let limit = state.spec.timings.freshness
        let obstacles = state.spec.nodes.filter { $0.name != rule.leader }.map { spec in
            (spec, self.obstacle(spec, limit: limit, at: now))
        }
        let ready = obstacles.filter { $0.1 == nil }.map(\.0)
        let furthest = ready.compactMap { self.nodes[$0.name]?.observation?.position }.max()
        let best = ready.filter { self.nodes[$0.name]?.observation?.position == furthest }
            .min {
                ($0.name == target ? 0 : 1, -$0.priority, $0.name) < ($1.name == target ? 0 : 1, -$1.priority, $1.name)
            }
        let candidates = obstacles.map { spec, obstacle in
            let position = self.nodes[spec.name]?.observation?.position
            var reason = obstacle
            if reason == nil, spec.name != best?.name {
                reason =
                    position == furthest
                    ? "as far as \(best?.name.text ?? "?"), which has the higher priority or the first name"
                    : "it lacks \(furthest?.bytesAhead(of: position ?? .zero) ?? 0) bytes of WAL that another standby has"
            }
            return FailoverPreview.Candidate(node: spec.name, obstacle: reason, position: position)
        }
        let blocked =
            state.openRules.contains { !self.canDiscover($0, at: now) }
            ? "too few standbys answer to know every commit: \(rule.followersToDiscover) of "
                + "\(rule.followers.map(\.text).joined(separator: ", ")) are needed" : nil
        let leaderPosition = self.nodes[rule.leader]?.observation?.position
        return FailoverPreview(
            leader: rule.leader, winner: blocked == nil ? best?.name : nil, candidates: candidates, blocked: blocked,
            bytesBehind: furthest.flatMap { end in leaderPosition?.bytesAhead(of: end) })
    }

    private func obstacle(_ spec: NodeSpec, limit: Duration, at now: Moment) -> String? {
        guard let view = self.nodes[spec.name], let seen = view.fresh(limit, at: now) else {
            return "it does not answer"
        }
        if spec.nofailover { return "it is nofailover" }
        if !seen.inRecovery { return "it is a primary" }
        if seen.replayPaused { return "its replay is paused" }
        return nil
    }
}
