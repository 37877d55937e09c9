/// Tells from a glance whether a text may change what its session remembers. Hints to the router are not looked for:
/// where statements are routed, all of them are classified.
///
/// Intuition: nearly all statements begin with one of a few words and contain nothing that matters to a session; those
/// are told by their first word and a search for `;`, `_advisory_`, `_config`, `_settings`, `_statements` and `temp`. True
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
        guard let base = text.baseAddress, end &- start >= Self.width &+ 2 else {
            return Self.mentionsSession(text, start, end)
        }
        var index = start
        // Two bytes behind the block are looked at, too.
        let last = end &- Self.width &- 2
        while true {
            if Self.matters(text, base + index, index) { return true }
            if index == last { break }
            index = index &+ Self.width < last ? index &+ Self.width : last
        }
        // What the blocks did not begin with is two bytes; the very last begins nothing.
        return Self.mentionsSession(text, end &- 2, end &- 1)
    }

    private typealias Block = SIMD16<UInt8>
    private static var width: Int { 16 }

    @inline(__always) private static func matters(
        _ text: UnsafeRawBufferPointer, _ bytes: UnsafeRawPointer, _ index: Int
    ) -> Bool {
        let marks = Self.marks(bytes)
        return marks.x | marks.y != 0
            && (Self.confirms(text, index, marks.x) || Self.confirms(text, index &+ Self.width / 2, marks.y))
    }

    /// Looks at the bytes that are marked, eight of them at `index`.
    @inline(never) private static func confirms(
        _ text: UnsafeRawBufferPointer, _ index: Int, _ marks: UInt64
    ) -> Bool {
        var left = marks
        while left != 0 {
            let place = index &+ left.trailingZeroBitCount &>> 3
            if text[place] == 0x3B || Self.confirms(text, place) { return true }
            left &= left &- 1
        }
        return false
    }

    /// Sixteen bytes at once: marked is `;`, `&`, the middle of `temp` in any case, and an underscore with letters behind
    /// it that one of the names may go on with.
    ///
    /// Every term is 0 in the lanes where it matches. Comparisons of `SIMD` are not used: the compiler (6.3) makes a
    /// loop over the lanes of each.
    @inline(__always) private static func marks(_ bytes: UnsafeRawPointer) -> SIMD2<UInt64> {
        let first = bytes.loadUnaligned(as: Block.self)
        let second = (bytes + 1).loadUnaligned(as: Block.self)
        let third = (bytes + 2).loadUnaligned(as: Block.self)
        let middle = ((first | Self.each(0x20)) &- Self.each(0x6D)) | ((second | Self.each(0x20)) &- Self.each(0x70))
        // a, c, s (and q); then d, e, o, t (and f, g, l to n, u to w): those and only those have or lack the same bits.
        let name =
            (first &- Self.each(0x5F)) | ((second | Self.each(0x32)) &- Self.each(0x73))
            | ((third | Self.each(0x3B)) &- Self.each(0x7F))
        let semicolon = first &- Self.each(0x3B)
        let ampersand = first &- Self.each(0x26)
        let marks = Self.zeros(semicolon) | Self.zeros(ampersand) | Self.zeros(middle) | Self.zeros(name)
        return unsafeBitCast(marks & Self.each(0x80), to: SIMD2<UInt64>.self)
    }

    @inline(__always) private static func each(_ byte: UInt8) -> Block { Block(repeating: byte) }

    /// The high bit of every lane that is 0, and of no other.
    @inline(__always) private static func zeros(_ block: Block) -> Block { (block &- Self.each(1)) & ~block }

    private static func mentionsSession(_ text: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Bool {
        var index = start
        while index < end {
            defer { index &+= 1 }
            switch text[index] {
            case 0x3B: return true
            case 0x26, 0x4D, 0x5F, 0x6D: if Self.confirms(text, index) { return true }
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
                || Self.begins(text, index, "_settings") || Self.begins(text, index, "_statements")
        // The letter of `temp` that is followed by the rarest one.
        case 0x4D, 0x6D: return index >= 2 && Self.begins(text, index &- 2, "temp")
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
