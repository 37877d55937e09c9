/// A point on the caller's monotonic clock. The core never reads a clock: time is passed in.
package struct Moment: Hashable, Comparable, Sendable {
    /// Since an origin that the shell chose (process start, simulation start).
    package let sinceOrigin: Duration

    package static let origin = Moment(.zero)

    package init(_ sinceOrigin: Duration) { self.sinceOrigin = sinceOrigin }

    package static func < (a: Moment, b: Moment) -> Bool { a.sinceOrigin < b.sinceOrigin }
    package static func + (a: Moment, b: Duration) -> Moment { Moment(a.sinceOrigin + b) }
    package static func - (a: Moment, b: Duration) -> Moment { Moment(a.sinceOrigin - b) }
    package static func - (a: Moment, b: Moment) -> Duration { a.sinceOrigin - b.sinceOrigin }
}

extension Duration {
    /// Whole milliseconds, rounded towards zero.
    package var milliseconds: Int64 {
        self.components.seconds * 1000 + self.components.attoseconds / 1_000_000_000_000_000
    }

    /// Seconds as a floating point number, for metrics and messages.
    package var inSeconds: Double {
        Double(self.components.seconds) + Double(self.components.attoseconds) * 1e-18
    }
}
