/// Deliberately wrong decisions, to show that the simulator would catch them. None is ever on in a release build.
package struct DecisionFaults: OptionSet, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// N followers are read instead of |cohort| − N + 1.
    package static let discoverCopiesOnly = DecisionFaults(rawValue: 1 << 0)
    /// A change of rule is confirmed by one flushed row, without the marker.
    package static let confirmByOneCommit = DecisionFaults(rawValue: 1 << 1)
    /// The older rules are gone as soon as the new one is recorded.
    package static let dropRulesAtRecord = DecisionFaults(rawValue: 1 << 2)
    /// A fenced leader counts as discovered although nobody read its position.
    package static let unreadLeaderDiscovered = DecisionFaults(rawValue: 1 << 3)
    /// A recorded rule that was not opened is forgotten, as if its promotion could not take effect any more.
    package static let undoRecorded = DecisionFaults(rawValue: 1 << 4)
    /// Pledges that the store never handed out are no reason to stop, and servers take any pledge.
    package static let oldStoreTrusted = DecisionFaults(rawValue: 1 << 5)
    /// The greatest position wins, whatever history it is in.
    package static let rankByLSN = DecisionFaults(rawValue: 1 << 6)
    /// A switchover goes on as soon as the old leader has stopped.
    package static let switchoverWithoutSealing = DecisionFaults(rawValue: 1 << 7)
    /// A change of rule is confirmed without a row flushed by its list.
    package static let confirmWithoutFlush = DecisionFaults(rawValue: 1 << 8)
    /// A change of rule that does not succeed is undone by deleting it.
    package static let undoRuleChange = DecisionFaults(rawValue: 1 << 9)
    /// A member is rewound or cloned while its acknowledgement counts.
    package static let recloneMember = DecisionFaults(rawValue: 1 << 10)
    /// After a failover only members of the rule before may hold copies.
    package static let membersOnlyCohort = DecisionFaults(rawValue: 1 << 11)
    /// Equal timeline ids and switch points are taken for equal history.
    package static let trustTimelineIDs = DecisionFaults(rawValue: 1 << 12)
    /// Evidence counts whatever its age.
    package static let staleObservation = DecisionFaults(rawValue: 1 << 13)
    /// One copy is allowed on the server before the store knows.
    package static let oneCopyWithoutStore = DecisionFaults(rawValue: 1 << 14)
    /// "Too many clients" is taken for no answer.
    package static let fullIsDead = DecisionFaults(rawValue: 1 << 15)
    /// A standby that still receives from the leader does not acquit it.
    package static let vetoIgnored = DecisionFaults(rawValue: 1 << 16)
    /// Copies and members change at the same time.
    package static let changeInOneStep = DecisionFaults(rawValue: 1 << 17)
    /// The server is fenced at the end of its lease, instead of before it.
    package static let fenceAtLeaseEnd = DecisionFaults(rawValue: 1 << 18)
    /// The lease's end is counted from the claim, not from a seal after it.
    package static let leaseFromClaim = DecisionFaults(rawValue: 1 << 19)
    /// The list is opened before the leader has the lease that goes with it.
    package static let openWithoutLease = DecisionFaults(rawValue: 1 << 20)
    /// A larger cohort is confirmed before the leader knows that it must ask the new member.
    package static let growWithoutTerms = DecisionFaults(rawValue: 1 << 21)
    /// A candidate is promoted however much WAL it lacks.
    package static let lagIgnored = DecisionFaults(rawValue: 1 << 22)
    /// What may be lost is not announced.
    package static let lossUnannounced = DecisionFaults(rawValue: 1 << 23)
    /// Sealed servers vouch for the leader of before.
    package static let sealedVouch = DecisionFaults(rawValue: 1 << 24)

    #if DEBUG || PGHA_SIMULATION_FAULTS
        /// In force for the current task.
        @TaskLocal package static var current: DecisionFaults = []

        static func isOn(_ fault: DecisionFaults) -> Bool { Self.current.contains(fault) }
    #else
        static func isOn(_ fault: DecisionFaults) -> Bool { false }
    #endif
}
