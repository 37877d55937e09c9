import Foundation

/// Microseconds since 1970-01-01T00:00:00Z, for people; no decision uses it.
func wallClockMicroseconds() -> Int64 { Int64(Date().timeIntervalSince1970 * 1_000_000) }
