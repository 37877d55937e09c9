import PGHACore

/// Where WAL ends, from what `pg_waldump` says when it can read no further (`LC_ALL=C`).
///
/// PostgreSQL names the place in different ways (`xlogreader.c`): mostly `… at X/Y`, where the next record would
/// begin; always, before that, `error in WAL record at X/Y`, the last good record. A missing or a recycled
/// segment leaves only the latter: then that record's length tells.
enum WALEnd {
    /// What one run of `pg_waldump --quiet` told.
    enum Reading: Hashable {
        /// Here the next record would begin.
        case end(LSN)
        /// The last good record begins here; its length is not known yet.
        case lastRecord(LSN)
        /// All was read up to the limit that was given: WAL ends with the last whole record before it.
        case reachedLimit
        /// There is no record at all after the start.
        case nothing
        case notUnderstood
    }

    static func read(status: Int32, standardError text: String) -> Reading {
        if text.contains("could not find a valid record after") { return .nothing }
        if let next = self.position(after: "invalid record length at ", in: text) {
            return .end(self.withoutPageHeader(next))
        }
        if let last = self.position(after: "error in WAL record at ", in: text) { return .lastRecord(last) }
        return status == 0 && text.isEmpty ? .reachedLimit : .notUnderstood
    }

    /// Where the record that `pg_waldump` printed as `line` begins.
    static func recordStart(line: String) -> LSN? { self.position(after: "lsn: ", in: line) }

    /// The end of the record at `start` from the line that `pg_waldump --limit=1` prints: `… len (rec/tot): a/b, …`.
    static func recordEnd(start: LSN, line: String, segmentSize: UInt64) -> LSN? {
        guard let label = self.range(of: "len (rec/tot):", in: line) else { return nil }
        let numbers = line[label...].dropFirst("len (rec/tot):".count).prefix { $0 != "," }
        guard let slash = numbers.firstIndex(of: "/"),
            let total = UInt64(numbers[numbers.index(after: slash)...].filter { $0 != " " })
        else { return nil }
        return self.advance(start, by: total, segmentSize: segmentSize)
    }

    /// `start` plus `length` bytes of record, aligned to 8, with the headers of the pages in between:
    /// 24 bytes each, 40 on a segment's first. Source: `xlog_internal.h`, `XLogBytePosToEndRecPtr`.
    static func advance(_ start: LSN, by length: UInt64, segmentSize: UInt64) -> LSN {
        var position = start.byteOffset
        var rest = (length + 7) / 8 * 8
        while rest > 0 {
            if position % self.page == 0 { position += self.headerSize(position, segmentSize) }
            let room = self.page - position % self.page
            let step = min(room, rest)
            position += step
            rest -= step
        }
        return LSN(position)
    }

    private static let page: UInt64 = 8192

    private static func headerSize(_ pageStart: UInt64, _ segmentSize: UInt64) -> UInt64 {
        pageStart % segmentSize == 0 ? 40 : 24
    }

    /// A reader skips the page header before the next record; a server's own positions do not.
    private static func withoutPageHeader(_ lsn: LSN) -> LSN {
        switch lsn.byteOffset % self.page {
        case 24, 40: LSN(lsn.byteOffset / self.page * self.page)
        default: lsn
        }
    }

    private static func position(after label: String, in text: String) -> LSN? {
        guard let start = self.range(of: label, in: text) else { return nil }
        let word = text[start...].dropFirst(label.count).prefix { $0.isHexDigit || $0 == "/" }
        return LSN(word)
    }

    private static func range(of label: String, in text: some StringProtocol) -> String.Index? {
        var index = text.startIndex
        while index < text.endIndex {
            if text[index...].hasPrefix(label) { return index }
            index = text.index(after: index)
        }
        return nil
    }
}
