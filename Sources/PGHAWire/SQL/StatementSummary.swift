/// What can be told from a statement's text.
package struct StatementSummary: Equatable, Sendable {
    package enum Kind: UInt8, Sendable {
        /// One statement that a standby answers as well as the primary.
        case read
        /// Changes data, takes locks on rows, or may do so.
        case write
        /// BEGIN, COMMIT, SAVEPOINT, SET TRANSACTION and their like.
        case transactionControl
        /// Changes, or depends on, what the session remembers.
        case sessionState
        /// Several statements, none, or one that is not understood: the primary's.
        case doubtful
    }

    /// `/*pgha:primary*/`, `/*pgha:standby*/` in any comment.
    package enum Hint: UInt8, Sendable {
        case none, standby
        /// Wins where both are given.
        case primary
    }

    /// Which setting SET or RESET is about, where the name is not in the text.
    package enum Setting: UInt8, Sendable {
        /// None, or the one named by ``StatementSummary/name``.
        case named
        /// `SET TIME ZONE`
        case timeZone
        /// `SET NAMES`
        case clientEncoding
        /// `SET SCHEMA`
        case searchPath
        /// `SET ROLE`
        case role
        /// `SET SESSION AUTHORIZATION`
        case sessionAuthorization
        /// `SET SESSION CHARACTERISTICS AS TRANSACTION`: `default_transaction_…`.
        case sessionCharacteristics
        /// `SET XML OPTION`
        case xmlOption

        /// PostgreSQL's name for it; nil where the statement names it or means several.
        package var name: WireText? {
            switch self {
            case .named, .sessionCharacteristics: nil
            case .timeZone: "timezone"
            case .clientEncoding: "client_encoding"
            case .searchPath: "search_path"
            case .role: "role"
            case .sessionAuthorization: "session_authorization"
            case .xmlOption: "xmloption"
            }
        }
    }

    package var kind = Kind.doubtful
    package var hint = Hint.none
    package var setting = Setting.named
    /// Statements that are not empty.
    package var count = 0
    package var effects: StatementEffects = []
    /// Where the text has the name of the setting or prepared statement, quotes included; empty when there is none.
    /// Of several statements, the last one's.
    package var name: Range<Int> = 0..<0
    /// Where the text has what SET sets, as it is written.
    package var value: Range<Int> = 0..<0

    /// The name as PostgreSQL understands it: folded, or unquoted.
    package func name(in text: UnsafeRawBufferPointer) -> WireText? {
        if let name = self.setting.name { return name }
        guard !self.name.isEmpty, self.name.upperBound <= text.count else { return nil }
        return SQLName.folded(UnsafeRawBufferPointer(rebasing: text[self.name]))
    }
}

extension StatementSummary.Hint {
    /// Reads a comment behind its `/*`.
    init(comment: UnsafePointer<UInt8>, count: Int) {
        let bytes = UnsafeBufferPointer(start: comment, count: count)
        var index = 0
        while index < count, bytes[index].isSpace { index += 1 }
        self = .none
        for (text, hint) in Self.spellings {
            let end = index + text.utf8CodeUnitCount
            guard end < count, (index..<end).allSatisfy({ bytes[$0] == text.utf8Start[$0 - index] }) else { continue }
            // `pgha:primary_only` is something else.
            if bytes[end] == UInt8(ascii: "*") || bytes[end].isSpace { self = hint }
        }
    }

    private static let spellings: [(StaticString, Self)] = [("pgha:primary", .primary), ("pgha:standby", .standby)]

    mutating func merge(_ other: Self) {
        if other.rawValue > self.rawValue { self = other }
    }
}

/// What a text does besides reading and writing rows.
package struct StatementEffects: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// SET, also by `set_config` with a name that can be read.
    package static let sets = Self(rawValue: 1 << 0)
    /// SET LOCAL: gone with the transaction.
    package static let setsLocally = Self(rawValue: 1 << 1)
    /// RESET, SET … TO DEFAULT.
    package static let resets = Self(rawValue: 1 << 2)
    package static let resetsAll = Self(rawValue: 1 << 3)
    package static let discardsAll = Self(rawValue: 1 << 4)
    /// DISCARD PLANS, SEQUENCES or TEMP.
    package static let discardsSome = Self(rawValue: 1 << 5)
    /// `set_config`, or an UPDATE of `pg_settings`: some setting, perhaps.
    package static let callsSetConfig = Self(rawValue: 1 << 6)
    package static let prepares = Self(rawValue: 1 << 7)
    package static let executes = Self(rawValue: 1 << 8)
    package static let deallocates = Self(rawValue: 1 << 9)
    package static let deallocatesAll = Self(rawValue: 1 << 10)
    package static let listens = Self(rawValue: 1 << 11)
    package static let unlistens = Self(rawValue: 1 << 12)
    package static let notifies = Self(rawValue: 1 << 13)
    /// A temporary table, view, sequence or function.
    package static let createsTemporary = Self(rawValue: 1 << 14)
    package static let declaresHoldCursor = Self(rawValue: 1 << 15)
    package static let loads = Self(rawValue: 1 << 16)
    /// An advisory lock that outlives the transaction.
    package static let takesSessionLock = Self(rawValue: 1 << 17)
    package static let releasesSessionLock = Self(rawValue: 1 << 18)
    /// CALL or DO: code that cannot be seen from here.
    package static let runsCode = Self(rawValue: 1 << 19)
    package static let copies = Self(rawValue: 1 << 20)
    package static let begins = Self(rawValue: 1 << 21)
    /// BEGIN with READ ONLY.
    package static let beginsReadOnly = Self(rawValue: 1 << 22)
    package static let commits = Self(rawValue: 1 << 23)
    package static let rollsBack = Self(rawValue: 1 << 24)
    /// PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED.
    package static let twoPhase = Self(rawValue: 1 << 25)
    /// `synchronous_commit` below `on`, or what may be that: acknowledged commits could be lost.
    package static let lowersDurability = Self(rawValue: 1 << 26)
    /// `client_min_messages` above `warning`, or what may be that: PostgreSQL's only sign of a commit that no standby
    /// has (DESIGN, "Commits that lie") would be hidden.
    package static let hidesWarnings = Self(rawValue: 1 << 27)
    /// `set_config` with a parameter for the name: which setting that is, Bind says.
    package static let setsByParameter = Self(rawValue: 1 << 28)
    /// Looks at `pg_prepared_statements`: what the session has prepared, by its own names.
    package static let readsStatements = Self(rawValue: 1 << 29)

    /// What binds a session to its server connection or must be told to the next one.
    package static let sessionBound: Self = [
        .sets, .resets, .resetsAll, .discardsAll, .discardsSome, .callsSetConfig, .prepares, .executes, .deallocates,
        .deallocatesAll, .listens, .unlistens, .createsTemporary, .declaresHoldCursor, .loads, .takesSessionLock,
        .releasesSessionLock, .readsStatements,
    ]

    /// EXECUTE and DEALLOCATE of one statement.
    package static let namesStatement: Self = [.executes, .deallocates]
}
