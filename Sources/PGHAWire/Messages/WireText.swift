/// Text as it travels: bytes without a zero, in whatever encoding the client chose.
///
/// Compares byte by byte, because PostgreSQL does. Swift's `String` would call "é" as one scalar and "é" as two
/// equal, and would repair what is not UTF-8: two roles could share one pool.
package struct WireText: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    package let bytes: [UInt8]

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = Array(bytes) }
    package init(_ bytes: [UInt8]) { self.bytes = bytes }
    package init(_ text: String) { self.bytes = Array(text.utf8) }
    package init(stringLiteral text: String) { self.init(text) }

    package var isEmpty: Bool { self.bytes.isEmpty }

    /// For people: what is not UTF-8 becomes replacement characters.
    package var description: String { String(decoding: self.bytes, as: UTF8.self) }
}

extension UnsafeRawBufferPointer {
    /// Whether these are the bytes of `text`.
    func equals(_ text: StaticString) -> Bool {
        guard self.count == text.utf8CodeUnitCount else { return false }
        let other = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        for index in 0..<self.count where self[index] != other[index] { return false }
        return true
    }

    /// Whether these are the bytes of `text`, which is in small letters, in any case of ASCII's letters.
    func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard self.count == text.utf8CodeUnitCount else { return false }
        let other = UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        for index in 0..<self.count where self[index].asciiLowercased != other[index] { return false }
        return true
    }

    /// `text` is in small letters.
    func containsIgnoringCase(_ text: StaticString) -> Bool {
        guard self.count >= text.utf8CodeUnitCount else { return false }
        return (0...self.count - text.utf8CodeUnitCount).contains { start in
            UnsafeRawBufferPointer(rebasing: self[start..<start + text.utf8CodeUnitCount]).equalsIgnoringCase(text)
        }
    }
}

extension UInt8 {
    /// A small letter for one of A to Z, otherwise itself: PostgreSQL folds names of settings and keywords this way
    /// whatever the locale.
    @inline(__always) var asciiLowercased: UInt8 { self &- 0x41 < 26 ? self | 0x20 : self }

    /// What PostgreSQL's lexer and its splitting of `options` take for space: blank, \t, \n, \v, \f, \r.
    @inline(__always) var isSpace: Bool { self == 0x20 || self &- 0x09 < 5 }
}
