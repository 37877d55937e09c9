import Glibc
package import PGHACore

/// The name of the directory in which an agent keeps what only one server held: `20261121T080910Z_a_tl3`, with `_data`
/// behind it where that is a whole data directory.
package struct DivergedName: Hashable, Sendable, CustomStringConvertible {
    package let node: NodeName
    /// The timeline that the server was on; 0 where that could not be read.
    package let timeline: TimelineID
    /// Seconds since 1970.
    package let savedAt: Int64
    package let isWholeData: Bool

    package init(node: NodeName, timeline: TimelineID, savedAt: Int64, isWholeData: Bool = false) {
        self.node = node
        self.timeline = timeline
        self.savedAt = savedAt
        self.isWholeData = isWholeData
    }

    /// Nil for every text that is not a name's ``description``: nothing else is ever looked for on a disk.
    package init?(_ text: some StringProtocol) {
        let text = String(text)
        guard
            let match = text.wholeMatch(of: #/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z_(.+)_tl(\d+)(_data)?/#),
            let node = NodeName(String(match.output.7)), let timeline = UInt32(match.output.8)
        else { return nil }
        func number(_ digits: Substring) -> Int32 { Int32(digits) ?? 0 }
        var parts = tm()
        parts.tm_year = number(match.output.1) - 1900
        parts.tm_mon = number(match.output.2) - 1
        parts.tm_mday = number(match.output.3)
        parts.tm_hour = number(match.output.4)
        parts.tm_min = number(match.output.5)
        parts.tm_sec = number(match.output.6)
        self.init(
            node: node, timeline: TimelineID(timeline), savedAt: Int64(timegm(&parts)),
            isWholeData: match.output.9 != nil)
        // The 31st of February, or a timeline with leading zeros.
        guard self.description == text else { return nil }
    }

    package var description: String {
        let (date, clock) = UTC.text(unixSeconds: self.savedAt)
        let moment = "\(date)T\(clock)Z".filter { $0 != "-" && $0 != ":" }
        return "\(moment)_\(self.node)_tl\(self.timeline)\(self.isWholeData ? "_data" : "")"
    }
}

/// Moments as text, without a time zone's doubts.
package enum UTC {
    /// `2026-11-21` and `08:09:10`.
    package static func text(unixSeconds: Int64) -> (date: String, clock: String) {
        var time = time_t(unixSeconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return (
            "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))",
            "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
        )
    }
}
