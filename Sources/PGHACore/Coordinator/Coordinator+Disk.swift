/// A leader whose disk is full answers every probe and can write nothing.
///
/// Policy: a standby that has space takes over, as if an operator had asked for it; with none (the disks are often of
/// one size, and full together) nothing is changed and the status says what is missing.
extension Coordinator {
    /// With less than this PostgreSQL cannot make its next segment of WAL (16 MiB each unless initdb was told
    /// otherwise), and ends with a PANIC. Bytes.
    static let fullDisk: UInt64 = 16 << 20
    /// A checkpoint may free space meanwhile.
    static let fullDiskPatience = Duration.seconds(3)

    /// Free bytes for WAL, where that is too little; nil when there is enough or it is not known.
    func shortage(of node: NodeName, at now: Moment) -> UInt64? {
        let limit = self.freshness
        guard let facts = self.nodes[node]?.freshFacts(limit, at: now),
            let free = [facts.walFreeBytes, facts.dataFreeBytes].compactMap({ $0 }).min(), free < Self.fullDisk
        else { return nil }
        return free
    }

    mutating func judgeDisk(_ rule: Rule, at now: Moment, _ effects: inout Effects) {
        guard let free = self.shortage(of: rule.leader, at: now) else {
            self.diskFullSince = nil
            return
        }
        let since = self.diskFullSince ?? now
        self.diskFullSince = since
        guard now - since >= Self.fullDiskPatience else {
            effects.wake(at: since + Self.fullDiskPatience)
            return
        }
        let words = "\(rule.leader) has \(free) bytes of disk left"
        let hasCandidate = rule.followers.contains {
            self.switchoverObstacle($0, rule, at: now) == nil && self.shortage(of: $0, at: now) == nil
        }
        guard let state = self.state, hasCandidate, !state.paused else {
            let why = self.state?.paused == true ? "the cluster is paused" : "no standby with more may take over"
            self.waitingReason = "\(words), and \(why): make space"
            return
        }
        self.diskFullSince = nil
        self.startFailover(.requested(target: nil, force: false), reason: words, at: now, &effects)
    }
}
