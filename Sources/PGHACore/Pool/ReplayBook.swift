/// What a pooler knows of where WAL is: samples of the leader's position, and how far standbys have replayed.
///
/// Intuition: nobody has to ask where a commit ended. A sample of the leader's position that was asked for after the
/// commit's answer had come is at least as far; one sample bounds all commits answered before it, of all sessions. So
/// samples are numbered in the order in which they are asked for, and a session remembers a number.
///
/// Everything is of one term: a new leader's WAL may go other ways from some point on, and positions behind that point
/// do not compare. A standby's position is of one life: after a restart it may be in front of where it was.
package struct ReplayBook: Sendable {
    private struct Sample {
        let number: UInt64
        let position: LSN
    }

    package private(set) var term = Term.zero
    /// The number that the next sample will get. Numbers are never used twice, in no term.
    package private(set) var nextSample: UInt64 = 1
    /// The last answers, oldest first. An older sample than all of them is bounded by the first.
    private var samples: [Sample] = []
    /// How far each standby is. A handful: looked through faster than hashed.
    private var standbys: [(node: NodeName, replayed: LSN)] = []

    /// More would save a session that comes back late some WAL to wait for, which has long been replayed by then.
    private static let kept = 32

    package init() {}

    /// There is a new leader: what was known is worth nothing.
    package mutating func begin(_ term: Term) {
        guard term != self.term else { return }
        self.term = term
        self.samples = []
        self.standbys = []
    }

    /// The leader is asked now. Gives the sample's number.
    package mutating func ask() -> UInt64 {
        defer { self.nextSample += 1 }
        return self.nextSample
    }

    /// The leader's answer to sample `number`.
    package mutating func answered(_ number: UInt64, _ position: LSN) {
        guard number > self.samples.last?.number ?? 0 else { return }
        if self.samples.count == Self.kept { self.samples.removeFirst() }
        self.samples.append(Sample(number: number, position: position))
    }

    /// Where the WAL was when sample `number`, or a later one, was taken; nil while none is answered.
    package func bound(_ number: UInt64) -> LSN? { self.samples.first { $0.number >= number }?.position }

    /// The furthest that the leader is known to be.
    package var furthest: LSN? { self.samples.last?.position }

    package mutating func replayed(_ node: NodeName, _ position: LSN) {
        guard let place = self.standbys.firstIndex(where: { $0.node == node }) else {
            return self.standbys.append((node, position))
        }
        self.standbys[place].replayed = max(self.standbys[place].replayed, position)
    }

    /// It may have been restarted.
    package mutating func forget(_ node: NodeName) { self.standbys.removeAll { $0.node == node } }

    package func hasReplayed(_ node: NodeName, _ position: LSN) -> Bool {
        self.standbys.contains { $0.node == node && $0.replayed >= position }
    }
}

/// What one session must see where it reads: what it has done on the leader, and what it asked for by a token.
package struct CausalSession: Hashable, Sendable {
    package enum Need: Hashable, Sendable {
        case nothing
        /// Any server that has replayed so far.
        case position(LSN)
        /// The answer to a sample with this number, or a later one, says how far.
        case sample(UInt64)
    }

    private var term = Term.zero
    /// The sample that bounds what it has done on the leader. 0: nothing, or `known` bounds it.
    private var sample: UInt64 = 0
    private var known: LSN?
    private var token: LSN?
    /// A token that no sample from this number on reaches is of WAL that a failover has dropped.
    private var tokenSample: UInt64 = 0

    package init() {}

    package var isFree: Bool { self.sample == 0 && self.known == nil && self.token == nil }

    /// A transaction on the leader has been answered.
    package mutating func wrote(_ book: ReplayBook) {
        self.enter(book)
        self.sample = book.nextSample
        self.known = nil
    }

    /// It wants to see what was written up to `position`; nil: no more.
    package mutating func demand(_ position: LSN?, _ book: ReplayBook) {
        self.enter(book)
        self.token = position
        self.tokenSample = book.nextSample
    }

    package mutating func need(_ book: ReplayBook) -> Need {
        if self.isFree { return .nothing }
        self.enter(book)
        if self.sample > 0 {
            guard let bound = book.bound(self.sample) else { return .sample(self.sample) }
            self.known = bound
            self.sample = 0
        }
        guard let token = self.token else { return self.known.map { .position($0) } ?? .nothing }
        var wanted = token
        if book.furthest.map({ $0 < token }) ?? true {
            // What survived of the writes in front of a lost position is on the new leader from its start.
            guard let bound = book.bound(self.tokenSample) else { return .sample(self.tokenSample) }
            wanted = min(token, bound)
        }
        return .position(max(wanted, self.known ?? wanted))
    }

    /// All that was acknowledged under older leaders is in the present one's WAL: its first sample bounds it.
    private mutating func enter(_ book: ReplayBook) {
        guard self.term != book.term else { return }
        self.term = book.term
        if self.sample > 0 || self.known != nil { self.sample = book.nextSample }
        self.known = nil
        self.tokenSample = book.nextSample
    }
}

extension LSN {
    /// A primary's insert position as replay would report it: where a page has been filled, the first is behind the next
    /// page's header already, and no record ends there. Source: `XLogBytePosToRecPtr` and `XLogBytePosToEndRecPtr`.
    ///
    /// A page's header has 24 bytes, a segment's first page's 40. No record ends so early on a page but one that began
    /// on the page before, and no server has replayed up to somewhere inside of that.
    package func withoutPageHeader(blockSize: UInt64) -> LSN {
        let offset = self.byteOffset % max(blockSize, 1)
        return offset == 24 || offset == 40 ? LSN(self.byteOffset - offset) : self
    }
}
