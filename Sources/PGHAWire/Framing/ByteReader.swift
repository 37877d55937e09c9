/// Reads the fields of a message's body in order; nil or false once the bytes run out, never beyond them.
package struct ByteReader {
    private let bytes: UnsafeRawBufferPointer
    package private(set) var position = 0

    package init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    package var remaining: Int { self.bytes.count - self.position }

    /// What has not been read.
    package var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: self.bytes[self.position...]) }

    package mutating func integer<Number: FixedWidthInteger>(_: Number.Type) -> Number? {
        guard self.remaining >= MemoryLayout<Number>.size else { return nil }
        defer { self.position += MemoryLayout<Number>.size }
        return Number(bigEndian: self.bytes.loadUnaligned(fromByteOffset: self.position, as: Number.self))
    }

    package mutating func byte() -> UInt8? { self.integer(UInt8.self) }

    package mutating func bytes(_ count: Int) -> UnsafeRawBufferPointer? {
        guard count >= 0, self.remaining >= count else { return nil }
        defer { self.position += count }
        return UnsafeRawBufferPointer(rebasing: self.bytes[self.position..<self.position + count])
    }

    /// The bytes of a zero-terminated string, without the zero; nil when no zero follows.
    package mutating func string() -> UnsafeRawBufferPointer? {
        var end = self.position
        while end < self.bytes.count, self.bytes[end] != 0 { end += 1 }
        guard end < self.bytes.count else { return nil }
        defer { self.position = end + 1 }
        return UnsafeRawBufferPointer(rebasing: self.bytes[self.position..<end])
    }

    /// A zero-terminated string as text; bytes that are not UTF-8 become replacement characters.
    package mutating func text() -> String? { self.string().map { String(decoding: $0, as: UTF8.self) } }
}
