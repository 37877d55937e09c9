/// Statements about transactions and about what the session remembers.
extension StatementScan {
    // MARK: Transactions

    mutating func begin() {
        self.become(.transactionControl, .begins)
    }

    /// COMMIT, END, ROLLBACK, ABORT; `ROLLBACK TO` ends nothing.
    mutating func finishTransaction(_ effect: StatementEffects) {
        self.become(.transactionControl)
        if self.lexer.keyword == .prepared {
            self.become(.write, .twoPhase)
            return
        }
        while !self.isAtEnd, self.token == .word {
            if self.lexer.keyword == .to { return }
            self.advance()
        }
        self.summary.effects.insert(effect)
    }

    // MARK: Prepared statements, LISTEN, DISCARD

    mutating func prepare() {
        self.become(.sessionState)
        if self.lexer.keyword == .transaction {
            self.become(.transactionControl, .twoPhase)
        } else {
            self.takeName(.prepares)
        }
    }

    mutating func deallocate() {
        self.become(.sessionState)
        if self.lexer.keyword == .prepare { self.advance() }
        if self.lexer.keyword == .all {
            self.summary.effects.insert(.deallocatesAll)
        } else {
            self.takeName(.deallocates)
        }
    }

    mutating func named(_ effect: StatementEffects) {
        self.become(.sessionState)
        self.takeName(effect)
    }

    private mutating func takeName(_ effect: StatementEffects) {
        self.summary.effects.insert(effect)
        guard self.token == .word || self.token == .quotedWord else { return }
        self.summary.name = self.lexer.start..<self.lexer.position
        self.advance()
    }

    mutating func discard() {
        self.become(.sessionState)
        self.summary.effects.insert(self.lexer.keyword == .all ? .discardsAll : .discardsSome)
    }

    // MARK: SET and RESET

    mutating func resetSetting() {
        self.become(.sessionState)
        if self.lexer.keyword == .all {
            self.summary.effects.insert(.resetsAll)
            return
        }
        self.summary.effects.insert(.resets)
        // RESET TRANSACTION ISOLATION LEVEL
        if self.lexer.keyword == .session { self.advance() }
        self.target()
    }

    mutating func set() {
        self.become(.sessionState)
        var isLocal = false
        if self.lexer.keyword == .local {
            isLocal = true
            self.advance()
        } else if self.lexer.keyword == .session {
            self.advance()
            if self.lexer.keyword == .characteristics {
                self.summary.setting = .sessionCharacteristics
                self.summary.effects.insert(.sets)
                self.advance()
                return self.takeValue()
            }
        }
        if self.lexer.keyword == .transaction || self.lexer.keyword == .constraints {
            self.summary.kind = .transactionControl
            return
        }
        self.target()
        if self.token == .equals || self.lexer.keyword == .to { self.advance() }
        let isDefault = self.lexer.keyword == .defaultWord
        self.summary.effects.insert(isLocal ? .setsLocally : isDefault ? .resets : .sets)
        if isLocal { self.summary.kind = .transactionControl }
        self.takeValue(isDefault: isDefault)
    }

    /// The name of a setting, or the words that stand for one.
    private mutating func target() {
        let keyword = self.lexer.keyword
        let start = self.lexer.start
        var end = self.lexer.position
        guard self.token == .word || self.token == .quotedWord else { return self.unknownTarget() }
        self.advance()
        switch (keyword, self.lexer.keyword) {
        case (.time, .zone): return self.special(.timeZone)
        case (.authorization, _): return self.special(.sessionAuthorization, skip: false)
        case (.names, _): return self.special(.clientEncoding, skip: false)
        case (.schema, _): return self.special(.searchPath, skip: false)
        case (.role, _): return self.special(.role, skip: false)
        case (.xml, _): return self.special(.xmlOption)
        default: break
        }
        while self.token == .dot {
            self.advance()
            guard self.token == .word || self.token == .quotedWord else { return self.unknownTarget() }
            end = self.lexer.position
            self.advance()
        }
        self.summary.name = start..<end
    }

    private mutating func special(_ setting: StatementSummary.Setting, skip: Bool = true) {
        self.summary.setting = setting
        if skip { self.advance() }
    }

    /// Something stands where a name should: `U&"…"`, or a syntax error.
    private mutating func unknownTarget() {
        self.summary.effects.formUnion(SettingRisk.all)
    }

    /// From the token at hand to the statement's end.
    private mutating func takeValue(isDefault: Bool = false) {
        let start = self.lexer.start
        var end = start
        var tokens = 0
        while !self.isAtEnd, self.token != .ambiguous, self.token != .unterminated {
            tokens += 1
            end = self.lexer.position
            self.advance()
        }
        self.summary.value = start..<end
        let value = self.lexer.bytes(start..<end)
        if TemporarySchema.isNamed(in: value) { self.summary.effects.insert(.createsTemporary) }
        guard !isDefault, !self.summary.name.isEmpty else { return }
        // Values are compared only where one token is the whole of it.
        let plain = tokens == 1 && self.isAtEnd ? SQLName.plainValue(value) : nil
        let name = SQLName.folded(self.lexer.bytes(self.summary.name))
        let risks = name.bytes.withUnsafeBytes { SettingRisk.of($0, value: plain) }
        self.summary.effects.formUnion(risks)
    }
}

/// Finds `pg_temp` in the value of a search path: what is created then is temporary without a word saying so.
enum TemporarySchema {
    static func isNamed(in value: UnsafeRawBufferPointer) -> Bool {
        let word: StaticString = "pg_temp"
        let length = word.utf8CodeUnitCount
        guard value.count >= length else { return false }
        for start in 0...(value.count - length)
        where UnsafeRawBufferPointer(rebasing: value[start..<start + length]).equalsIgnoringCase(word) {
            return true
        }
        return false
    }
}
