import PGHACore

/// What `pg_controldata` (with `LC_ALL=C`) says of a data directory.
struct ControlData: Hashable, Sendable {
    var systemIdentifier: UInt64
    /// `in production`, `shut down`, `shut down in recovery`, `in archive recovery`, …
    var state: String
    var checkpoint: LSN
    var redo: LSN
    var timeline: TimelineID
    /// Zero unless the server was in recovery.
    var minimumRecoveryEnd: LSN
    /// Bytes of one WAL segment.
    var segmentSize: UInt64
    var hasChecksums: Bool

    /// Nil when a field is missing or not understood.
    init?(_ output: String) {
        var fields: [Substring: Substring] = [:]
        for line in output.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon]] = line[line.index(after: colon)...].drop { $0 == " " }
        }
        guard let identifier = fields["Database system identifier"].flatMap({ UInt64($0) }),
            let state = fields["Database cluster state"],
            let checkpoint = fields["Latest checkpoint location"].flatMap({ LSN($0) }),
            let redo = fields["Latest checkpoint's REDO location"].flatMap({ LSN($0) }),
            let timeline = fields["Latest checkpoint's TimeLineID"].flatMap({ UInt32($0) }),
            let minimum = fields["Minimum recovery ending location"].flatMap({ LSN($0) }),
            let segmentSize = fields["Bytes per WAL segment"].flatMap({ UInt64($0) }), segmentSize > 0
        else { return nil }
        self.systemIdentifier = identifier
        self.state = String(state)
        self.checkpoint = checkpoint
        self.redo = redo
        self.timeline = TimelineID(timeline)
        self.minimumRecoveryEnd = minimum
        self.segmentSize = segmentSize
        self.hasChecksums = fields["Data page checksum version"].map { $0 != "0" } ?? false
    }

    /// Whether the data files need no crash recovery.
    var isCleanlyShutDown: Bool { self.state == "shut down" || self.state == "shut down in recovery" }
}
