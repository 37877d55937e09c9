import Glibc
import PGHACommand

/// Local wall clock times.
enum HumanClock {
    /// The time of day as `12:03:04`.
    static var timeOfDay: String {
        let now = time(nil)
        let whole = HumanUnits.wallClock(
            unixMicroseconds: Int64(now) * 1_000_000, offset: Terminal.offsetFromUTC(at: now))
        return String(whole.suffix(8))
    }
}
