/// Everything that a decision may ask of a node. The controller's shell executes these over libpq (SQL work)
/// or through the agent (host work); the simulator executes them on its model. Each is idempotent.
package enum NodeCommand: Hashable, Sendable {
    // Over SQL, each under the node lock and refused below the server's pledge.

    /// Pledge; forget the upstream; wait until no receiver is left nor can start; answer `.sealed`.
    case seal(Pledge)
    /// A running primary takes the pledge and the fence; answers `.reclaimed` with a position read after the fence
    /// stood: commits wait, and every walsender shows `sync_priority` 0 (none may release by an older list).
    case reclaim(Pledge)
    /// Read a sealed standby's position once more; answers `.sealed`.
    case readPosition(Pledge)
    /// Promote a sealed standby, fence standing; answers `.promoted` when it is writable.
    case promote(Pledge)
    /// Stream from `leader` under `name`; answers `.done` once the settings are loaded.
    case follow(Pledge, leader: NodeName, name: ReplicationName)
    /// Insert the rule into `pgha.term_history` with `synchronous_commit = local`; answers `.wrote`.
    case writeTermRow(Rule, timeline: RecordedTimeline, reason: String)
    /// Read the walsenders of this primary; answers `.senders`.
    case readSenders(Pledge)
    /// Set and load `synchronous_standby_names`; answers `.done`.
    case setSyncList(Pledge, SyncList)
    /// Answers `.done` when a checkpoint has been written.
    case checkpoint

    // Through the agent.

    /// Persist the pledge, write `standby.signal`, stop the postmaster; answers `.fenced`.
    case fence(Pledge, clean: Bool)
    /// Start the server as the leader of the recorded rule, in place and without promotion; answers `.reclaimed`.
    case startLeader(Pledge)
    /// Start a stopped server as a standby without an upstream, so that it can be sealed and read; answers `.done`
    /// when it runs (`.isPrimary` when it already runs as one, and nothing is changed).
    case startStandby(Pledge)
    /// Become a standby of `leader` and start; answers `.done` when the server runs as a standby.
    case rejoin(Pledge, leader: NodeName, name: ReplicationName, mode: RejoinMode)
    /// Renew the leader's lease under these terms from the newest stamp of its agent that the sender has heard, or end it:
    /// nil; answers `.done` when the server may acknowledge alone by now.
    case lease(Pledge, LeaseTerms?)
    /// initdb, settings, start as the cluster's first server with the fence, roles, `sql/`; answers `.initialized`.
    case initialize(Pledge)

    /// For logs and traces.
    package var label: String {
        switch self {
        case .seal: "seal"
        case .reclaim: "reclaim"
        case .readPosition: "read_position"
        case .promote: "promote"
        case .follow: "follow"
        case .writeTermRow: "write_term_row"
        case .readSenders: "read_senders"
        case .setSyncList: "set_sync_list"
        case .checkpoint: "checkpoint"
        case .fence: "fence"
        case .startLeader: "start_leader"
        case .startStandby: "start_standby"
        case .rejoin: "rejoin"
        case .lease: "lease"
        case .initialize: "initialize"
        }
    }
}

/// What a rejoining server may do to its data.
package enum RejoinMode: String, Hashable, Sendable, Codable {
    /// Start and follow, nothing else: for a member whose acknowledgement still counts.
    case startOnly
    /// Rewind or clone if the history asks for it, after the WAL that only this server holds was saved.
    case rebuild
    /// As `rebuild`, but WAL that cannot be saved is given up: an operator said so.
    case discard
}

/// How far a server's WAL reaches, and along which history.
package struct WALPosition: Hashable, Sendable, Codable {
    package var history: TimelineHistory
    package var end: LSN

    package init(history: TimelineHistory, end: LSN) {
        self.history = history
        self.end = end
    }
}

/// What came of a ``NodeCommand``.
package enum NodeOutcome: Hashable, Sendable {
    case done
    case sealed(WALPosition)
    case reclaimed(WALPosition)
    /// The server is writable; `fork` is where its new timeline begins.
    case promoted(WALPosition)
    /// The row's commit ends before this position.
    case wrote(LSN)
    case senders([SenderObservation])
    /// No postmaster runs and none will below the pledge. `position` is where its WAL ends when that is known
    /// (a clean stop), and then nothing can be added to it.
    case fenced(WALPosition?)
    case initialized(systemIdentifier: UInt64, WALPosition)
    /// Nothing was changed, or it is unknown how far it got; asking again is safe.
    case failed(NodeFailure)
}

/// Why a command did not do what it should.
package enum NodeFailure: Hashable, Sendable, Error {
    /// The server or agent could not be reached, or went away meanwhile.
    case unreachable(String)
    /// The node holds a newer pledge, or the same term under another claim.
    case refused(holding: Pledge)
    /// The node lock is held and its holder could not be ended.
    case locked
    /// A seal was asked of a server that is not in recovery.
    case isPrimary
    /// A promotion, row or list was asked of a server that is in recovery.
    case isStandby
    /// A receiver is still there or could still start.
    case receiverRemains
    /// The server belongs to another cluster: it is never touched.
    case foreignCluster(UInt64)
    /// Anything else; the text is for people.
    case other(String)
}

extension NodeFailure: CustomStringConvertible {
    /// For people; tests compare cases.
    package var description: String {
        switch self {
        case .unreachable(let why): "unreachable: \(why)"
        case .refused(let holding): "refused: it is pledged to \(holding)"
        case .locked: "its node lock is held by a session that cannot be ended"
        case .isPrimary: "it runs as a primary"
        case .isStandby: "it runs as a standby"
        case .receiverRemains: "its WAL receiver is still there or could start again"
        case .foreignCluster(let identifier): "it belongs to another cluster (system identifier \(identifier))"
        case .other(let why): why
        }
    }
}
