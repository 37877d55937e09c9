/// Amounts of bytes as settings have them: `1MiB`, `16MB`, `512B`. `kB`, `MB`, `GB` and `TB` are powers of 1024 as
/// in PostgreSQL's own settings. Source: PostgreSQL manual, "Setting Parameters", Numeric with Unit.
package enum ByteValue {
    private static let units: [(name: String, bytes: UInt64)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10),
        ("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10), ("B", 1),
    ]

    /// Nil when `text` is not a whole number with a unit, or does not fit 64 bits.
    package static func parse(_ text: String) -> UInt64? {
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard let number = UInt64(digits), let unit = self.units.first(where: { $0.name == text[digits.endIndex...] })
        else { return nil }
        let (bytes, overflows) = number.multipliedReportingOverflow(by: unit.bytes)
        return overflows ? nil : bytes
    }

    /// In the largest unit that gives a whole number.
    package static func text(_ bytes: UInt64) -> String {
        guard bytes != 0, let unit = self.units.first(where: { bytes % $0.bytes == 0 }) else { return "0B" }
        return "\(bytes / unit.bytes)\(unit.name)"
    }
}
