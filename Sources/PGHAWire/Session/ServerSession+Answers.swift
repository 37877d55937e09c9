/// What the server's answers make of a session.
extension ServerSession {
    /// Answers to make up are in the queue.
    @inlinable public var hasMadeUp: Bool { self.madeUpCount > 0 }

    /// The type of the next answer that has to be made up now: ParseComplete or CloseComplete.
    public mutating func nextMadeUp() -> UInt8? {
        guard self.madeUpCount > 0, let first = self.firstAnswerable else { return nil }
        switch first.kind {
        case .skippedParse:
            self.requests.removeFirst()
            self.madeUpCount -= 1
            return BackendMessage.parseComplete
        case .skippedClose:
            self.requests.removeFirst()
            self.madeUpCount -= 1
            return BackendMessage.closeComplete
        default: return nil
        }
    }

    /// Takes note of a message from the server, ReadyForQuery excepted. Call `nextMadeUp` before and after.
    @inlinable @inline(__always) public mutating func received(_ type: UInt8) -> Verdict {
        guard let first = self.firstAnswerable else { return self.receivedUnasked(type) }
        switch first.kind {
        case .query, .functionCall:
            if type == BackendMessage.copyInResponse || type == BackendMessage.copyBothResponse {
                self.startedCopy(type)
            } else if type == BackendMessage.errorResponse {
                self.isCopyingIn = false
            }
            return .forward
        case .injectedQuery: return .swallow
        case .prefixedQuery: return self.receivedPrefixed(type, first)
        default: return self.receivedExtended(type, first)
        }
    }

    /// The first request that gets an answer.
    @inlinable var firstAnswerable: Request? {
        @inline(__always) mutating get {
            while let first = self.requests.first {
                guard first.kind == .copyEnd else { return first }
                self.requests.removeFirst()
            }
            return nil
        }
    }

    /// Notices and errors are the client's own affair; the first tag is not.
    @usableFromInline mutating func receivedPrefixed(_ type: UInt8, _ first: Request) -> Verdict {
        guard type == BackendMessage.commandComplete else { return .forward }
        self.requests[0] = Request(.query, sequence: first.sequence)
        return .swallow
    }

    @usableFromInline mutating func receivedUnasked(_ type: UInt8) -> Verdict {
        if self.isStreaming { return .forward }
        switch type {
        case BackendMessage.noticeResponse, BackendMessage.notificationResponse, BackendMessage.parameterStatus,
            BackendMessage.errorResponse:
            return .forward
        default: return .broken
        }
    }

    @usableFromInline mutating func receivedExtended(_ type: UInt8, _ first: Request) -> Verdict {
        switch type {
        case BackendMessage.parseComplete:
            self.confirmedParse = first.sequence
            return self.answer(first, .parse, .injectedParse)
        case BackendMessage.closeComplete: return self.answer(first, .close, .injectedClose)
        case BackendMessage.bindComplete: return self.answer(first, .bind, .bind)
        case BackendMessage.rowDescription, BackendMessage.noData:
            return self.answer(first, .describe, .describe)
        case BackendMessage.commandComplete, BackendMessage.emptyQueryResponse, BackendMessage.portalSuspended:
            return self.answer(first, .execute, .execute)
        case BackendMessage.errorResponse:
            self.discardToSync()
            return .forward
        case BackendMessage.copyInResponse, BackendMessage.copyBothResponse:
            self.startedCopy(type)
            return .forward
        default: return .forward
        }
    }

    private mutating func answer(_ first: Request, _ own: Request.Kind, _ injected: Request.Kind) -> Verdict {
        guard first.kind == own || first.kind == injected else { return .broken }
        self.requests.removeFirst()
        return first.kind == own ? .forward : .swallow
    }

    /// Takes note of ReadyForQuery. The swallowed ones end a Query of the pooler's own.
    @inlinable @inline(__always) public mutating func receivedReady(_ statusByte: UInt8) -> Verdict {
        guard let status = TransactionStatus(rawValue: statusByte) else { return .broken }
        guard let first = self.firstAnswerable else { return self.streamEnded(status) }
        switch first.kind {
        case .query, .sync, .functionCall, .prefixedQuery:
            self.requests.removeFirst()
            self.lastStatus = status
            self.isCopyingIn = false
            return .forward
        case .injectedQuery, .injectedSync:
            self.requests.removeFirst()
            self.lastStatus = status
            self.isCopyingIn = false
            return .swallow
        default: return .broken
        }
    }

    /// Both sides are done with replication and back at commands.
    @usableFromInline mutating func streamEnded(_ status: TransactionStatus) -> Verdict {
        guard self.isCopyingBoth else { return .broken }
        self.isCopyingBoth = false
        self.isUnsynced = false
        self.lastStatus = status
        return .forward
    }

    @usableFromInline mutating func startedCopy(_ type: UInt8) {
        if type == BackendMessage.copyBothResponse {
            self.isCopyingBoth = true
            self.requests.removeAll()
            self.madeUpCount = 0
            return
        }
        // Syncs that were sent ahead of the data are ignored by the server, so they get no ReadyForQuery.
        var end = 1
        while end < self.requests.count, self.requests[end].kind != .copyEnd { end += 1 }
        let isEnded = end < self.requests.count
        // Stops at the CopyDone, which itself is done with.
        self.requests.filterFirst(isEnded ? end + 1 : end) { $0.kind != .sync && $0.kind != .copyEnd }
        self.isCopyingIn = !isEnded
        if !isEnded { self.isUnsynced = self.requests.first?.kind != .query }
    }

    // MARK: - Errors

    /// The server skips everything up to the next Sync that it has got or will get.
    private mutating func discardToSync() {
        self.isCopyingIn = false
        while let first = self.requests.first {
            if first.kind == .sync || first.kind == .injectedSync { return }
            self.discarded(first)
            if first.kind == .skippedParse || first.kind == .skippedClose { self.madeUpCount -= 1 }
            self.requests.removeFirst()
        }
        self.isDiscarding = true
    }

    @usableFromInline mutating func discarded(_ request: Request) {
        switch request.kind {
        case .parse, .injectedParse, .skippedParse:
            if !self.didFail { self.failedFrom = request.sequence }
            self.failedThrough = request.sequence
            self.didFail = true
        default: break
        }
    }

    /// The range of sequence numbers among which Parses were discarded; everything in it defines nothing.
    public mutating func takeFailures() -> ClosedRange<UInt32>? {
        guard self.didFail else { return nil }
        self.didFail = false
        return self.failedFrom...max(self.failedFrom, self.failedThrough)
    }
}
