#if DEBUG || PGHA_SIMULATION_FAULTS
/// Deliberately wrong decisions, to show that the simulator would catch them. Release builds do not have them.
package struct DecisionFaults: OptionSet, Sendable {
    package let rawValue: Int

    package init(rawValue: Int) { self.rawValue = rawValue }

    /// N followers are read instead of |cohort| − N + 1.
    package static let discoverCopiesOnly = DecisionFaults(rawValue: 1)
    /// A change of rule is confirmed by one flushed row, without the marker.
    package static let confirmByOneCommit = DecisionFaults(rawValue: 2)

    /// In force for the current task.
    @TaskLocal package static var current: DecisionFaults = []
}
#endif
