import PGHACore

/// Durations as people write them: `250ms`, `10s`, `5min`, `2h`, `7d`.
package enum DurationText {
    private static let units: [(suffix: String, milliseconds: Int64)] = [
        ("ms", 1), ("min", 60_000), ("s", 1000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// A bare number is in `bareUnit`; nil when the text is no duration or does not fit.
    package static func milliseconds(_ text: String, bareUnit: Int64? = nil) -> Int64? {
        if let bareUnit, let number = Int64(text) { return self.product(number, bareUnit) }
        for unit in self.units where text.hasSuffix(unit.suffix) {
            guard let number = Int64(text.dropLast(unit.suffix.count).filter { $0 != " " }) else { continue }
            return self.product(number, unit.milliseconds)
        }
        return nil
    }

    /// The largest unit that needs no fraction.
    package static func text(milliseconds: Int64) -> String {
        let ordered: [(String, Int64)] = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)]
        for (suffix, length) in ordered where milliseconds >= length && milliseconds % length == 0 {
            return "\(milliseconds / length)\(suffix)"
        }
        return "\(milliseconds)ms"
    }

    private static func product(_ number: Int64, _ unit: Int64) -> Int64? {
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        return overflow || number < 0 ? nil : product
    }
}
