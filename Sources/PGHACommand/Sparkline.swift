/// Values over time in one line of text, the last at the right.
package struct Sparkline: Sendable {
    /// Eighths of a line's height.
    private static let bars: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]

    /// Of equal length of time; nil where nothing is known, which stays empty.
    private let values: [UInt64?]

    package init(_ values: [UInt64?]) { self.values = values }

    /// `columns` wide, or as wide as there are values. Where a column stands for several values it shows the greatest:
    /// a peak is what one looks for. A full bar is `top`.
    package func text(columns: Int, top: UInt64) -> String {
        String(self.columns(columns).map { value in value.map { Self.bar($0, top: top) } ?? " " })
    }

    /// The greatest value; nil when nothing is known.
    package var greatest: UInt64? { self.values.compactMap { $0 }.max() }

    private func columns(_ count: Int) -> [UInt64?] {
        guard count > 0, count < self.values.count else { return self.values }
        let share = (self.values.count + count - 1) / count
        // From the right, so that the newest column is whole.
        let firsts = stride(from: self.values.count, to: 0, by: -share).map { max(0, $0 - share)..<$0 }
        return firsts.reversed().map { self.values[$0].compactMap { $0 }.max() }
    }

    private static func bar(_ value: UInt64, top: UInt64) -> Character {
        guard value < top else { return self.bars[self.bars.count - 1] }
        // Above 2^53 two numbers may be one and the same as a Double.
        let bar = Int(Double(value) / Double(top) * Double(self.bars.count))
        return self.bars[min(self.bars.count - 1, bar)]
    }
}
