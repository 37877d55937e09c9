/// Cuts SQL into words, literals and marks as PostgreSQL's `scan.l` does, in so far as it matters where each begins
/// and ends.
///
/// Intuition: a pooler needs to know which words are keywords and where statements end; so strings, quoted names,
/// dollar quotes and comments must be skipped exactly, while numbers and operators may be cut anyhow. Numbers end at
/// the first byte that is no digit, because PostgreSQL up to 14 reads `1FOR UPDATE` as two words. Limits: the bytes are
/// taken for ASCII's superset; see ``ClientEncoding``.
struct SQLLexer {
    enum Token: UInt8 {
        case end, word, quotedWord, number, parameter, semicolon, open, close, comma, dot, equals, other
        /// `'…'`: what it says is what it means.
        case string
        /// `E'…'`, `U&'…'`, `B'…'`, `$$…$$` and the like: not to be compared with anything.
        case otherString
        /// `U&"…"`: a name that can be any.
        case hiddenWord
        /// A literal or comment without its end: the server refuses the whole text.
        case unterminated
        /// A plain string with a backslash while it is not known what a backslash does: it may end anywhere.
        case ambiguous
    }

    private let base: UnsafePointer<UInt8>
    private let count: Int
    private let table: WordTable.View
    private let strings: StringSyntax
    private(set) var position = 0
    /// Of the token last read.
    private(set) var start = 0
    /// Of the word last read; `none` after everything else.
    private(set) var keyword = Keyword.none
    /// What comments have asked for so far.
    private(set) var hint = StatementSummary.Hint.none

    init(
        _ base: UnsafePointer<UInt8>, count: Int, from position: Int, table: WordTable.View, strings: StringSyntax
    ) {
        self.base = base
        self.count = count
        self.position = position
        self.table = table
        self.strings = strings
    }

