/// Statements about positions in the WAL, which a pooler understands itself.
///
/// They look like settings, so that every driver can send them: `SHOW pgha.last_lsn` tells a position that contains all
/// that the session has seen committed, `SET pgha.min_lsn = '…'` lets reads happen only where that position is replayed.
package enum PositionStatement: Equatable, Sendable {
    case none
    /// `SHOW pgha.last_lsn`
    case showLast
    /// `SET pgha.min_lsn`, with what it is set to; nil for RESET and TO DEFAULT.
    case setMinimum(WireText?)

    /// The setting's name in startup packets.
    package static let minimumName: WireText = "pgha.min_lsn"
}

extension StatementClassifier {
    /// `text` is a whole text; several statements, or anything behind the first, make it `none`.
    package func positionStatement(_ text: UnsafeRawBufferPointer) -> PositionStatement {
        guard PositionScan.mentionsName(text), let base = text.baseAddress else { return .none }
        return self.withTable { table in
            var scan = PositionScan(
                lexer: SQLLexer(
                    base.assumingMemoryBound(to: UInt8.self), count: text.count, from: 0, table: table,
                    strings: .standard)
            )
            return scan.run() ?? .none
        }
    }

    /// Whether the text names the setting, perhaps in a way that ``positionStatement(_:)`` does not understand.
    package static func mentionsPosition(_ text: UnsafeRawBufferPointer) -> Bool { PositionScan.mentionsName(text) }
}

private struct PositionScan {
    var lexer: SQLLexer

    static func mentionsName(_ text: UnsafeRawBufferPointer) -> Bool {
        let names: [StaticString] = ["pgha.min_lsn", "pgha.last_lsn"]
        for start in text.indices where text[start] | 0x20 == UInt8(ascii: "p") {
            for name in names where start + name.utf8CodeUnitCount <= text.count {
                let part = UnsafeRawBufferPointer(rebasing: text[start..<start + name.utf8CodeUnitCount])
                if part.equalsIgnoringCase(name) { return true }
            }
        }
        return false
    }

    mutating func run() -> PositionStatement? {
        guard self.lexer.next() == .word else { return nil }
        switch self.lexer.keyword {
        case .show: return self.takeName("last_lsn") && self.isOver() ? .showLast : nil
        case .reset: return self.takeName("min_lsn") && self.isOver() ? .setMinimum(nil) : nil
        case .set: return self.set()
        default: return nil
        }
    }

    private mutating func set() -> PositionStatement? {
        var ahead = self
        if ahead.lexer.next() == .word, ahead.lexer.keyword == .session { self = ahead }
        guard self.takeName("min_lsn") else { return nil }
        let isAssigned = self.lexer.next() == .equals || self.lexer.keyword == .to
        guard isAssigned else { return nil }
        let value: WireText?
        switch self.lexer.next() {
        case .string: value = WireText(SQLName.plainValue(self.lexer.token))
        case .word where self.lexer.keyword == .defaultWord: value = nil
        default: return nil
        }
        return self.isOver() ? .setMinimum(value) : nil
    }

    private mutating func takeName(_ name: StaticString) -> Bool {
        guard self.lexer.next() == .word, self.lexer.token.equalsIgnoringCase("pgha"), self.lexer.next() == .dot,
            self.lexer.next() == .word
        else { return false }
        return self.lexer.token.equalsIgnoringCase(name)
    }

    /// Nothing but semicolons.
    private mutating func isOver() -> Bool {
        while true {
            switch self.lexer.next() {
            case .semicolon: continue
            case .end: return true
            default: return false
            }
        }
    }
}
