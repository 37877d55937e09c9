import COpenSSL

/// Bytes that must not be seen: wiped when the last owner lets go, never printed, compared in constant time.
///
/// `@unchecked`: the bytes are written by the initialisers alone.
package final class Secret: @unchecked Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    private let memory: UnsafeMutableRawBufferPointer

    package init(_ bytes: UnsafeRawBufferPointer) {
        self.memory = .allocate(byteCount: bytes.count, alignment: 8)
        self.memory.copyMemory(from: bytes)
    }

    package convenience init(_ bytes: [UInt8]) { self.init(count: bytes.count) { $0.copyBytes(from: bytes) } }

    /// `fill` gets zeros.
    package init(count: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
        self.memory = .allocate(byteCount: count, alignment: 8)
        for index in 0..<count { self.memory[index] = 0 }
        fill(self.memory)
    }

    deinit {
        // Unlike a loop of assignments, the compiler cannot leave it out.
        OPENSSL_cleanse(self.memory.baseAddress, self.memory.count)
        self.memory.deallocate()
    }

    package var count: Int { self.memory.count }

    package func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(self.memory))
    }

    /// Takes the same time wherever the bytes differ.
    package func isEqual(to other: UnsafeRawBufferPointer) -> Bool {
        self.count == other.count && CRYPTO_memcmp(self.memory.baseAddress, other.baseAddress, self.count) == 0
    }

    package func isEqual(to other: Secret) -> Bool { other.withBytes { self.isEqual(to: $0) } }

    package var description: String { "***" }
    package var debugDescription: String { "***" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
