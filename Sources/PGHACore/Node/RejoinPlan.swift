/// What a data directory holds, as far as rejoining a leader is concerned.
package struct RejoinLocal: Hashable, Sendable {
    package var systemIdentifier: UInt64
    package var position: WALPosition

    package init(systemIdentifier: UInt64, position: WALPosition) {
        self.systemIdentifier = systemIdentifier
        self.position = position
    }
}

/// Where the leader stands. Read after the local position, so that a local end past it proves a fork.
package struct RejoinLeader: Hashable, Sendable {
    package var systemIdentifier: UInt64
    package var position: WALPosition

    package init(systemIdentifier: UInt64, position: WALPosition) {
        self.systemIdentifier = systemIdentifier
        self.position = position
    }
}

/// How a server becomes a standby of the leader. Decided from histories and positions alone.
///
/// Intuition: lay both histories side by side. Where the local one is a prefix of the leader's, streaming goes on.
/// Where it left the leader's path, what lies beyond the fork exists only here: it is saved, then undone by
/// pg_rewind, which needs the two *current* timelines to differ (up to PostgreSQL 18 it takes equal ids for equal
/// history and says "no rewind required"); otherwise by a new base backup.
///
/// Limits: equal histories and a local end below the leader's can still hide a fork on one timeline id (two
/// servers that ran apart from one point without promotion). A receiver then stops with a broken record, which
/// shows as a standby that never streams.
package enum RejoinPlan: Hashable, Sendable {
    /// Local WAL is an ancestor of the leader's.
    case follow
    /// Local WAL beyond `from` is not the leader's; pg_rewind can undo it.
    case rewind(from: LSN)
    /// A new base backup. Local WAL beyond `savingFrom` is not the leader's; nil when none is.
    case clone(CloneReason, savingFrom: LSN?)
    /// The data belongs to another cluster: never touched.
    case refuse(foreign: UInt64)

    package enum CloneReason: String, Hashable, Sendable, Codable {
        /// There is no data directory.
        case noData
        /// The data directory's end of WAL cannot be read, so nothing can be compared.
        case unreadable
        /// The local server wrote WAL that the leader never had, on the timeline the leader is on.
        case aheadOnSameTimeline
        /// Both are on timelines with one id that begin at different points.
        case sameIDOtherBeginning
        /// The leader no longer has the WAL that comes next here.
        case walRemoved
        /// pg_rewind did not succeed, or was interrupted.
        case rewindFailed
    }

    package init(local: RejoinLocal?, leader: RejoinLeader) {
        guard let local else {
            self = .clone(.noData, savingFrom: nil)
            return
        }
        guard local.systemIdentifier == leader.systemIdentifier else {
            self = .refuse(foreign: local.systemIdentifier)
            return
        }
        self.init(local: local.position, leader: leader.position)
    }

    private init(local: WALPosition, leader: WALPosition) {
        guard let fork = Self.forkPoint(local: local, leader: leader), local.end > fork else {
            self = .follow
            return
        }
        if local.history.timeline != leader.history.timeline {
            self = .rewind(from: fork)
        } else if local.history.forks == leader.history.forks {
            self = .clone(.aheadOnSameTimeline, savingFrom: fork)
        } else {
            self = .clone(.sameIDOtherBeginning, savingFrom: fork)
        }
    }

    /// The last position that both share. Nil when the local history is the leader's or a prefix of it, and its
    /// end is not past the leader's.
    private static func forkPoint(local: WALPosition, leader: WALPosition) -> LSN? {
        let ours = local.history.segments
        let theirs = leader.history.segments
        for (index, segment) in ours.enumerated() {
            guard index < theirs.count, theirs[index].timeline == segment.timeline else {
                return min(segment.begin ?? .zero, leader.end)
            }
            let end = segment.end ?? local.end
            let limit = theirs[index].end ?? leader.end
            if index == ours.count - 1 { return end > limit ? limit : nil }
            if segment.end != theirs[index].end { return min(end, limit) }
        }
        return nil
    }
}
