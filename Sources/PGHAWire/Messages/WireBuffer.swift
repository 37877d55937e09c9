/// A growing run of bytes that messages are built into. Owns its memory; not for the per-transaction path unless
/// it is reused: `removeAll` keeps the memory.
package struct WireBuffer: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    package private(set) var count = 0

    package init(capacity: Int = 256) {
        self.capacity = max(capacity, 16)
        self.base = .allocate(byteCount: self.capacity, alignment: 16)
    }

    deinit { self.base.deallocate() }

    /// The bytes so far; valid until the next change.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: self.base, count: self.count) }

    package var isEmpty: Bool { self.count == 0 }

    /// A copy, for tests and cold paths.
    package var array: [UInt8] { Array(self.bytes) }

    package mutating func removeAll() { self.count = 0 }

    /// Drops the bytes from `count` on.
    package mutating func truncate(to count: Int) {
        precondition(count <= self.count)
        self.count = count
    }

    /// Drops the first `count` bytes and moves the rest to the front.
    package mutating func removeFirst(_ count: Int) {
        precondition(count <= self.count)
        self.count -= count
        self.base.copyMemory(from: self.base + count, byteCount: self.count)
    }

    private mutating func reserve(_ more: Int) {
        guard self.count + more > self.capacity else { return }
        let larger = max(self.capacity * 2, self.count + more)
        let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        moved.copyMemory(from: self.base, byteCount: self.count)
        self.base.deallocate()
        self.base = moved
        self.capacity = larger
    }

    package mutating func append(_ byte: UInt8) {
        self.reserve(1)
        self.base.storeBytes(of: byte, toByteOffset: self.count, as: UInt8.self)
        self.count += 1
    }

    /// Big-endian, as everything in the protocol.
    package mutating func append(_ number: UInt16) { self.appendInteger(number) }
    package mutating func append(_ number: UInt32) { self.appendInteger(number) }
    package mutating func append(_ number: Int16) { self.appendInteger(number) }
    package mutating func append(_ number: Int32) { self.appendInteger(number) }
    package mutating func append(_ number: UInt64) { self.appendInteger(number) }

    private mutating func appendInteger<Number: FixedWidthInteger>(_ number: Number) {
        self.reserve(MemoryLayout<Number>.size)
        self.base.storeBytes(of: number.bigEndian, toByteOffset: self.count, as: Number.self)
        self.count += MemoryLayout<Number>.size
    }

    package mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        self.reserve(bytes.count)
        (self.base + self.count).copyMemory(from: start, byteCount: bytes.count)
        self.count += bytes.count
    }

    package mutating func append(_ bytes: [UInt8]) { bytes.withUnsafeBytes { self.append($0) } }

    /// The text's UTF-8 without an end mark.
    package mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { self.append(UnsafeRawBufferPointer($0)) }
    }

    /// The protocol's "String": UTF-8 and a zero byte. A zero inside would end it early and is left out.
    package mutating func appendString(_ text: String) {
        for byte in text.utf8 where byte != 0 { self.append(byte) }
        self.append(UInt8(0))
    }

    /// A whole message: type byte, the length word (which counts itself), what `body` appends.
    package mutating func message<Failure: Error>(
        _ type: UInt8, _ body: (inout WireBuffer) throws(Failure) -> Void
    ) throws(Failure) {
        self.append(type)
        try self.untypedMessage(body)
    }

    /// A message without a type byte: the startup packets.
    package mutating func untypedMessage<Failure: Error>(
        _ body: (inout WireBuffer) throws(Failure) -> Void
    ) throws(Failure) {
        let start = self.count
        self.append(UInt32(0))
        try body(&self)
        let length = UInt32(self.count - start).bigEndian
        self.base.storeBytes(of: length, toByteOffset: start, as: UInt32.self)
    }

    /// A message without a body, such as Sync or ParseComplete.
    package mutating func emptyMessage(_ type: UInt8) {
        self.append(type)
        self.append(UInt32(4))
    }
}
