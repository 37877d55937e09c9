import PGHACore

/// Names of files in `pg_wal`. Source: PostgreSQL `xlog_internal.h`.
struct WALSegmentName: Hashable, Sendable {
    var timeline: TimelineID
    /// Of the segment's first byte.
    var start: LSN

    /// Parses a complete segment's name (24 upper-case hexadecimal digits); nil for all else, `.partial` too.
    init?(_ name: String, segmentSize: UInt64) {
        guard name.utf8.count == 24, name.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x46).contains($0) }),
            let timeline = UInt32(name.prefix(8), radix: 16),
            let log = UInt64(name.dropFirst(8).prefix(8), radix: 16), let segment = UInt64(name.suffix(8), radix: 16)
        else { return nil }
        self.timeline = TimelineID(timeline)
        self.start = LSN(log << 32 + segment * segmentSize)
    }

    init(timeline: TimelineID, containing lsn: LSN, segmentSize: UInt64) {
        self.timeline = timeline
        self.start = LSN(lsn.byteOffset / segmentSize * segmentSize)
    }

    func fileName(segmentSize: UInt64) -> String {
        let log = self.start.byteOffset >> 32
        let segment = (self.start.byteOffset & 0xFFFF_FFFF) / segmentSize
        return [UInt64(self.timeline.number), log, segment].map { Self.eightDigits($0) }.joined()
    }

    static func historyFileName(_ timeline: TimelineID) -> String {
        self.eightDigits(UInt64(timeline.number)) + ".history"
    }

    private static func eightDigits(_ value: UInt64) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 8 - digits.utf8.count)) + digits
    }
}

/// Finds out on which timeline a stopped server's WAL ends.
///
/// The control file names the timeline of the last checkpoint, which a promotion or a switch followed since may
/// have left. A history file alone proves nothing (a receiver fetches those of its primary beforehand): there
/// must be WAL on the timeline, too.
struct WALInventory: Sendable {
    var histories: [TimelineID: TimelineHistory]
    var segments: [WALSegmentName]

    /// Reads `pg_wal`. A history file that is not understood is an error. Blocks.
    init(walDirectory: String, segmentSize: UInt64) throws {
        self.histories = [:]
        self.segments = []
        for name in try DurableFile.list(walDirectory) {
            if let segment = WALSegmentName(name, segmentSize: segmentSize) {
                self.segments.append(segment)
            } else if name.hasSuffix(".history"), let number = UInt32(name.prefix(8), radix: 16) {
                let text = try DurableFile.read(walDirectory + "/" + name) ?? ""
                guard let history = TimelineHistory(timeline: TimelineID(number), fileContent: text) else {
                    throw WALReadError.badHistoryFile(name)
                }
                self.histories[history.timeline] = history
            }
        }
    }

    /// The end of the last segment of `timeline` that follows without a gap on the one with `start`; nil when that
    /// one is missing.
    func endOfSegments(timeline: TimelineID, from start: LSN, segmentSize: UInt64) -> LSN? {
        let starts = Set(self.segments.filter { $0.timeline == timeline }.map(\.start.byteOffset))
        var next = start.byteOffset / segmentSize * segmentSize
        guard starts.contains(next) else { return nil }
        while starts.contains(next) { next += segmentSize }
        return LSN(next)
    }

    /// The history along which WAL goes on from a checkpoint on `timeline` with `redo`; nil when that timeline's
    /// own history is missing.
    func history(from timeline: TimelineID, redo: LSN) -> TimelineHistory? {
        let descendants = self.histories.values.filter { history in
            history.forks.contains { $0.parent == timeline && $0.at >= redo }
                && self.segments.contains { $0.timeline == history.timeline }
        }
        if let latest = descendants.max(by: { $0.timeline < $1.timeline }) { return latest }
        if timeline == TimelineID(1) { return TimelineHistory(timeline: timeline) }
        return self.histories[timeline]
    }
}

/// Why the end of a stopped server's WAL is not known.
enum WALReadError: Error, Hashable, CustomStringConvertible {
    case badHistoryFile(String)
    case historyMissing(TimelineID)
    case controlDataUnreadable(String)
    /// What pg_waldump said.
    case notUnderstood(String)

    var description: String {
        switch self {
        case .badHistoryFile(let name): "the history file \(name) is not understood"
        case .historyMissing(let timeline): "there is no history file for timeline \(timeline)"
        case .controlDataUnreadable(let text): "pg_controldata: \(text)"
        case .notUnderstood(let text): "pg_waldump: \(text)"
        }
    }
}
