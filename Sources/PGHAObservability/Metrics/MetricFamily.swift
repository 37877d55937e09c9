import Synchronization

/// All series of one name.
final class MetricFamily: Sendable {
    enum Kind: String, Sendable {
        case counter, gauge, histogram
    }

    struct Series: Sendable {
        /// Of a counter or gauge; the sum of a histogram.
        var value = 0.0
        /// Values per bucket, each value counted once; the last is for what is above all bounds.
        var buckets: [UInt64]

        mutating func observe(_ value: Double, bounds: [Double]) {
            self.value += value
            self.buckets[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        }
    }

    let name: String
    let help: String
    let kind: Kind
    let labels: [String]
    /// Of a histogram's buckets, ascending.
    let bounds: [Double]
    private let series: Mutex<[[String]: Series]>

    init(name: String, help: String, kind: Kind, labels: [String], bounds: [Double]) {
        precondition(Self.isName(name, colon: true), "\(name) is no name of a metric")
        precondition(
            labels.allSatisfy { Self.isName($0, colon: false) && $0 != "le" && !$0.hasPrefix("__") }
                && Set(labels).count == labels.count, "\(labels) are no labels")
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "bounds must ascend")
        self.name = name
        self.help = help
        self.kind = kind
        self.labels = labels
        self.bounds = bounds
        // A series without labels exists from the start, so that a rate over its first increment is seen.
        self.series = Mutex(labels.isEmpty ? [[]: Self.empty(kind, bounds)] : [:])
    }

    func update(_ labelValues: [String], _ change: (inout Series) -> Void) {
        precondition(labelValues.count == self.labels.count, "\(self.name) has the labels \(self.labels)")
        self.series.withLock { change(&$0[labelValues, default: Self.empty(self.kind, self.bounds)]) }
    }

    func replace(_ new: [(labelValues: [String], value: Double)]) {
        precondition(new.allSatisfy { $0.labelValues.count == self.labels.count }, "\(self.name): \(self.labels)")
        let series = new.map { ($0.labelValues, Series(value: $0.value, buckets: [])) }
        self.series.withLock { $0 = Dictionary(series, uniquingKeysWith: { $1 }) }
    }

    func replace(_ new: [(labelValues: [String], buckets: [UInt64], sum: Double)]) {
        precondition(new.allSatisfy { $0.labelValues.count == self.labels.count }, "\(self.name): \(self.labels)")
        precondition(new.allSatisfy { $0.buckets.count == self.bounds.count + 1 }, "\(self.name): \(self.bounds)")
        let series = new.map { ($0.labelValues, Series(value: $0.sum, buckets: $0.buckets)) }
        self.series.withLock { $0 = Dictionary(series, uniquingKeysWith: { $1 }) }
    }

    func remove(_ labelValues: [String]) { self.series.withLock { $0[labelValues] = nil } }

    /// Sorted by label values.
    var snapshot: [(labelValues: [String], series: Series)] {
        self.series.withLock { $0 }
            .sorted { $0.key.lexicographicallyPrecedes($1.key) }
            .map { (labelValues: $0.key, series: $0.value) }
    }

    private static func empty(_ kind: Kind, _ bounds: [Double]) -> Series {
        Series(buckets: kind == .histogram ? Array(repeating: 0, count: bounds.count + 1) : [])
    }

    /// Source: Prometheus documentation, "Metric names and labels".
    private static func isName(_ name: String, colon: Bool) -> Bool {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F: true
            case 0x3A: colon
            default: false
            }
        }
    }
}
