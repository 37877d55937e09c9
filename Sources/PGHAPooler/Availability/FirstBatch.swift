/// What a client sent first since it got its server, as it came: enough to send it to another server, if this one is
/// lost before it has answered. Longer ones are not kept.
struct FirstBatch: BitwiseCopyable {
    private enum State: UInt8 {
        /// Nothing was sent yet.
        case fresh
        /// `bytes` are all that was sent, and nothing of an answer was passed on.
        case whole
        case gone
    }

    /// Most statements are shorter; one `recv` of a backend takes as much.
    private static var limit: Int { 8192 }

    private var base: UnsafeMutableRawPointer?
    private var capacity: UInt32 = 0
    private var count: UInt32 = 0
    private var state = State.gone

    /// A client has got the server.
    @inline(__always) mutating func begin() { self.state = .fresh }

    /// The client's `bytes` are on their way. `isWhole`: complete messages and nothing else.
    @inline(__always) mutating func sent(_ bytes: UnsafeRawBufferPointer, isWhole: Bool) {
        guard self.state == .fresh, isWhole, bytes.count <= Self.limit, let start = bytes.baseAddress else {
            self.state = .gone
            return
        }
        if bytes.count > Int(self.capacity) { self.grow(bytes.count) }
        self.base?.copyMemory(from: start, byteCount: bytes.count)
        self.count = UInt32(truncatingIfNeeded: bytes.count)
        self.state = .whole
    }

    @inline(never) private mutating func grow(_ count: Int) {
        self.base?.deallocate()
        let capacity = max(512, count)
        self.base = .allocate(byteCount: capacity, alignment: 16)
        self.capacity = UInt32(capacity)
    }

    /// Something of an answer was passed on.
    @inline(__always) mutating func answered() { self.state = .gone }

    /// All that the client sent; nil when that is not at hand, or the client knows part of the answer.
    var bytes: UnsafeRawBufferPointer? {
        self.state == .whole ? UnsafeRawBufferPointer(start: self.base, count: Int(self.count)) : nil
    }

    mutating func deallocate() {
        self.base?.deallocate()
        self.base = nil
        self.state = .gone
    }
}
