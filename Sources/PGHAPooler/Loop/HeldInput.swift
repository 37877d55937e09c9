internal import Glibc

/// Input that was read and cannot be used yet: the front of a message, or what came while there was no server.
struct HeldInput: BitwiseCopyable {
    private(set) var base: UnsafeMutableRawPointer?
    private(set) var count: UInt32 = 0
    private var capacity: UInt32 = 0

    @inline(__always) var isEmpty: Bool { self.base == nil }

    /// Replaces what is held; `bytes` must not be the held bytes themselves.
    mutating func keep(_ bytes: UnsafeRawBufferPointer) {
        self.release()
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        self.reserve(bytes.count)
        self.base?.copyMemory(from: start, byteCount: bytes.count)
        self.count = UInt32(bytes.count)
    }

    /// Adds what comes behind.
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        self.reserve(Int(self.count) + bytes.count)
        self.room.baseAddress?.copyMemory(from: start, byteCount: bytes.count)
        self.grew(by: bytes.count)
    }

    /// Puts what was taken from the front there again.
    mutating func putBack(_ bytes: UnsafeRawBufferPointer) {
        var whole = HeldInput()
        whole.append(bytes)
        whole.append(UnsafeRawBufferPointer(start: self.base, count: Int(self.count)))
        self.release()
        self = whole
    }

    /// Makes room for `capacity` bytes in all.
    mutating func reserve(_ capacity: Int) {
        guard capacity > Int(self.capacity) else { return }
        let moved = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        if let base = self.base {
            moved.copyMemory(from: base, byteCount: Int(self.count))
            base.deallocate()
        }
        self.base = moved
        self.capacity = UInt32(capacity)
    }

    /// The unused room behind the held bytes.
    var room: UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            start: self.base.map { $0 + Int(self.count) }, count: Int(self.capacity - self.count))
    }

    mutating func grew(by count: Int) { self.count += UInt32(count) }

    mutating func release() {
        self.base?.deallocate()
        self.base = nil
        self.count = 0
        self.capacity = 0
    }
}
