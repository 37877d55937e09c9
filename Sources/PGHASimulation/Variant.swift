import PGHACore

/// Deliberately wrong variants: each must be caught by the invariants, or the simulator proves nothing.
///
/// Some are wrong decisions (``DecisionFaults``), the others wrong shells or agents, which are this module's own.
/// Only debug builds, and builds with `PGHA_SIMULATION_FAULTS`, can run them.
package enum Variant: String, CaseIterable, Sendable {
    // Sealing.
    /// Seal answers when the settings are written, with the receiver still there.
    case sealWithoutWaiting
    /// Seal looks at the streaming receiver only; one that is just connecting is not seen.
    case connectingReceiverUnseen
    /// A sealed server's position is the one it had before the seal.
    case positionBeforeSeal
    /// N followers are read instead of |cohort| − N + 1.
    case discoverOneTooFew
    /// A fenced leader counts as discovered although nobody read its position.
    case unreadLeaderDiscovered
    /// The greatest position wins, whatever history it is in.
    case rankByLSN
    /// Equal timeline ids and switch points are taken for equal history.
    case trustTimelineIDs

    // Recording and promoting.
    /// The controller goes on before its record is in the store.
    case promoteBeforeRecord
    /// The older rules are gone from the store as soon as the new one is recorded.
    case dropRulesAtRecord
    /// A promotion brings its list with it, and the next controller forgets the rule and claims anew: the promotion
    /// still takes effect.
    case promotionForgotten
    /// Only members of the rule before may hold copies for a new leader.
    case membersOnlyCohort
    /// Standbys have no fence in `synchronous_standby_names`.
    case emptyListOnStandbys
    /// The candidate is promoted without a list, which is set afterwards.
    case listAfterPromotion
    /// A switchover goes on as soon as the old leader has stopped.
    case switchoverWithoutSealing

    // Changing a rule.
    /// A change of rule is confirmed by one flushed row, without the marker.
    case confirmByOneCommit
    /// A change of rule is confirmed without a row flushed by its list.
    case confirmWithoutFlush
    /// A change of rule that does not succeed is undone by deleting it.
    case undoRuleChange
    /// One copy is allowed on the server before the store knows.
    case oneCopyWithoutStore
    /// Copies and members change at the same time.
    case changeInOneStep

    // The agent.
    /// A fence stops the server but leaves neither pledge nor `standby.signal`: the agent starts the leader again,
    /// since the current rule still names it.
    case fenceWithoutPledge
    /// An old leader is started as it was: as a primary.
    case startOldLeader
    /// After a rewind or a clone the source's pledge and list stand.
    case pledgeNotReasserted
    /// A clone goes on under the replication name of the standby that it was copied from.
    case copiedNames
    /// A server is rewound or cloned without saving what only it holds.
    case divergedNotSaved
    /// A member is rewound or cloned while its acknowledgement counts.
    case recloneMember

    // Leases.
    /// A lease is counted from the arrival of its renewal.
    case leaseFromArrival
    /// A lease's end is counted from the claim, not from a seal after it.
    case leaseFromClaim
    /// An agent's clock stands still while its host does.
    case leaseByMonotonicClock
    /// A server is fenced at the end of its lease, not before it.
    case fenceAtLeaseEnd
    /// A sealed server vouches for the leader of before.
    case sealedVouch
    /// A new leader's list is opened before it has a lease.
    case openWithoutLease
    /// A larger cohort is confirmed before the leader knows that it must ask the new member.
    case growWithoutTerms
    /// A controller renews leases although another may lead by then.
    case grantsAfterDeposed
    /// A candidate is promoted however much WAL it lacks.
    case lagIgnored
    /// What may be lost is not announced.
    case lossUnannounced

    // Poolers.
    /// Any controller's view is taken, of an older term too.
    case poolerGoesBack
    /// Connections of an older term are kept.
    case poolerKeepsConnections
    /// Transactions are said to be over that are not.
    case poolerDrainsEarly
    /// Transactions begin while a change of leader is under way.
    case poolerNeverHolds

    // Evidence and leadership.
    /// Evidence counts whatever its age.
    case staleObservation
    /// "Too many clients" is taken for no answer.
    case fullIsDead
    /// A standby that still receives from the leader does not acquit it.
    case vetoIgnored
    /// A controller whose write conflicts, because another leads, goes on as if it had been stored.
    case actsAfterDeposed
    /// A write of unknown outcome is taken for done.
    case unknownOutcomeAssumed
    /// A store restored from an old copy leads, and servers take its pledges.
    case oldStoreTrusted

    /// The wrong decisions of the core; none where a shell or an agent is wrong.
    var decisionFaults: DecisionFaults {
        switch self {
        case .discoverOneTooFew: .discoverCopiesOnly
        case .unreadLeaderDiscovered: .unreadLeaderDiscovered
        case .rankByLSN: .rankByLSN
        case .trustTimelineIDs: .trustTimelineIDs
        case .dropRulesAtRecord: .dropRulesAtRecord
        case .promotionForgotten: .undoRecorded
        case .membersOnlyCohort: .membersOnlyCohort
        case .switchoverWithoutSealing: .switchoverWithoutSealing
        case .confirmByOneCommit: .confirmByOneCommit
        case .confirmWithoutFlush: .confirmWithoutFlush
        case .undoRuleChange: .undoRuleChange
        case .oneCopyWithoutStore: .oneCopyWithoutStore
        case .changeInOneStep: .changeInOneStep
        case .recloneMember: .recloneMember
        case .staleObservation: .staleObservation
        case .fullIsDead: .fullIsDead
        case .vetoIgnored: .vetoIgnored
        case .oldStoreTrusted: .oldStoreTrusted
        case .leaseFromClaim: .leaseFromClaim
        case .fenceAtLeaseEnd: .fenceAtLeaseEnd
        case .sealedVouch: .sealedVouch
        case .openWithoutLease: .openWithoutLease
        case .growWithoutTerms: .growWithoutTerms
        case .lagIgnored: .lagIgnored
        case .lossUnannounced: .lossUnannounced
        case .sealWithoutWaiting, .connectingReceiverUnseen, .positionBeforeSeal, .promoteBeforeRecord,
            .emptyListOnStandbys, .listAfterPromotion, .fenceWithoutPledge, .startOldLeader, .pledgeNotReasserted,
            .copiedNames, .divergedNotSaved, .poolerGoesBack, .poolerKeepsConnections, .poolerDrainsEarly,
            .poolerNeverHolds, .actsAfterDeposed, .unknownOutcomeAssumed, .leaseFromArrival, .leaseByMonotonicClock,
            .grantsAfterDeposed:
            []
        }
    }

    /// It can only show in mode `async`.
    package var needsLeases: Bool {
        switch self {
        case .leaseFromArrival, .leaseFromClaim, .leaseByMonotonicClock, .fenceAtLeaseEnd, .sealedVouch,
            .openWithoutLease, .growWithoutTerms, .grantsAfterDeposed, .lagIgnored, .lossUnannounced:
            true
        default: false
        }
    }

    /// Whether `report` shows the mistake: a broken promise, or, where it only strands the cluster, a late recovery.
    package func isShown(by report: Simulation.Report) -> Bool {
        report.violation != nil && (report.isUnsafe || self == .membersOnlyCohort)
    }

    /// What this build can run.
    package static var available: [Variant] {
        #if DEBUG || PGHA_SIMULATION_FAULTS
            Variant.allCases
        #else
            []
        #endif
    }
}
