internal import Glibc

/// What one turn sends to one socket: spans of the receive buffer and bytes of the loop's own, in order.
///
/// Neighbouring spans melt together, so that the usual turn is one `send` of one span and a rewritten one is one
/// `sendmsg`. Nothing is copied unless the socket is full.
struct Outgoing: BitwiseCopyable {
    private static var spanLimit: Int { 64 }
    private static var scratchSize: Int { 32 * 1024 }

    private let spans: UnsafeMutablePointer<iovec>
    private let scratch: UnsafeMutableRawPointer
    private var spanCount = 0
    private var scratchCount = 0
    /// Bytes in all spans.
    private(set) var count = 0

    init() {
        self.spans = .allocate(capacity: Self.spanLimit)
        self.scratch = .allocate(byteCount: Self.scratchSize, alignment: 16)
    }

    func deallocate() {
        self.spans.deallocate()
        self.scratch.deallocate()
    }

    @inline(__always) var isEmpty: Bool { self.count == 0 }

    /// Whether the next rewritten message, with `bytes` of its own, might not fit: flush first.
    func isNearlyFull(for bytes: Int) -> Bool {
        self.spanCount + 4 > Self.spanLimit || self.scratchCount + bytes > Self.scratchSize
    }

    static var largestOwn: Int { Self.scratchSize }

    /// Bytes that stay where they are until the flush.
    @inline(__always) mutating func append(_ start: UnsafeRawPointer, _ count: Int) {
        guard count > 0 else { return }
        self.count += count
        if self.spanCount > 0 {
            let last = self.spans + (self.spanCount - 1)
            if UnsafeRawPointer(last.pointee.iov_base) == start - last.pointee.iov_len {
                last.pointee.iov_len += count
                return
            }
        }
        precondition(self.spanCount < Self.spanLimit)
        self.spans[self.spanCount] = iovec(iov_base: UnsafeMutableRawPointer(mutating: start), iov_len: count)
        self.spanCount += 1
    }

    /// Bytes that are copied into the loop's own room.
    mutating func appendCopy(_ bytes: UnsafeRawPointer, _ count: Int) {
        precondition(self.scratchCount + count <= Self.scratchSize)
        let place = self.scratch + self.scratchCount
        place.copyMemory(from: bytes, byteCount: count)
        self.scratchCount += count
        self.append(place, count)
    }

    /// Room of the loop's own for `count` bytes, already part of what is sent; fill it before the flush.
    mutating func appendRoom(_ count: Int) -> UnsafeMutableRawPointer {
        precondition(self.scratchCount + count <= Self.scratchSize)
        let place = self.scratch + self.scratchCount
        self.scratchCount += count
        self.append(place, count)
        return place
    }

    /// A message without a body.
    mutating func appendEmptyMessage(_ type: UInt8) {
        let place = self.appendRoom(5)
        place.storeBytes(of: type, as: UInt8.self)
        (place + 1).storeBytes(of: UInt32(4).bigEndian, as: UInt32.self)
    }

    mutating func removeAll() {
        self.spanCount = 0
        self.scratchCount = 0
        self.count = 0
    }

    enum Result {
        case sent
        /// The rest is in `pending` now.
        case blocked
        case failed(Int)
    }

    /// Sends all; what the socket does not take goes to `pending`.
    @inline(__always) mutating func flush(
        to transport: Transport, pending: inout UnsafeMutablePointer<PendingOutput>?
    ) -> Result {
        guard self.spanCount > 0 else { return .sent }
        if pending != nil { return self.queue(from: 0, &pending) }
        let sent =
            self.spanCount == 1
            ? transport.send(self.spans[0].iov_base, self.count)
            : transport.send(self.spans, spanCount: self.spanCount)
        if sent == self.count {
            self.removeAll()
            return .sent
        }
        if sent < 0, sent != Transport.wouldBlock {
            self.removeAll()
            return .failed(sent)
        }
        return self.queue(from: max(sent, 0), &pending)
    }

    @inline(never) private mutating func queue(
        from sent: Int, _ pending: inout UnsafeMutablePointer<PendingOutput>?
    ) -> Result {
        let output = pending ?? PendingOutput.make()
        pending = output
        var skipped = sent
        for index in 0..<self.spanCount {
            let span = self.spans[index]
            let skip = min(skipped, span.iov_len)
            skipped -= skip
            if skip < span.iov_len { output.pointee.append(span.iov_base + skip, span.iov_len - skip) }
        }
        self.removeAll()
        return .blocked
    }
}
