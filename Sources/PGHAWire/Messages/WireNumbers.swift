/// A run of 32-bit numbers as the wire has them, not copied.
package struct WireNumbers {
    package let bytes: UnsafeRawBufferPointer

    /// `bytes` hold whole numbers.
    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    package var count: Int { self.bytes.count / 4 }

    package subscript(index: Int) -> UInt32 {
        precondition(index >= 0 && index < self.count)
        return UInt32(bigEndian: self.bytes.loadUnaligned(fromByteOffset: index * 4, as: UInt32.self))
    }
}
