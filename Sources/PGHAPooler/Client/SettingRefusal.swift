internal import PGHAWire

/// A setting that would break what the cluster promises (DESIGN, "Commits that lie").
enum SettingRefusal: UInt8, Equatable {
    /// Acknowledged commits could be lost.
    case lowersDurability
    /// The only sign of a commit that no standby has would be hidden.
    case hidesWarnings

    /// nil where nothing is at risk.
    init?(_ effects: StatementEffects) {
        if effects.contains(.lowersDurability) {
            self = .lowersDurability
        } else if effects.contains(.hidesWarnings) {
            self = .hidesWarnings
        } else {
            return nil
        }
    }

    private var message: String {
        switch self {
        case .lowersDurability: "the cluster does not allow lowering \"synchronous_commit\""
        case .hidesWarnings: "the cluster does not allow raising \"client_min_messages\" above warning"
        }
    }

    private var detail: String {
        switch self {
        case .lowersDurability: "A commit is acknowledged only when a standby has it on disk."
        case .hidesWarnings: "A WARNING is the only sign of a commit that no standby has."
        }
    }

    private var hint: String { "Leave it as it is, or let the operator allow it in the configuration of the pooler." }

    func error(_ severity: WireError.Severity) -> WireError {
        WireError(severity, .insufficientPrivilege, self.message, detail: self.detail, hint: self.hint)
    }

    /// A statement that fails with the error. It takes the refused one's place, so that transactions, pipelines and
    /// extended queries keep all their rules: the server itself refuses.
    var statement: String {
        """
        DO $pgha$BEGIN RAISE insufficient_privilege USING MESSAGE = '\(self.message)', \
        DETAIL = '\(self.detail)', HINT = '\(self.hint)'; END$pgha$
        """
    }
}

extension PoolerLoop {
    /// What is sent in the place of a text that must not be, or that the pooler itself is meant by; nil for others.
    func replacement(of text: UnsafeRawBufferPointer, _ client: ClientPointer) -> String? {
        guard AttentionTest.needsAttention(text) else { return nil }
        if !self.configuration.authentication.allowsRiskySettings,
            let refusal = SettingRefusal(self.classifier.classify(text).effects)
        {
            return refusal.statement
        }
        if case .replaced(let other) = self.positionInspection(client, text) { return other }
        return nil
    }

    /// What Parse has behind the statement's name.
    static func parseContent(_ text: String) -> [UInt8] { Array(text.utf8) + [0, 0, 0] }

    /// Adds a Query.
    mutating func appendReplacement(_ text: String) {
        var buffer = WireBuffer(capacity: 512)
        buffer.query(text)
        self.append(buffer)
    }

    /// Adds a Parse.
    mutating func appendReplacement(_ text: String, name: UnsafeRawBufferPointer) {
        var buffer = WireBuffer(capacity: 512)
        buffer.message(FrontendMessage.parse) { buffer in
            buffer.append(name)
            buffer.append(UInt8(0))
            buffer.append(Self.parseContent(text))
        }
        self.append(buffer)
    }
}
