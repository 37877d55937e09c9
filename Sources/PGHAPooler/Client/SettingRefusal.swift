internal import PGHAWire

/// A setting that would break what the cluster promises (DESIGN, "Commits that lie"): acknowledged commits could be
/// lost, or the only sign of a commit that no standby has would be hidden.
struct SettingRefusal: Equatable {
    private let name: StaticString
    private let reason: StaticString

    /// nil where nothing is at risk.
    init?(_ effects: StatementEffects) {
        if effects.contains(.lowersDurability) {
            self.name = "synchronous_commit"
            self.reason = "A commit is acknowledged only when a standby has it on disk."
        } else if effects.contains(.hidesWarnings) {
            self.name = "client_min_messages"
            self.reason = "A commit that no standby has is told by a WARNING only."
        } else {
            return nil
        }
    }

    static func == (left: Self, right: Self) -> Bool { left.message == right.message }

    var message: String { "the cluster does not allow to lower \"\(self.name)\"" }
    private var detail: String { "\(self.reason)" }
    private var hint: String { "Leave it as it is, or let the operator set allow_risky_settings." }

    func error(_ severity: WireError.Severity) -> WireError {
        WireError(severity, .insufficientPrivilege, self.message, detail: self.detail, hint: self.hint)
    }

    /// A statement that fails with the error: it takes the refused one's place, so that the server keeps all the
    /// rules of transactions, pipelines and extended queries.
    var statement: String {
        """
        DO $pgha$BEGIN RAISE insufficient_privilege USING MESSAGE = '\(self.message)', \
        DETAIL = '\(self.detail)', HINT = '\(self.hint)'; END$pgha$
        """
    }
}
