/// Counts durations by their power of two: one addition on the path.
///
/// The first bucket holds what is below 16 µs, each further one twice as much as the one before, the last what is
/// above a minute.
package struct DurationCounts: Hashable, Sendable {
    /// Powers of two of nanoseconds: 16 µs to 69 s.
    private static var firstPower: Int { 14 }
    private static var lastPower: Int { 36 }
    static var bucketCount: Int { Self.lastPower - Self.firstPower + 2 }

    /// The buckets' upper bounds in seconds, without infinity.
    package static var bounds: [Double] { (Self.firstPower...Self.lastPower).map { Double(UInt64(1) << $0) / 1e9 } }

    /// Values per bucket, each in one.
    package private(set) var buckets: [UInt64]
    /// Of all values, in nanoseconds.
    package private(set) var sum: UInt64

    package init() {
        self.buckets = Array(repeating: 0, count: Self.bucketCount)
        self.sum = 0
    }

    package static func += (counts: inout DurationCounts, other: DurationCounts) {
        for index in counts.buckets.indices { counts.buckets[index] += other.buckets[index] }
        counts.sum += other.sum
    }

    /// The same in memory of its own, as a pool has it.
    struct Storage: BitwiseCopyable {
        private let buckets: UnsafeMutablePointer<UInt64>
        private(set) var sum: UInt64 = 0

        init() {
            self.buckets = .allocate(capacity: DurationCounts.bucketCount)
            self.buckets.initialize(repeating: 0, count: DurationCounts.bucketCount)
        }

        func deallocate() { self.buckets.deallocate() }

        /// `nanoseconds` as the loop's clock counts them.
        @inline(__always) mutating func add(_ nanoseconds: UInt64) {
            self.sum &+= nanoseconds
            self.buckets[DurationCounts.bucket(of: nanoseconds)] &+= 1
        }

        var counts: DurationCounts {
            var counts = DurationCounts()
            for index in 0..<DurationCounts.bucketCount { counts.buckets[index] = self.buckets[index] }
            counts.sum = self.sum
            return counts
        }
    }

    /// A bound belongs to the bucket below it, as Prometheus has it.
    @inline(__always) static func bucket(of nanoseconds: UInt64) -> Int {
        let power = nanoseconds <= 1 ? 0 : 64 - (nanoseconds - 1).leadingZeroBitCount
        return min(max(power - Self.firstPower, 0), Self.bucketCount - 1)
    }
}
