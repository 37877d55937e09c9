/// Quick looks at a statement, for what a pooler has to know when its server is lost under it. Both err on the safe
/// side: a true answer of `mayCommit` and a false one of the others cost a client's retry, never a wrong claim.
package enum CommitTest {
    /// Whether the text, sent inside of a transaction, could end it with a commit. Only a statement of its own does
    /// that: COMMIT, END, PREPARE TRANSACTION; functions and procedures cannot while a block is open.
    package static func mayCommit(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let word = Self.firstWord(text) else { return true }
        return word == Self.commit || word == Self.end || word == Self.prepare || !Self.isOne(text)
    }

    /// Whether the text, sent outside of a transaction, is one statement that is committed as a whole at its end or not
    /// at all. CALL and DO are not: they may commit on their way.
    package static func isPlain(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let word = Self.firstWord(text), Self.plain.contains(word) else { return false }
        return Self.isOne(text)
    }

    /// Whether the text is one INSERT, UPDATE, DELETE or MERGE. They do the same in a block as outside of one.
    package static func isPlainWrite(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let word = Self.firstWord(text), Self.writes.contains(word) else { return false }
        return Self.isOne(text)
    }

    /// BEGIN or START TRANSACTION and nothing behind it: it may run twice.
    package static func onlyBegins(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let word = Self.firstWord(text), word == Self.begin || word == Self.start else { return false }
        return Self.isOne(text)
    }

    /// How a text ends a block that has failed.
    package enum Exit: Sendable {
        /// It does not.
        case none
        /// ROLLBACK, ABORT.
        case rollback
        /// COMMIT, END: the client believes that there is something to commit.
        case commit
    }

    /// ROLLBACK TO leads back into the block and is none.
    package static func exit(_ text: UnsafeRawBufferPointer) -> Exit {
        guard let word = Self.firstWord(text), Self.isOne(text) else { return .none }
        switch word {
        case Self.rollback, Self.abort: return Self.mentionsMore(text) ? .none : .rollback
        case Self.commit, Self.end: return Self.mentionsMore(text) ? .none : .commit
        default: return .none
        }
    }

    /// No semicolon but at the end. One in a literal counts too.
    private static func isOne(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let first = text.firstIndex(of: UInt8(ascii: ";")) else { return true }
        return text[first...].allSatisfy { $0 == UInt8(ascii: ";") || $0.isSpace || $0 == 0 }
    }

    /// Any word behind the first but WORK and TRANSACTION: TO, PREPARED, AND CHAIN.
    private static func mentionsMore(_ text: UnsafeRawBufferPointer) -> Bool {
        let words = text.split { $0.isSpace || $0 == UInt8(ascii: ";") || $0 == 0 }
        guard words.count > 1 else { return false }
        let second = Self.packed(words[1])
        return words.count > 2 || (second != Self.work && second != Self.transaction)
    }

    /// The first eight letters of the first word, in small letters; nil where the text begins with something else.
    @inline(__always) private static func firstWord(_ text: UnsafeRawBufferPointer) -> UInt64? {
        var index = 0
        while index < text.count, text[index].isSpace { index &+= 1 }
        var word: UInt64 = 0
        var count: UInt64 = 0
        while index < text.count, count < 8, text[index] | 0x20 &- 0x61 < 26 || text[index] == 0x5F {
            word |= UInt64(text[index] | 0x20) &<< (8 &* count)
            index &+= 1
            count &+= 1
        }
        return count > 0 ? word : nil
    }

    private static func packed(_ word: some Sequence<UInt8>) -> UInt64 {
        var packed: UInt64 = 0
        for (index, byte) in word.prefix(8).enumerated() { packed |= UInt64(byte | 0x20) << UInt64(8 * index) }
        return packed
    }

    private static let begin = packed("begin".utf8), start = packed("start".utf8)
    private static let rollback = packed("rollback".utf8), abort = packed("abort".utf8)
    private static let prepare = packed("prepare".utf8)
    private static let commit = packed("commit".utf8), end = packed("end".utf8)
    private static let work = packed("work".utf8), transaction = packed("transaction".utf8)
    private static let writes: [UInt64] = [
        packed("insert".utf8), packed("update".utf8), packed("delete".utf8), packed("merge".utf8),
    ]
    private static let plain: [UInt64] = [
        packed("select".utf8), packed("insert".utf8), packed("update".utf8), packed("delete".utf8),
        packed("with".utf8), packed("values".utf8), packed("savepoint".utf8), packed("release".utf8),
        rollback, abort, begin, start, packed("fetch".utf8), packed("copy".utf8), packed("lock".utf8),
        packed("set".utf8), packed("show".utf8), packed("merge".utf8),
        packed("reset".utf8), packed("explain".utf8), packed("deallocate".utf8),
    ]
}
