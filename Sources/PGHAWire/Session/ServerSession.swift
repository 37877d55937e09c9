/// Follows one server connection's protocol: what it still owes, and whether it can go to another client.
///
/// Intuition: the server answers in order, so a queue of what was asked says whose turn each answer is, which
/// answers the pooler asked for itself (swallowed), and where an answer has to be made up. An error makes the
/// server skip to the next Sync, so the queue does too. Source: PostgreSQL manual, "Message Flow".
///
/// Public and not `package`, like all that the per-message path calls in this module: the compiler (6.3) inlines
/// bodies of `package` declarations into other modules not at all, which cost 400 instructions per transaction.
///
/// Limits: it never looks into texts; whether a transaction is open is what ReadyForQuery says.
public struct ServerSession: BitwiseCopyable {
    public var requests = RequestRing()
    /// The status of the last ReadyForQuery.
    @inlinable public var status: TransactionStatus { self.lastStatus }
    @usableFromInline var lastStatus = TransactionStatus.idle
    /// Extended-protocol messages were sent after the last Sync: an implicit transaction may be open.
    @usableFromInline var isUnsynced = false
    /// The server skips everything up to the next Sync that it gets.
    @usableFromInline var isDiscarding = false
    /// The server takes CopyData and ignores Sync.
    @usableFromInline var isCopyingIn = false
    /// How many of the requests get their answers from the pooler.
    @usableFromInline var madeUpCount: UInt32 = 0
    /// CopyBothResponse was seen: replication, no transactions any more.
    @inlinable public var isStreaming: Bool { self.isCopyingBoth }
    @usableFromInline var isCopyingBoth = false
    /// Parses that the server has skipped or failed since `takeFailures`; see there.
    @inlinable public var hasFailures: Bool { self.didFail }
    @usableFromInline var didFail = false
    @usableFromInline var failedFrom: UInt32 = 0
    @usableFromInline var failedThrough: UInt32 = 0
    /// The newest Parse that was sent, that was sent ahead of a Sync, and that has succeeded.
    @usableFromInline var newestParse: UInt32 = 0
    @usableFromInline var syncedParse: UInt32 = 0
    @usableFromInline var confirmedParse: UInt32 = 0

    public init() {}

    public mutating func deallocate() { self.requests.deallocate() }

    /// What to do with a message from the server.
    public enum Verdict {
        case forward
        /// The answer to something the client knows nothing of.
        case swallow
        /// The connection's protocol is not understood any more: close it.
        case broken
    }

    // MARK: - What was sent

    /// Nothing is owed and no transaction is open: another client may have it.
    @inlinable public var isReleasable: Bool {
        self.requests.isEmpty && self.status == .idle && !self.isUnsynced && !self.isStreaming
    }

    /// Whether the server works on something, as opposed to waiting for its client.
    @inlinable public var isBusy: Bool { !self.requests.isEmpty }

    /// Whether it answers a Query now: rows and tags change nothing then.
    @inlinable public var answersQuery: Bool {
        // In place: a call would copy the whole session.
        @inline(__always) get { self.requests.first?.kind == .query && self.madeUpCount == 0 }
    }

    /// A Query would be answered next and would hit nothing of the client's.
    @inlinable public var canTakeQuery: Bool {
        self.requests.isEmpty && !self.isUnsynced && !self.isStreaming && !self.isDiscarding
    }

    /// Records a message that goes to the server, or that is answered in its place.
    @inlinable @inline(__always) public mutating func sent(_ request: Request) {
        switch request.kind {
        case .query, .functionCall, .injectedQuery, .prefixedQuery:
            // Skipped like everything else while the server waits for a Sync; it owes nothing for it.
            if self.isDiscarding { return }
            self.requests.append(request)
        case .sync, .injectedSync: self.sentSync(request)
        case .copyEnd:
            if self.isCopyingIn {
                self.isCopyingIn = false
            } else if !self.isDiscarding {
                self.requests.append(request)
            }
        default:
            self.isUnsynced = true
            if self.isDiscarding { return self.discarded(request) }
            if request.sequence != 0 { self.newestParse = request.sequence }
            self.requests.append(request)
            if request.kind == .skippedParse || request.kind == .skippedClose { self.madeUpCount &+= 1 }
        }
    }

    @inlinable mutating func sentSync(_ request: Request) {
        if self.isCopyingIn { return }
        self.isUnsynced = false
        self.isDiscarding = false
        self.syncedParse = self.newestParse
        self.requests.append(request)
    }

    /// Messages of the extended protocol were sent and no Sync after them.
    package var hasOpenPipeline: Bool { self.isUnsynced }

    /// Something outstanding ends an implicit transaction.
    package var endsTransactions: Bool {
        for offset in 0..<self.requests.count {
            switch self.requests[offset].kind {
            case .query, .prefixedQuery, .functionCall, .sync: return true
            default: continue
            }
        }
        return false
    }

    /// The sequence numbers among which the outstanding Parses are.
    package var outstandingParses: ClosedRange<UInt32>? {
        var range: ClosedRange<UInt32>?
        for offset in 0..<self.requests.count {
            let request = self.requests[offset]
            guard request.kind == .parse || request.kind == .skippedParse else { continue }
            range = (range?.lowerBound ?? request.sequence)...max(request.sequence, range?.upperBound ?? 0)
        }
        return range
    }

    /// The client that asked is gone to another server: what is outstanding is nobody's. Only where nothing but the end
    /// of what failed is: a Query's, or a Sync's.
    package mutating func disown() {
        for offset in 0..<self.requests.count {
            switch self.requests[offset].kind {
            case .query, .prefixedQuery, .functionCall: self.requests[offset] = Request(.injectedQuery)
            case .sync: self.requests[offset] = Request(.injectedSync)
            default: break
            }
        }
    }

    /// Whether this Parse may still fail or be skipped, and what is sent now would be run all the same: a Sync lies
    /// between them, and no answer is in.
    @inlinable public func isUncertain(_ parse: UInt32) -> Bool {
        Int32(bitPattern: parse &- self.confirmedParse) > 0 && Int32(bitPattern: self.syncedParse &- parse) >= 0
            && self.isBusy
    }
}
