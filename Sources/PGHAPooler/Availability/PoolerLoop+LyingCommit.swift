internal import PGHAWire

// Commits that lie (DESIGN section 8): a commit whose wait for a standby was cancelled reports success, with nothing but
// a warning that some drivers hide.
extension PoolerLoop {
    /// Turns PostgreSQL's warning into the error that it should be. What else it says about the statement, up to
    /// ReadyForQuery, would contradict that and is dropped.
    mutating func takeNotice(
        _ server: ServerPointer, _ message: MessageView, _ span: inout UnsafeRawPointer
    ) -> ServerTaken {
        if !message.isComplete { return message.totalCount <= Self.frontRoom ? .keep : .forward }
        guard LyingCommit.isReported(message.body) else { return .forward }
        server.pointee.pool.pointee.statistics.unknownOutcomes &+= 1
        server.pointee.pool.pointee.noteError(.outcomeUnknown)
        self.out.append(span, message.start - span)
        span = message.start
        if self.out.isNearlyFull(for: 1024), !self.flushToClient(of: server) { return .gone }
        self.appendError(
            .error, .outcomeUnknown, "the commit was not confirmed by a standby and may be lost in a failover")
        server.pointee.flags.insert(.commitIsAlone)
        return .drop
    }
}

enum LyingCommit {
    /// Whether a notice is PostgreSQL's warning. Its text is translated; the routine that raises it is not. Source:
    /// PostgreSQL, `syncrep.c`.
    static func isReported(_ body: UnsafeRawBufferPointer) -> Bool {
        var reader = ByteReader(body)
        while let code = reader.byte(), code != 0 {
            guard let text = reader.string() else { return false }
            if code == UInt8(ascii: "R") { return text.elementsEqual("SyncRepWaitForLSN".utf8) }
        }
        return false
    }
}
