internal import PGHAWire

/// Why a client keeps its server until it leaves: state that cannot be moved to another.
enum PinReason: UInt8, BitwiseCopyable, CaseIterable {
    case none
    /// Session mode.
    case sessionMode
    /// SQL's PREPARE.
    case prepare
    case listen
    case temporaryObject
    case holdCursor
    case load
    case advisoryLock
    /// A setting whose name cannot be read in the text.
    case setConfig
    /// It looked at what it has prepared.
    case ownNames

    /// In metrics.
    var name: String {
        switch self {
        case .none: "none"
        case .sessionMode: "session_mode"
        case .prepare: "prepare"
        case .listen: "listen"
        case .temporaryObject: "temporary_object"
        case .holdCursor: "hold_cursor"
        case .load: "load"
        case .advisoryLock: "advisory_lock"
        case .setConfig: "set_config"
        case .ownNames: "own_names"
        }
    }

    /// The first of what `effects` say that cannot move.
    init(_ effects: StatementEffects, hasName: Bool) {
        if effects.contains(.listens) {
            self = .listen
        } else if effects.contains(.takesSessionLock) {
            self = .advisoryLock
        } else if effects.contains(.createsTemporary) {
            self = .temporaryObject
        } else if effects.contains(.declaresHoldCursor) {
            self = .holdCursor
        } else if effects.contains(.prepares) {
            self = .prepare
        } else if effects.contains(.loads) {
            self = .load
        } else if effects.contains(.callsSetConfig), !hasName {
            self = .setConfig
        } else {
            self = .none
        }
    }
}

/// Settings that the present client may have changed on a server.
final class SessionTouch {
    /// Names seen in texts. `pg_settings` shows most of what is set, but not roles and made-up names.
    var names: Set<WireText> = []

    /// What to ask once the transaction is over: every setting that a session has of its own, as the server spells
    /// it, whatever committed or rolled back on the way.
    func query(also known: [WireText]) -> [UInt8] {
        var text = Array(
            """
            SELECT name, pg_catalog.current_setting(name) FROM pg_catalog.pg_settings WHERE source = 'session'
            """.utf8)
        let hidden = self.names.union(known).sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        guard !hidden.isEmpty else { return text }
        text += Array(" UNION SELECT n, pg_catalog.current_setting(n, true) FROM (VALUES ".utf8)
        for (index, name) in hidden.enumerated() {
            if index > 0 { text += Array(",".utf8) }
            text += Array("(".utf8) + Replay.literal(name.bytes) + Array(")".utf8)
        }
        return text + Array(") AS v(n) WHERE pg_catalog.current_setting(n, true) IS NOT NULL".utf8)
    }

    /// Names and values that the server answered.
    private(set) var rows: [SessionSetting] = []

    func take(_ row: UnsafeRawBufferPointer) {
        var reader = ByteReader(row)
        guard reader.integer(UInt16.self) == 2, let nameCount = reader.integer(Int32.self),
            let name = reader.bytes(Int(nameCount)), let valueCount = reader.integer(Int32.self),
            let value = reader.bytes(Int(max(valueCount, 0)))
        else { return }
        self.rows.append(
            SessionSetting(name: WireText(name.map(ParameterName.lowercased)), value: WireText(value)))
    }
}
