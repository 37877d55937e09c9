import PGHACore

/// Amounts as people read them. Programs read JSON.
package enum HumanUnits {
    /// `0 B`, `512 B`, `1.5 KiB`, `16 MiB`.
    package static func bytes(_ bytes: UInt64) -> String {
        guard bytes >= 1024 else { return "\(bytes) B" }
        var value = Double(bytes)
        var unit = "B"
        for next in ["KiB", "MiB", "GiB", "TiB"] where value >= 1024 { (value, unit) = (value / 1024, next) }
        return "\(self.short(value)) \(unit)"
    }

    /// `0.2 s`, `12 s`, `3 min`, `2.5 h`, `4 d`: how long ago, or how far behind.
    package static func age(_ duration: Duration) -> String {
        let seconds = duration.inSeconds
        if seconds < 120 { return "\(seconds < 10 ? self.decimals(seconds, 1) : self.decimals(seconds, 0)) s" }
        if seconds < 7200 { return "\(self.decimals(seconds / 60, 0)) min" }
        if seconds < 172_800 { return "\(self.short(seconds / 3600)) h" }
        return "\(self.decimals(seconds / 86_400, 0)) d"
    }

    /// `180 ms`, `2.41 s`, `75 s`: how long something took.
    package static func took(_ duration: Duration) -> String {
        if duration < .seconds(1) { return "\(duration.milliseconds) ms" }
        return "\(self.decimals(duration.inSeconds, duration < .seconds(10) ? 2 : 0)) s"
    }

    /// Since the start of something, in a column: `  0.05 s`.
    package static func elapsed(_ duration: Duration) -> String {
        let text = "\(self.decimals(duration.inSeconds, 2)) s"
        return String(repeating: " ", count: max(0, 9 - text.count)) + text
    }

    /// At most one decimal, none when it would be 0 or the number is large.
    private static func short(_ value: Double) -> String {
        let text = self.decimals(value, value < 10 ? 1 : 0)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    static func decimals(_ value: Double, _ count: Int) -> String {
        var scale = 1.0
        for _ in 0..<count { scale *= 10 }
        let scaled = Int64((value * scale).rounded())
        guard count > 0 else { return "\(scaled)" }
        let digits = "\(scaled % Int64(scale))"
        return "\(scaled / Int64(scale))." + String(repeating: "0", count: count - digits.count) + digits
    }
}

extension HumanUnits {
    /// A moment as `2026-01-31 12:03:04`; `offset` is the zone's distance from UTC in seconds.
    package static func wallClock(unixMicroseconds: Int64, offset: Int) -> String {
        let seconds = unixMicroseconds / 1_000_000 + Int64(offset)
        let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
        let (year, month, day) = self.civil(daysSinceEpoch: days)
        return "\(year)-\(self.two(month))-\(self.two(day)) \(self.timeOfDay(seconds - days * 86_400))"
    }

    /// `12:03:04`, of the seconds since midnight.
    package static func timeOfDay(_ seconds: Int64) -> String {
        "\(self.two(seconds / 3600)):\(self.two(seconds / 60 % 60)):\(self.two(seconds % 60))"
    }

    private static func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }

    /// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    private static func civil(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = daysSinceEpoch + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}
