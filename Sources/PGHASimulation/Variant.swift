/// Deliberately wrong variants: each must be caught by the invariants, or the simulator proves nothing.
package enum Variant: String, CaseIterable, Sendable {
    /// Seal answers when the settings are written, with the receiver still there.
    case sealWithoutWaiting
    /// Seal looks at the streaming receiver only; one that is just connecting is not seen.
    case connectingReceiverUnseen
    /// The controller goes on before its record is in the store.
    case promoteBeforeRecord
    /// The older rules are gone from the store as soon as the new one is recorded.
    case dropRulesAtRecord
    /// Standbys have no fence in `synchronous_standby_names`.
    case emptyListOnStandbys
    /// N followers are read instead of |cohort| − N + 1.
    case discoverOneTooFew
    /// A change of rule is confirmed by one flushed row, without the marker.
    case confirmByOneCommit
    /// A fence stops the server but leaves neither pledge nor `standby.signal`.
    case fenceWithoutPledge
    /// After a rewind or a clone the source's pledge and list stand.
    case pledgeNotReasserted
}
