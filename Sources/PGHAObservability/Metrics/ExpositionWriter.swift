/// Writes Prometheus' text format 0.0.4.
///
/// Source: Prometheus documentation, "Exposition formats", Text-based format.
struct ExpositionWriter {
    private(set) var text = ""

    /// A family without series is left out.
    mutating func write(_ family: MetricFamily) {
        let snapshot = family.snapshot
        guard !snapshot.isEmpty else { return }
        self.text += "# HELP \(family.name) \(Self.escaped(family.help, quotes: false))\n"
        self.text += "# TYPE \(family.name) \(family.kind.rawValue)\n"
        for (labelValues, series) in snapshot {
            let labels = Array(zip(family.labels, labelValues))
            switch family.kind {
            case .counter, .gauge: self.sample(family.name, labels, Self.number(series.value))
            case .histogram: self.histogram(family, labels, series)
            }
        }
    }

    private mutating func histogram(
        _ family: MetricFamily, _ labels: [(String, String)], _ series: MetricFamily.Series
    ) {
        var count: UInt64 = 0
        for (bound, values) in zip(family.bounds + [.infinity], series.buckets) {
            count += values
            self.sample("\(family.name)_bucket", labels + [("le", Self.number(bound))], "\(count)")
        }
        self.sample("\(family.name)_sum", labels, Self.number(series.value))
        self.sample("\(family.name)_count", labels, "\(count)")
    }

    private mutating func sample(_ name: String, _ labels: [(String, String)], _ value: String) {
        let pairs = labels.map { "\($0)=\"\(Self.escaped($1, quotes: true))\"" }
        self.text += name + (pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}") + " \(value)\n"
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        // Whole numbers without a fraction, as far as a Double counts exactly.
        if value == value.rounded(), value.magnitude < 9_007_199_254_740_992 { return "\(Int64(value))" }
        return "\(value)"
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }
}
