internal import Glibc

/// Bytes that a socket did not take yet. Allocated when that happens, gone when they are sent.
struct PendingOutput: BitwiseCopyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private var start = 0
    private var end = 0

    static func make() -> UnsafeMutablePointer<PendingOutput> {
        let pointer = UnsafeMutablePointer<PendingOutput>.allocate(capacity: 1)
        pointer.initialize(to: PendingOutput(base: .allocate(byteCount: 4096, alignment: 16), capacity: 4096))
        return pointer
    }

    static func free(_ pointer: UnsafeMutablePointer<PendingOutput>?) {
        guard let pointer else { return }
        pointer.pointee.base.deallocate()
        pointer.deallocate()
    }

    private init(base: UnsafeMutableRawPointer, capacity: Int) {
        self.base = base
        self.capacity = capacity
    }

    var count: Int { self.end - self.start }

    mutating func append(_ bytes: UnsafeRawPointer, _ count: Int) {
        if self.end + count > self.capacity {
            let larger = max(self.capacity * 2, self.count + count)
            let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
            moved.copyMemory(from: self.base + self.start, byteCount: self.count)
            self.base.deallocate()
            self.base = moved
            self.capacity = larger
            self.end -= self.start
            self.start = 0
        }
        (self.base + self.end).copyMemory(from: bytes, byteCount: count)
        self.end += count
    }

    enum Result {
        case drained
        case blocked
        case failed(Int)
    }

    mutating func send(to transport: Transport) -> Result {
        while self.start < self.end {
            let sent = transport.send(self.base + self.start, self.count)
            if sent == Transport.wouldBlock { return .blocked }
            guard sent > 0 else { return .failed(sent) }
            self.start += sent
        }
        return .drained
    }
}
