package import PGHAWire

extension PoolerConfiguration {
    /// The console on the databases `pgha` and `pgbouncer`.
    package struct Console: Sendable {
        /// A row of SHOW CONFIG.
        package struct Setting: Sendable {
            package let key: String
            package let value: String?
            package let fallback: String?
            package let isChangeable: Bool

            package init(key: String, value: String?, fallback: String?, isChangeable: Bool) {
                self.key = key
                self.value = value
                self.fallback = fallback
                self.isChangeable = isChangeable
            }
        }

        /// Who may do everything there.
        package var administrators: Set<WireText> = []
        /// Who may look.
        package var observers: Set<WireText> = []
        package var settings: [Setting] = []

        package init() {}
    }
}
