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
    func replacement(of text: UnsafeRawBufferPointer, _ client: ClientPointer, _ server: ServerPointer) -> String? {
        guard AttentionTest.needsAttention(text) else { return nil }
        if let refusal = self.settingRefusal(of: text, client, server) { return refusal.statement }
        if case .replaced(let other) = self.positionInspection(client, text) { return other }
        return nil
    }

    private func settingRefusal(
        of text: UnsafeRawBufferPointer, _ client: ClientPointer, _ server: ServerPointer
    ) -> SettingRefusal? {
        guard !self.configuration.authentication.allowsRiskySettings else { return nil }
        var effects = self.classifier.classify(text, strings: self.stringSyntax(of: server)).effects
        if effects.contains(.setsByParameter) {
            client.pointee.flags.insert(.guardsBinds)
            if effects.contains(.prepares) { effects.formUnion(SettingRisk.all) }
        }
        return SettingRefusal(effects)
    }

    /// What a Bind would set, of a client that has prepared a `set_config` whose name is a parameter.
    func settingRefusal(ofBind message: MessageView) -> SettingRefusal? {
        SettingRefusal(SettingRisk.mentioned(in: message.body))
    }

    /// A Bind of a statement that fails in the refused one's place; false when the client lost its server.
    mutating func replaceBind(
        _ client: ClientPointer, _ server: ServerPointer, _ message: MessageView, _ refusal: SettingRefusal
    ) -> Bool {
        var reader = ByteReader(message.body)
        guard let portal = reader.string(), self.makeRoom(for: 1024 + portal.count, client) else { return false }
        self.forgetUnnamed(server)
        self.appendReplacement(refusal.statement, name: UnsafeRawBufferPointer(start: nil, count: 0))
        server.pointee.session.sent(Request(.injectedParse, sequence: self.nextSequence()))
        var buffer = WireBuffer()
        buffer.message(FrontendMessage.bind) { buffer in
            buffer.append(portal)
            // No name, and nothing of formats, values and results.
            buffer.append([UInt8](repeating: 0, count: 8))
        }
        self.append(buffer)
        server.pointee.session.sent(Request(.bind))
        return true
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