    /// The bytes of the token last read.
    var token: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: self.base + self.start, count: self.position - self.start)
    }

    func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: self.base + range.lowerBound, count: range.count)
    }

    /// Nothing behind this is read.
    mutating func skipAll() { self.position = self.count }

    /// The byte at `offset` from here; 0 behind the end.
    @inline(__always) private func peek(_ offset: Int = 0) -> UInt8 {
        self.position &+ offset < self.count ? self.base[self.position &+ offset] : 0
    }

    @inline(__always) mutating func next() -> Token {
        self.keyword = .none
        while self.position < self.count {
            let byte = self.base[self.position]
            self.start = self.position
            self.position &+= 1
            switch byte {
            case 0x20, 0x09...0x0D: continue
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
                0x80...0xFF:
                return self.word(byte)
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                while self.peek() &- 0x30 < 10 { self.position &+= 1 }
                return .number
            case UInt8(ascii: ","): return .comma
            case UInt8(ascii: "."): return .dot
            case UInt8(ascii: "="): return .equals
            case UInt8(ascii: ";"): return .semicolon
            case UInt8(ascii: "("): return .open
            case UInt8(ascii: ")"): return .close
            case UInt8(ascii: "'"): return self.string()
            case UInt8(ascii: "\""): return self.quotedWord()
            case UInt8(ascii: "$"): return self.dollar()
            case UInt8(ascii: "-") where self.peek() == UInt8(ascii: "-"):
                self.skipLine()
            case UInt8(ascii: "/") where self.peek() == UInt8(ascii: "*"):
                guard self.skipComment() else { return .unterminated }
            default: return .other
            }
        }
        self.start = self.position
        return .end
    }

    @inline(__always) private mutating func word(_ first: UInt8) -> Token {
        var hash = WordTable.View.step(0, self.table.letters[Int(first)])
        while self.position < self.count {
            let letter = self.table.letters[Int(self.base[self.position])]
            if letter == 0 { break }
            hash = WordTable.View.step(hash, letter)
            self.position &+= 1
        }
        let length = self.position &- self.start
        if length == 1, let token = self.prefixed(first | 0x20) { return token }
        self.keyword = self.table.keyword(hash, self.base + self.start, length)
        return .word
    }

    /// Strings and names that begin with a letter: `E'…'`, `U&'…'`, `B'…'`, `X'…'`, `N'…'`.
    private mutating func prefixed(_ letter: UInt8) -> Token? {
        switch (letter, self.peek()) {
        case (UInt8(ascii: "e"), UInt8(ascii: "'")):
            self.position &+= 1
            return self.escapeString()
        case (UInt8(ascii: "b"), UInt8(ascii: "'")), (UInt8(ascii: "x"), UInt8(ascii: "'")),
            (UInt8(ascii: "n"), UInt8(ascii: "'")):
            self.position &+= 1
            // No plain literal: its content is not what it says.
            let token = self.string()
            return token == .string ? .otherString : token
        case (UInt8(ascii: "u"), UInt8(ascii: "&")) where self.peek(1) == UInt8(ascii: "'"):
            self.position &+= 2
            // Its backslashes never hide a quote: PostgreSQL refuses the form where strings are not standard.
            return self.skipQuoted(UInt8(ascii: "'")) ? .otherString : .unterminated
        case (UInt8(ascii: "u"), UInt8(ascii: "&")) where self.peek(1) == UInt8(ascii: "\""):
            self.position &+= 2
            return self.skipQuoted(UInt8(ascii: "\"")) ? .hiddenWord : .unterminated
        default: return nil
        }
    }

    /// Past the closing quote; a doubled one is part of the text. False when there is none.
    @inline(__always) private mutating func skipQuoted(_ quote: UInt8) -> Bool {
        while self.position < self.count {
            let byte = self.base[self.position]
            self.position &+= 1
            guard byte == quote else { continue }
            guard self.peek() == quote else { return true }
            self.position &+= 1
        }
        return false
    }

    private mutating func string() -> Token {
        if self.strings == .escaping { return self.plainOrEscapeString() }
        var sawBackslash = false
        while self.position < self.count {
            let byte = self.base[self.position]
            self.position &+= 1
            if byte == UInt8(ascii: "\\") { sawBackslash = true }
            guard byte == UInt8(ascii: "'") else { continue }
            guard self.peek() == UInt8(ascii: "'") else {
                return sawBackslash && self.strings == .unknown ? .ambiguous : .string
            }
            self.position &+= 1
        }
        return .unterminated
    }

    /// Without backslashes and quotes in it, it is what it looks like.
    private mutating func plainOrEscapeString() -> Token {
        let start = self.position
        let token = self.escapeString()
        guard token == .otherString else { return token }
        let isPlain = (start..<self.position &- 1).allSatisfy {
            self.base[$0] != UInt8(ascii: "\\") && self.base[$0] != UInt8(ascii: "'")
        }
        return isPlain ? .string : token
    }

    private mutating func escapeString() -> Token {
        while self.position < self.count {
            let byte = self.base[self.position]
            self.position &+= 1
            if byte == UInt8(ascii: "\\") {
                self.position &+= 1
            } else if byte == UInt8(ascii: "'") {
                if self.peek() == UInt8(ascii: "'") {
                    self.position &+= 1
                } else if let next = self.continuation {
                    self.position = next
                } else {
                    return .otherString
                }
            }
        }
        self.position = self.count
        return .unterminated
    }

    /// Behind the quote that goes on with the literal: `E'a'` newline `'b\'c'` is one, and backslashes still count in
    /// its second half. Taken more widely than by PostgreSQL, which wants a newline on the way: two literals without
    /// one are a syntax error.
    private var continuation: Int? {
        var ahead = self
        while ahead.position < ahead.count {
            let byte = ahead.base[ahead.position]
            if byte == UInt8(ascii: "'") { return ahead.position &+ 1 }
            if byte == UInt8(ascii: "-"), ahead.peek(1) == UInt8(ascii: "-") {
                ahead.skipLine()
            } else if byte.isSpace {
                ahead.position &+= 1
            } else {
                return nil
            }
        }
        return nil
    }

    private mutating func quotedWord() -> Token {
        guard self.skipQuoted(UInt8(ascii: "\"")) else { return .unterminated }
        // Names of functions may be quoted; the table's words are in small letters, and so must these be.
        let inner = self.start &+ 1..<self.position &- 1
        var hash: UInt64 = 0
        for index in inner {
            let byte = self.base[index]
            if self.table.letters[Int(byte)] != byte { return .quotedWord }
            hash = WordTable.View.step(hash, byte)
        }
        let keyword = self.table.keyword(hash, self.base + inner.lowerBound, inner.count)
        if keyword.isName { self.keyword = keyword }
        return .quotedWord
    }

    /// `$1`, `$$…$$`, `$tag$…$tag$`, or a lone `$`.
    private mutating func dollar() -> Token {
        if self.peek() &- 0x30 < 10 {
            while self.peek() &- 0x30 < 10 { self.position &+= 1 }
            return .parameter
        }
        var tagEnd = self.position
        while tagEnd < self.count, self.base[tagEnd] != UInt8(ascii: "$"),
            self.table.letters[Int(self.base[tagEnd])] != 0
        {
            tagEnd &+= 1
        }
        guard tagEnd < self.count, self.base[tagEnd] == UInt8(ascii: "$") else { return .other }
        let tagLength = tagEnd &+ 1 &- self.start
        var index = tagEnd &+ 1
        while index &+ tagLength <= self.count {
            if self.base[index] == UInt8(ascii: "$"), self.tagRepeats(at: index, tagLength) {
                self.position = index &+ tagLength
                return .otherString
            }
            index &+= 1
        }
        self.position = self.count
        return .unterminated
    }

    private func tagRepeats(at index: Int, _ length: Int) -> Bool {
        for offset in 0..<length where self.base[index &+ offset] != self.base[self.start &+ offset] { return false }
        return true
    }

    private mutating func skipLine() {
        while self.position < self.count, self.base[self.position] != 0x0A, self.base[self.position] != 0x0D {
            self.position &+= 1
        }
    }

    /// Comments nest in PostgreSQL. False when one has no end.
    private mutating func skipComment() -> Bool {
        self.position &+= 1
        self.hint.merge(StatementSummary.Hint(comment: self.base + self.position, count: self.count - self.position))
        var depth = 1
        while self.position < self.count {
            let byte = self.base[self.position]
            self.position &+= 1
            if byte == UInt8(ascii: "*"), self.peek() == UInt8(ascii: "/") {
                self.position &+= 1
                depth &-= 1
                if depth == 0 { return true }
            } else if byte == UInt8(ascii: "/"), self.peek() == UInt8(ascii: "*") {
                self.position &+= 1
                depth &+= 1
            }
        }
        return false
    }
}

/// What a backslash in a plain string does. PostgreSQL reports `standard_conforming_strings` to its clients.
package enum StringSyntax: Sendable {
    /// On: nothing.
    case standard
    /// Off: it begins an escape.
    case escaping
    case unknown
}
