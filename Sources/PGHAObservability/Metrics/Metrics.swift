import Synchronization

/// The metrics of one process, and their text for Prometheus.
///
/// A family is made once, where it is used; its handle then counts, sets or observes from any thread.
///
/// ```swift
/// let failovers = metrics.counter("pgha_failovers_total", "Failovers that have ended.", labels: ["outcome"])
/// failovers.increment(["done"])
/// ```
package final class Metrics: Sendable {
    /// The header `Content-Type` that goes with ``text()``.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private let families = Mutex<[String: MetricFamily]>([:])

    package init() {}

    /// A number that only grows. By convention the name ends in `_total`.
    package func counter(_ name: String, _ help: String, labels: [String] = []) -> Counter {
        Counter(family: self.family(name, help, .counter, labels, bounds: []))
    }

    /// A number that goes up and down.
    package func gauge(_ name: String, _ help: String, labels: [String] = []) -> Gauge {
        Gauge(family: self.family(name, help, .gauge, labels, bounds: []))
    }

    /// Counts values by size. `bounds` are the upper bounds of the buckets, ascending, without infinity.
    package func histogram(
        _ name: String, _ help: String, labels: [String] = [], bounds: [Double] = Histogram.seconds
    ) -> Histogram {
        Histogram(family: self.family(name, help, .histogram, labels, bounds: bounds))
    }

    /// Everything in Prometheus' text format 0.0.4, sorted by name and labels.
    package func text() -> String {
        let families = self.families.withLock { $0.values.sorted { $0.name < $1.name } }
        var writer = ExpositionWriter()
        for family in families { writer.write(family) }
        return writer.text
    }

    /// The family of this name, made at the first call. Names, kind, labels and bounds are ours: two places that
    /// disagree about them are a mistake in the program.
    private func family(
        _ name: String, _ help: String, _ kind: MetricFamily.Kind, _ labels: [String], bounds: [Double]
    ) -> MetricFamily {
        let new = MetricFamily(name: name, help: help, kind: kind, labels: labels, bounds: bounds)
        return self.families.withLock { families in
            guard let known = families[name] else {
                families[name] = new
                return new
            }
            precondition(
                known.kind == kind && known.labels == labels && known.bounds == bounds,
                "the metric \(name) is made twice, differently")
            return known
        }
    }
}

/// See ``Metrics/counter(_:_:labels:)``.
package struct Counter: Sendable {
    let family: MetricFamily

    /// Adds `amount` ≥ 0 to the series with these label values.
    package func increment(_ labelValues: [String] = [], by amount: Double = 1) {
        precondition(amount >= 0, "a counter never shrinks")
        self.family.update(labelValues) { $0.value += amount }
    }

    /// Gives the family exactly these series, whose values were counted elsewhere.
    package func replace(_ series: [(labelValues: [String], value: Double)]) { self.family.replace(series) }
}

/// See ``Metrics/gauge(_:_:labels:)``.
package struct Gauge: Sendable {
    let family: MetricFamily

    package func set(_ value: Double, _ labelValues: [String] = []) {
        self.family.update(labelValues) { $0.value = value }
    }

    /// Gives the family exactly these series: what is no longer there (a removed node) is no longer shown.
    package func replace(_ series: [(labelValues: [String], value: Double)]) { self.family.replace(series) }

    package func remove(_ labelValues: [String]) { self.family.remove(labelValues) }
}

/// See ``Metrics/histogram(_:_:labels:bounds:)``.
package struct Histogram: Sendable {
    /// For durations from a local round trip to a procedure that is stuck. Seconds.
    package static let seconds = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 1.5, 2.5, 5, 10, 30, 60,
    ]

    let family: MetricFamily

    package func observe(_ value: Double, _ labelValues: [String] = []) {
        self.family.update(labelValues) { $0.observe(value, bounds: self.family.bounds) }
    }

    /// Gives the family exactly these series, counted elsewhere: values per bucket, each value in one bucket, one
    /// bucket more than bounds; and the sum of the values.
    package func replace(_ series: [(labelValues: [String], buckets: [UInt64], sum: Double)]) {
        self.family.replace(series)
    }
}
