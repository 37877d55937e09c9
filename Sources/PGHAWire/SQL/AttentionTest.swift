/// Tells from a glance whether a text may change what its session remembers. Hints to the router are not looked for:
/// where statements are routed, all of them are classified.
///
/// Intuition: nearly all statements begin with one of a few words and contain nothing that matters to a session; those
/// are told by their first word and a search for `;`, `_advisory_`, `_config`, `_settings` and `temp`. A true answer
/// means "classify it", not that the text does anything.
package enum AttentionTest {
    package static func needsAttention(_ text: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index < text.count, text[index].isSpace { index &+= 1 }
        // A comment may hold a hint, a parenthesis a SELECT: rare enough to be classified.
        guard Self.beginsPlainly(text, at: index) else { return index < text.count }
        return Self.mentionsSession(text, from: index)
    }

    /// Whether the first word is one of SELECT, INSERT, UPDATE, DELETE, WITH, VALUES, BEGIN, COMMIT, END, ROLLBACK.
    @inline(__always) private static func beginsPlainly(_ text: UnsafeRawBufferPointer, at start: Int) -> Bool {
        guard start &+ 4 <= text.count else {
            return text.count &- start == 3 && Self.word(text, start, 3) == Self.end
        }
        let four = UInt32(littleEndian: text.loadUnaligned(fromByteOffset: start, as: UInt32.self)) | 0x2020_2020
        switch four {
        case Self.sele, Self.inse, Self.upda, Self.dele, Self.valu, Self.begi, Self.comm, Self.roll: return true
        case Self.with: return text.count > start &+ 4 && text[start &+ 4].isSpace
        default: return four & 0xFF_FFFF == Self.end && (text[start &+ 3].isSpace || text[start &+ 3] == 0x3B)
        }
    }

    private static func word(_ text: UnsafeRawBufferPointer, _ start: Int, _ count: Int) -> UInt32 {
        var word: UInt32 = 0
        for index in 0..<count { word |= UInt32(text[start &+ index] | 0x20) &<< UInt32(8 &* index) }
        return word
    }

    // The first letters, least significant byte first.
    private static let sele: UInt32 = 0x656C_6573
    private static let inse: UInt32 = 0x6573_6E69
    private static let upda: UInt32 = 0x6164_7075
    private static let dele: UInt32 = 0x656C_6564
    private static let valu: UInt32 = 0x756C_6176
    private static let begi: UInt32 = 0x6967_6562
    private static let comm: UInt32 = 0x6D6D_6F63
    private static let roll: UInt32 = 0x6C6C_6F72
    private static let with: UInt32 = 0x6874_6977
    private static let end: UInt32 = 0x64_6E65

    private static func mentionsSession(_ text: UnsafeRawBufferPointer, from start: Int) -> Bool {
        // Blanks and semicolons at the end separate nothing.
        var end = text.count
        while end > start, text[end &- 1].isSpace || text[end &- 1] == 0x3B { end &-= 1 }
        guard end &- start > 9 else { return Self.mentionsSession(text, start, end) }
        var index = start
        // A word needs the two bytes behind it, too.
        let last = end &- 10
        while true {
            if Self.mayMatter(text, index), Self.mentionsSession(text, index, index &+ 8) { return true }
            if index == last { break }
            index = index &+ 8 < last ? index &+ 8 : last
        }
        return Self.mentionsSession(text, end &- 2, end)
    }

    /// Eight bytes at once: whether one of them is `;`, `&`, `_` two in front of d, o or e, or the first of `te` in
    /// any case. Seldom true for nothing. Not by `SIMD`: the compiler (6.3) makes 10,000 instructions of it where
    /// this takes 300.
    @inline(__always) private static func mayMatter(_ text: UnsafeRawBufferPointer, _ index: Int) -> Bool {
        let first = text.loadUnaligned(fromByteOffset: index, as: UInt64.self)
        let second = text.loadUnaligned(fromByteOffset: index &+ 1, as: UInt64.self) | Self.each(0x20)
        var marks = Self.has(first, 0x3B) | Self.has(first, 0x26)
        let underscores = Self.has(first, 0x5F)
        if underscores != 0 {
            let third = text.loadUnaligned(fromByteOffset: index &+ 2, as: UInt64.self) | Self.each(0x20)
            marks |= underscores & (Self.has(third, 0x64) | Self.has(third, 0x6F) | Self.has(third, 0x65))
        }
        return marks | (Self.has(first | Self.each(0x20), 0x74) & Self.has(second, 0x65)) != 0
    }

    @inline(__always) private static func each(_ byte: UInt64) -> UInt64 { byte &* 0x0101_0101_0101_0101 }

    /// The high bit of every byte that is `byte`; rarely of one that is not, above one that is.
    @inline(__always) private static func has(_ bytes: UInt64, _ byte: UInt64) -> UInt64 {
        let difference = bytes ^ Self.each(byte)
        return (difference &- Self.each(0x01)) & ~difference & Self.each(0x80)
    }

    private static func mentionsSession(_ text: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Bool {
        var index = start
        while index < end {
            defer { index &+= 1 }
            switch text[index] {
            case 0x3B: return true
            case 0x26, 0x54, 0x5F, 0x74: if Self.confirms(text, index) { return true }
            default: continue
            }
        }
        return false
    }

    /// Whether what begins at `index` matters.
    @inline(__always) private static func confirms(_ text: UnsafeRawBufferPointer, _ index: Int) -> Bool {
        switch text[index] {
        // `U&"…"` can spell any name.
        case 0x26: return Self.begins(text, index, "&\"")
        case 0x5F:
            return Self.begins(text, index, "_advisory_") || Self.begins(text, index, "_config")
                || Self.begins(text, index, "_settings")
        case 0x54, 0x74: return Self.begins(text, index, "temp")
        default: return false
        }
    }

    @inline(__always) private static func begins(
        _ text: UnsafeRawBufferPointer, _ start: Int, _ word: StaticString
    ) -> Bool {
        guard start &+ word.utf8CodeUnitCount <= text.count else { return false }
        for index in 0..<word.utf8CodeUnitCount where text[start &+ index].asciiLowercased != word.utf8Start[index] {
            return false
        }
        return true
    }
}
