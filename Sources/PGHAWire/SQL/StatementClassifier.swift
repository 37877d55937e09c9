/// Tells reads from writes, and finds what a text does to its session.
///
/// Intuition: one pass over the bytes. The first word gives a statement its class; the words behind it can only take
/// the class "read" away and add effects. Whatever is not understood is doubtful and belongs to the primary, so a gap
/// in the lists below costs speed, not correctness: a standby refuses what writes (25006).
///
/// Limits: it sees text, so nothing inside of functions, DO blocks, rules or triggers. Guarding a setting with it stops
/// mistakes, not malice: whoever may log in may also hide a SET in a function.
package struct StatementClassifier: Sendable {
    private let table: WordTable

    /// `volatileFunctions` are functions of the application that must run on the primary, by name; a schema in front
    /// is ignored, because a statement may leave it out. `readFunctions` are those that a standby may run, named in the
    /// same way; what is in neither list and is none of PostgreSQL's pure ones stays on the primary.
    package init(volatileFunctions: [String] = [], readFunctions: [String] = []) {
        func bare(_ names: [String]) -> [String] { names.map { $0.split(separator: ".").last.map(String.init) ?? $0 } }
        self.table = WordTable(
            (PureFunctions.syntax + PureFunctions.builtIn).map { ($0, .pure) }
                + VolatileFunctions.onPrimary.map { ($0, .volatileFunction) }
                + bare(readFunctions).map { ($0, .ownRead) } + bare(volatileFunctions).map { ($0, .volatileFunction) }
                + VolatileFunctions.sessionLocks.map { ($0, .advisoryLock) }
                + VolatileFunctions.sessionUnlocks.map { ($0, .advisoryUnlock) }
                + VolatileFunctions.transactionLocks.map { ($0, .advisoryTransactionLock) } + Keyword.words)
    }

    func withTable<Result>(_ body: (WordTable.View) -> Result) -> Result {
        withExtendedLifetime(self.table) { body(self.table.view) }
    }

    /// Of a whole text: a Query's, without its zero, or a Parse's.
    package func classify(_ text: UnsafeRawBufferPointer, strings: StringSyntax = .unknown) -> StatementSummary {
        var (summary, end) = self.statement(in: text, from: 0, strings: strings)
        while end < text.count {
            let (next, nextEnd) = self.statement(in: text, from: end, strings: strings)
            summary.join(next)
            end = nextEnd
        }
        return summary
    }

    /// Of the statement that begins at `position`. `end` is where the next one begins, at most `text.count`.
    package func statement(
        in text: UnsafeRawBufferPointer, from position: Int, strings: StringSyntax = .unknown
    ) -> (summary: StatementSummary, end: Int) {
        guard let base = text.baseAddress, position < text.count else { return (StatementSummary(), text.count) }
        return withExtendedLifetime(self.table) {
            var scan = StatementScan(
                lexer: SQLLexer(
                    base.assumingMemoryBound(to: UInt8.self), count: text.count, from: position,
                    table: self.table.view, strings: strings))
            scan.run()
            return (scan.summary, scan.end)
        }
    }
}

extension StatementSummary {
    /// Adds what follows in the same text.
    fileprivate mutating func join(_ next: StatementSummary) {
        self.hint.merge(next.hint)
        guard next.count > 0 || next.effects != [] else { return }
        if self.count == 0, self.effects == [] {
            let hint = self.hint
            self = next
            self.hint = hint
            return
        }
        self.count += next.count
        self.kind = .doubtful
        self.effects.formUnion(next.effects)
        if !next.name.isEmpty || next.setting != .named {
            self.name = next.name
            self.value = next.value
            self.setting = next.setting
        }
    }
}

extension StatementClassifier {
    /// Whether a standby is to answer the text: one statement that only reads, or one that says so in a hint. A wrong
    /// hint is harmless: standbys do not write. What touches the session never goes there.
    package func mayReadElsewhere(_ text: UnsafeRawBufferPointer, strings: StringSyntax = .unknown) -> Bool {
        let summary = self.classify(text, strings: strings)
        guard summary.count == 1, summary.effects == [] else { return false }
        switch (summary.hint, summary.kind) {
        case (.primary, _), (_, .transactionControl), (_, .sessionState): return false
        case (.none, .read), (.standby, .read), (.standby, .write), (.standby, .doubtful): return true
        case (.none, .write), (.none, .doubtful): return false
        }
    }
}
