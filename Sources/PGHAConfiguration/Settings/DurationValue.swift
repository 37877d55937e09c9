/// Durations as settings have them: `250ms`, `1s`, `5min`, `7d`. A number without a unit is refused.
package enum DurationValue {
    /// Microseconds of each unit, the longest first. `m` is read as minutes and never written.
    private static let units: [(name: String, microseconds: Int64)] = [
        ("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("m", 60_000_000), ("s", 1_000_000),
        ("ms", 1_000), ("us", 1),
    ]

    /// Nil when `text` is not a whole number with a unit, or too long for a 64-bit number of microseconds.
    package static func parse(_ text: String) -> Duration? {
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard let number = Int64(digits), let unit = self.units.first(where: { $0.name == text[digits.endIndex...] })
        else { return nil }
        let (microseconds, overflows) = number.multipliedReportingOverflow(by: unit.microseconds)
        return overflows ? nil : .microseconds(microseconds)
    }

    /// In the longest unit that gives a whole number. What is below a microsecond is dropped.
    package static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        guard microseconds != 0 else { return "0s" }
        let unit = self.units.first { $0.name != "m" && microseconds % $0.microseconds == 0 }
        return unit.map { "\(microseconds / $0.microseconds)\($0.name)" } ?? "\(microseconds)us"
    }
}
