import Glibc

/// The wall clock, and its text in UTC.
package enum WallClockText {
    /// Microseconds since 1970-01-01T00:00:00Z.
    @Sendable package static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    /// `2026-11-21T08:40:47.897Z`, milliseconds rounded down.
    package static func text(_ unixMicroseconds: Int64) -> String {
        let (seconds, rest) = self.divided(unixMicroseconds, 1_000_000)
        let (days, second) = self.divided(seconds, 86_400)
        let (year, month, day) = self.civil(days)
        let time = [second / 3600, second / 60 % 60, second % 60].map { self.padded($0, 2) }.joined(separator: ":")
        return "\(self.padded(year, 4))-\(self.padded(month, 2))-\(self.padded(day, 2))T\(time)."
            + "\(self.padded(rest / 1000, 3))Z"
    }

    /// The date of a day since 1970-01-01. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
    /// civil_from_days: years begin in March, so that the leap day is the last.
    private static func civil(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = self.divided(days + 719_468, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    /// Quotient rounded down and remainder ≥ 0.
    private static func divided(_ value: Int64, _ by: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: by)
        return remainder < 0 ? (quotient - 1, remainder + by) : (quotient, remainder)
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
