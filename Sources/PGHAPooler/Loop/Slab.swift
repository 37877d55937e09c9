/// Fixed places for connections: addresses stay, places are reused, nothing is freed until the loop ends.
///
/// Intuition: an index plus a generation names a connection for ever; a report about a closed one is told by
/// its generation. Chunks keep addresses stable while the slab grows, and untouched chunks cost no memory.
struct Slab<Element: ~Copyable>: ~Copyable {
    private static var chunkBits: Int { 8 }
    private static var chunkSize: Int { 1 << Self.chunkBits }

    private var chunks: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
    private var chunkCount = 0
    private let chunkLimit: Int
    /// Places never used start here.
    private var fresh: UInt32 = 0
    private var free: [UInt32] = []
    /// Given back in this turn.
    private var released: [UInt32] = []
    private(set) var count = 0

    init(limit: Int) {
        self.chunkLimit = (limit + Self.chunkSize - 1) >> Self.chunkBits
        self.chunks = .allocate(capacity: max(self.chunkLimit, 1))
    }

    deinit {
        // Elements are deinitialized by whoever releases them; the memory is ours.
        for index in 0..<self.chunkCount { self.chunks[index].deallocate() }
        self.chunks.deallocate()
    }

    /// Places that are or were used; iterate over them and skip those that are not in use.
    var highWater: UInt32 { self.fresh }

    /// The place of `index`; initialized only while it is taken.
    @inline(__always) subscript(index: UInt32) -> UnsafeMutablePointer<Element> {
        self.chunks[Int(index) >> Self.chunkBits] + (Int(index) & (Self.chunkSize - 1))
    }

    /// An uninitialized place; nil when the limit is reached.
    mutating func take() -> UInt32? {
        if let index = self.free.popLast() {
            self.count += 1
            return index
        }
        if Int(self.fresh) == self.chunkCount << Self.chunkBits {
            guard self.chunkCount < self.chunkLimit else { return nil }
            self.chunks[self.chunkCount] = .allocate(capacity: Self.chunkSize)
            self.chunkCount += 1
        }
        defer { self.fresh += 1 }
        self.count += 1
        return self.fresh
    }

    /// Gives a deinitialized place back. It is not taken again before `reclaim`, so that whoever still has its
    /// address in this turn sees that nobody is there.
    mutating func release(_ index: UInt32) {
        self.count -= 1
        self.released.append(index)
    }

    /// The turn is over.
    @inline(__always) mutating func reclaim() {
        guard !self.released.isEmpty else { return }
        self.free.append(contentsOf: self.released)
        self.released.removeAll(keepingCapacity: true)
    }
}
