import PGHACore

extension Agent {
    /// Where the stopped server's WAL ends and along which history, by reading the WAL itself: after a clean stop
    /// as after a crash.
    func stoppedPosition() async throws -> WALPosition {
        let control = try await self.controlData()
        let walDirectory = self.directory.data + "/pg_wal"
        let inventory = try await Offload.run {
            try WALInventory(walDirectory: walDirectory, segmentSize: control.segmentSize)
        }
        guard let history = inventory.history(from: control.timeline, redo: control.redo) else {
            throw WALReadError.historyMissing(control.timeline)
        }
        let begin = history.forks.last?.at
        // On the checkpoint's own timeline the checkpoint record is known to be good; on a later one, its
        // beginning is where the first record is. After a crash in recovery WAL may go on below the minimum.
        let start = history.timeline == control.timeline ? control.checkpoint : begin ?? control.checkpoint
        guard
            let limit = inventory.endOfSegments(
                timeline: history.timeline, from: start, segmentSize: control.segmentSize)
        else {
            // Nothing of the timeline is here yet: WAL ends where it begins.
            return WALPosition(history: history, end: start)
        }
        let end = try await self.walEnd(
            from: start, limit: limit, timeline: history.timeline, segmentSize: control.segmentSize)
        return WALPosition(history: history, end: end)
    }

    /// - Parameter limit: the end of the last segment there is. pg_waldump would wait 5 s for the next one.
    private func walEnd(
        from start: LSN, limit: LSN, timeline: TimelineID, segmentSize: UInt64
    ) async throws -> LSN {
        let range = ["--start=\(start)", "--end=\(limit)", "--timeline=\(timeline)"]
        let output = try await self.walDump(["--quiet"] + range)
        switch WALEnd.read(status: output.status, standardError: output.standardError) {
        case .end(let end): return end
        case .nothing: return start
        case .lastRecord(let last):
            let line = try await self.walDump(["--limit=1", "--start=\(last)", "--timeline=\(timeline)"])
            if let end = WALEnd.recordEnd(start: last, line: line.standardOutput, segmentSize: segmentSize) {
                return end
            }
            throw WALReadError.notUnderstood(line.complaint)
        case .reachedLimit:
            let text = try await self.walDump(range)
            guard let line = text.standardOutput.split(separator: "\n").last.map(String.init),
                let last = WALEnd.recordStart(line: line),
                let end = WALEnd.recordEnd(start: last, line: line, segmentSize: segmentSize)
            else { throw WALReadError.notUnderstood(text.complaint) }
            return end
        case .notUnderstood: throw WALReadError.notUnderstood(output.complaint)
        }
    }

    private func walDump(_ arguments: [String]) async throws -> Program.Output {
        try await Program.run(
            self.programs.path("pg_waldump"), ["--path=\(self.directory.data)/pg_wal"] + arguments)
    }
}
