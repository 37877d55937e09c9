/// One thing that a server was asked, or would have been asked, and has not answered yet.
public struct Request: BitwiseCopyable {
    public enum Kind: UInt8, BitwiseCopyable {
        /// A Query from the client: answered by anything up to ReadyForQuery.
        case query
        /// A Query of the pooler's own: its whole answer is swallowed.
        case injectedQuery
        /// A Query from the client with a statement of the pooler's own in front of its text: that one's
        /// CommandComplete is swallowed, and what is left is a `query`.
        case prefixedQuery
        case functionCall
        case parse
        /// A Parse of the pooler's own: its ParseComplete is swallowed.
        case injectedParse
        /// A Parse that was not sent because the server has the statement: ParseComplete is made up in its turn.
        case skippedParse
        case bind
        case describe
        case execute
        case close
        /// A Close of the pooler's own: its CloseComplete is swallowed.
        case injectedClose
        /// A Close that was not sent: CloseComplete is made up in its turn.
        case skippedClose
        case sync
        /// A Sync of the pooler's own: its ReadyForQuery is swallowed.
        case injectedSync
        /// CopyDone or CopyFail: no answer of its own, but it ends the stretch in which Sync is ignored.
        case copyEnd
    }

    public let kind: Kind
    /// Tells apart the requests of one client; names what a discarded Parse would have defined.
    public let sequence: UInt32
    /// The statement of a Parse, as the pooler knows it.
    public let statement: UnsafeMutableRawPointer?

    @inlinable public init(_ kind: Kind, sequence: UInt32 = 0, statement: UnsafeMutableRawPointer? = nil) {
        self.kind = kind
        self.sequence = sequence
        self.statement = statement
    }
}

/// A ring of requests. Manually released, so that a connection's place stays a plain struct.
public struct RequestRing: BitwiseCopyable {
    @usableFromInline var base: UnsafeMutablePointer<Request>
    @usableFromInline var mask: UInt32
    @usableFromInline var head: UInt32 = 0
    @usableFromInline var tail: UInt32 = 0

    public init() {
        self.base = .allocate(capacity: 32)
        self.mask = 31
    }

    public mutating func deallocate() {
        self.base.deallocate()
        self.head = 0
        self.tail = 0
    }

    @inlinable public var isEmpty: Bool { self.head == self.tail }
    @inlinable public var count: Int { Int(self.tail &- self.head) }
    @inlinable public var first: Request? { self.isEmpty ? nil : self.base[Int(self.head & self.mask)] }

    /// The request `offset` places behind the first.
    @inlinable public subscript(offset: Int) -> Request {
        get { self.base[Int((self.head &+ UInt32(truncatingIfNeeded: offset)) & self.mask)] }
        set { self.base[Int((self.head &+ UInt32(truncatingIfNeeded: offset)) & self.mask)] = newValue }
    }

    @inlinable public mutating func append(_ request: Request) {
        if self.tail &- self.head > self.mask { self.grow() }
        self.base[Int(self.tail & self.mask)] = request
        self.tail &+= 1
    }

    @inlinable public mutating func removeFirst() { self.head &+= 1 }

    public mutating func removeAll() { self.head = self.tail }

    /// Keeps what `keeps` says of the first `count` requests, in order, and all behind them.
    public mutating func filterFirst(_ count: Int, _ keeps: (Request) -> Bool) {
        var kept = count
        for offset in stride(from: count - 1, through: 0, by: -1) where keeps(self[offset]) {
            kept -= 1
            self[kept] = self[offset]
        }
        self.head &+= UInt32(kept)
    }

    @usableFromInline mutating func grow() {
        let count = self.count
        let larger = UnsafeMutablePointer<Request>.allocate(capacity: (Int(self.mask) + 1) * 2)
        for offset in 0..<count { larger[offset] = self[offset] }
        self.base.deallocate()
        self.base = larger
        self.mask = self.mask * 2 + 1
        self.head = 0
        self.tail = UInt32(count)
    }
}
