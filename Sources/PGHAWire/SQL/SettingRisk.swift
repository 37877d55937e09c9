/// Finds settings that break what the cluster promises (DESIGN, "Commits that lie").
package enum SettingRisk {
    package static let all: StatementEffects = [.lowersDurability, .hidesWarnings]

    /// Whether the value of this setting matters at all. Names are compared without regard to case, as PostgreSQL
    /// does even for quoted ones.
    static func isGuarded(_ name: UnsafeRawBufferPointer) -> Bool {
        name.equalsIgnoringCase("synchronous_commit") || name.equalsIgnoringCase("client_min_messages")
    }

    /// What setting `name` to `value` would risk; a value that cannot be read is nil and risks the most.
    ///
    /// For startup parameters and `options` too, where names come with `_`.
    package static func of(_ name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) -> StatementEffects {
        if name.equalsIgnoringCase("synchronous_commit") {
            return Self.isOne(value, of: Self.durable) ? [] : .lowersDurability
        }
        if name.equalsIgnoringCase("client_min_messages") {
            return Self.isOne(value, of: Self.showingWarnings) ? [] : .hidesWarnings
        }
        return []
    }

    package static func of(_ parameter: StartupMessage.Parameter) -> StatementEffects {
        parameter.name.bytes.withUnsafeBytes { name in
            parameter.value.bytes.withUnsafeBytes { Self.of(name, value: $0) }
        }
    }

    /// The settings that are named anywhere in the values of a Bind.
    package static func mentioned(in values: UnsafeRawBufferPointer) -> StatementEffects {
        var effects: StatementEffects = []
        if values.containsIgnoringCase("synchronous_commit") { effects.insert(.lowersDurability) }
        if values.containsIgnoringCase("client_min_messages") { effects.insert(.hidesWarnings) }
        return effects
    }

    /// What a client asks for in its startup packet, `options` included.
    package static func of(_ message: StartupMessage) -> StatementEffects {
        (message.optionSettings + message.parameters).reduce(into: []) { $0.formUnion(Self.of($1)) }
    }

    /// Values of `synchronous_commit` under which an acknowledged commit is on the standby's disk. The list names
    /// what is safe, so that a value of a later version counts as unsafe until it is known.
    private static let durable: [StaticString] = ["on", "true", "yes", "1", "remote_apply"]

    /// Levels of `client_min_messages` at which a WARNING is sent.
    private static let showingWarnings: [StaticString] = [
        "debug", "debug1", "debug2", "debug3", "debug4", "debug5", "log", "info", "notice", "warning",
    ]

    private static func isOne(_ value: UnsafeRawBufferPointer?, of names: [StaticString]) -> Bool {
        guard let value else { return false }
        return names.contains { value.equalsIgnoringCase($0) }
    }
}
