/// The pass over one statement.
struct StatementScan {
    var lexer: SQLLexer
    var summary = StatementSummary()
    /// Where the next statement begins.
    private(set) var end = 0
    /// The token at hand.
    var token = SQLLexer.Token.end
    /// Parentheses that are open.
    private var depth = 0
    /// Open blocks of a function's body in SQL (`BEGIN ATOMIC … END`): their semicolons end no statement.
    private var blocks = 0
    private var opening = Keyword.none
    private var isCreate = false
    private var sawUpdate = false
    /// Whether the last INTO was none of INSERT's or MERGE's.
    private var intoNewTable = false

    init(lexer: SQLLexer) { self.lexer = lexer }

    @inline(__always) mutating func advance() { self.token = self.lexer.next() }

    mutating func run() {
        self.advance()
        if self.isAtEnd { return self.finish() }
        self.summary.count = 1
        self.first()
        self.rest()
        self.finish()
    }

    var isAtEnd: Bool { self.token == .end || self.token == .semicolon }

    private mutating func finish() {
        self.summary.hint = self.lexer.hint
        self.end = self.lexer.position
        if self.depth != 0 || self.blocks != 0 { self.summary.kind = .doubtful }
        let isPlain = self.summary.kind == .read || self.summary.kind == .write
        if isPlain, !self.summary.effects.isDisjoint(with: .sessionBound) { self.summary.kind = .sessionState }
    }

    // MARK: The first word

    /// Leaves `token` at the first one that has not been looked at.
    private mutating func first() {
        // `(SELECT …) UNION …`
        while self.token == .open {
            self.depth += 1
            self.advance()
        }
        let keyword = self.lexer.keyword
        self.opening = keyword
        if keyword == .update { self.sawUpdate = true }
        switch keyword {
        case .select, .values, .table, .with: self.become(.read)
        case .explain: self.explain()
        case .insert, .update, .delete, .merge, .truncate, .alter, .drop, .lock, .vacuum, .analyze, .otherWrite:
            self.become(.write)
        case .create: self.create()
        case .call, .doBlock: self.become(.write, .runsCode)
        case .copy: self.become(.write, .copies)
        case .notify: self.become(.write, .notifies)
        case .begin, .start: self.begin()
        case .commit, .end: self.finishTransaction(.commits)
        case .rollback, .abort: self.finishTransaction(.rollsBack)
        case .savepoint, .release: self.become(.transactionControl)
        case .set: self.set()
        case .reset: self.resetSetting()
        case .discard: self.discard()
        case .prepare: self.prepare()
        case .execute: self.named(.executes)
        case .deallocate: self.deallocate()
        case .listen: self.named(.listens)
        case .unlisten: self.named(.unlistens)
        case .load: self.become(.sessionState, .loads)
        // Cursors live where they were declared.
        case .declare, .fetch, .move, .close: self.become(.write)
        // It speaks about the session, and about one server.
        case .show: self.become(.doubtful)
        default: break
        }
    }

    mutating func become(_ kind: StatementSummary.Kind, _ effects: StatementEffects = []) {
        self.summary.kind = kind
        self.summary.effects.formUnion(effects)
        self.advance()
    }

    private mutating func explain() {
        self.advance()
        var runs = false
        if self.token == .open {
            while self.token != .close, !self.isAtEnd {
                if self.lexer.keyword == .analyze { runs = true }
                self.advance()
            }
            if self.token == .close { self.advance() }
        }
        while self.token == .word, self.lexer.keyword == .analyze || self.lexer.token.equalsIgnoringCase("verbose") {
            if self.lexer.keyword == .analyze { runs = true }
            self.advance()
        }
        // EXPLAIN EXPLAIN is an error; without this it would recurse as deep as the text is long.
        guard self.lexer.keyword != .explain else { return }
        self.first()
        if self.summary.kind != .read { self.summary.kind = .doubtful }
        if runs { self.summary.kind = .write }
    }

    private mutating func create() {
        self.isCreate = true
        self.become(.write)
        while [.or, .replace, .global, .local].contains(self.lexer.keyword) { self.advance() }
        if self.lexer.keyword == .temporary { self.summary.effects.insert(.createsTemporary) }
    }

    // MARK: The rest

