extension PoolerConfiguration {
    /// Which statements of the port for writing go to standbys.
    package struct Split: Sendable {
        /// Reads outside of transactions do; otherwise nothing does.
        package var isOn = false
        /// Functions besides PostgreSQL's own that a standby may run, by name.
        package var standbyFunctions: [String] = []
        /// Functions that only the leader runs, whatever else is said of them.
        package var leaderFunctions: [String] = []

        package init() {}
    }
}