    private mutating func rest() {
        var previous = self.opening
        // Whether a parenthesis now would call something that is not known to be pure.
        var isCall = false
        var qualifier = Keyword.none
        var isQualified = false
        // `) name (` lists columns of what the first parentheses gave.
        var isClosed = false
        while true {
            let keyword = self.lexer.keyword
            switch self.token {
            case .end: return
            case .semicolon where self.depth <= 0 && self.blocks <= 0: return
            case .unterminated: self.summary.kind = .doubtful
            case .hiddenWord: self.anythingMayHappen()
            case .ambiguous:
                self.anythingMayHappen()
                // Where one token has no certain end, nothing behind it is certain either.
                self.lexer.skipAll()
            case .open:
                self.depth += 1
                if previous.isFunction { self.call(previous) } else if isCall { self.noRead() }
            case .close:
                self.depth -= 1
                if self.depth < 0 { self.summary.kind = .doubtful }
            case .word, .quotedWord:
                if keyword != .none { self.word(keyword, after: previous) }
                isCall = !isClosed && Self.calls(keyword, after: previous, isQualified && qualifier != .catalogSchema)
                isQualified = false
                isClosed = false
                previous = keyword
                self.advance()
                continue
            case .dot:
                qualifier = previous
                isQualified = true
                previous = .none
                isCall = false
                self.advance()
                continue
            default: break
            }
            isCall = false
            isQualified = false
            isClosed = self.token == .close
            previous = keyword
            self.advance()
        }
    }

    /// Whether a parenthesis behind this name is a call that nobody knows. Behind AS and WITH it lists columns.
    @inline(__always) private static func calls(_ name: Keyword, after previous: Keyword, _ isOwn: Bool) -> Bool {
        if name == .ownRead || previous == .asWord || previous == .with || previous == .recursive { return false }
        return isOwn || !name.mayOpenParenthesis
    }

    private mutating func anythingMayHappen() {
        self.summary.kind = .doubtful
        self.summary.effects.formUnion(SettingRisk.all.union(.callsSetConfig))
    }

    /// A word that is not the statement's first. `previous` is the token before it, `none` for most.
    private mutating func word(_ keyword: Keyword, after previous: Keyword) {
        switch (keyword, previous) {
        // Behind WITH, or inside of EXPLAIN; a column of such a name costs a trip to the primary, no more.
        case (.insert, _), (.delete, _), (.merge, _): self.noRead()
        case (.update, _):
            self.sawUpdate = true
            self.noRead()
        case (.into, _):
            self.intoNewTable = previous != .insert && previous != .merge
            self.noRead()
        // FOR UPDATE, FOR NO KEY UPDATE, FOR SHARE, FOR KEY SHARE.
        case (.share, .forWord), (.no, .forWord), (.key, .forWord): self.noRead()
        case (.temporary, .into), (.temporary, .local), (.temporary, .global), (.temporarySchema, .into):
            if self.intoNewTable { self.summary.effects.insert(.createsTemporary) }
        case (.temporarySchema, _) where self.isCreate: self.summary.effects.insert(.createsTemporary)
        // A rule of that view calls set_config.
        case (.settingsView, _) where self.sawUpdate: self.anythingMayHappen()
        case (.settingsView, _), (.serverView, _): self.noRead()
        case (.statementsView, _):
            self.summary.effects.insert(.readsStatements)
            self.noRead()
        case (.hold, .with) where self.opening == .declare: self.summary.effects.insert(.declaresHoldCursor)
        case (.only, .read) where self.summary.effects.contains(.begins):
            self.summary.effects.insert(.beginsReadOnly)
        case (.atomic, .begin) where self.isCreate: self.blocks += 1
        case (.caseWord, _) where self.blocks > 0: self.blocks += 1
        case (.end, _) where self.blocks > 0: self.blocks -= 1
        default: break
        }
    }

    private mutating func noRead() {
        if self.summary.kind == .read { self.summary.kind = .write }
    }

    /// A call of one of the functions that matter; its parenthesis has just been read.
    private mutating func call(_ function: Keyword) {
        self.noRead()
        switch function {
        case .advisoryLock: self.summary.effects.insert(.takesSessionLock)
        case .advisoryUnlock: self.summary.effects.insert(.releasesSessionLock)
        case .setConfig: self.summary.effects.formUnion(SetConfigCall.risks(self.lexer).union(.callsSetConfig))
        default: break
        }
    }
}

/// The arguments of `set_config('name', 'value', is_local)`.
enum SetConfigCall {
    /// `lexer` has just read the parenthesis.
    static func risks(_ lexer: SQLLexer) -> StatementEffects {
        var ahead = lexer
        let first = ahead.next()
        if first == .parameter { return ahead.next() == .comma ? .setsByParameter : SettingRisk.all }
        guard first == .string else { return SettingRisk.all }
        let name = SQLName.plainValue(ahead.token)
        // A comma, and nothing else: `'a' || 'b'` and `'a'` newline `'b'` are longer names.
        guard ahead.next() == .comma else { return SettingRisk.all }
        guard SettingRisk.isGuarded(name) else { return [] }
        guard ahead.next() == .string else { return SettingRisk.of(name, value: nil) }
        let value = SQLName.plainValue(ahead.token)
        return SettingRisk.of(name, value: ahead.next() == .comma ? value : nil)
    }
}
