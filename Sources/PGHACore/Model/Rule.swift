/// Grows by one with every change of leader; only the store hands it out.
package struct Term: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    package let number: UInt64

    /// Before the first leader.
    package static let zero = Term(0)

    package init(_ number: UInt64) { self.number = number }

    package var next: Term { Term(self.number + 1) }
    package static func < (a: Term, b: Term) -> Bool { a.number < b.number }
    package var description: String { "\(self.number)" }

    package init(from decoder: any Decoder) throws {
        self.number = try decoder.singleValueContainer().decode(UInt64.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.number)
    }
}

/// One controller's attempt to install a term. Two claims on one term differ in `nonce`.
package struct Claim: Hashable, Sendable, Codable, CustomStringConvertible {
    package let term: Term
    /// Random; tells apart two controllers, or one controller and a restored backup of its store.
    package let nonce: UInt64

    package init(term: Term, nonce: UInt64) {
        self.term = term
        self.nonce = nonce
    }

    package var description: String { "\(self.term)/\(Self.hexadecimal(self.nonce))" }

    /// Sixteen lower-case hexadecimal digits.
    static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}

/// Orders the rules of a cluster: by term, then by the version within the term.
package struct RuleNumber: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    package let term: Term
    /// 0 is a claim without a rule yet, 1 the rule that a change of leader recorded; each change of cohort or copies
    /// adds one.
    package let version: UInt32

    package init(term: Term, version: UInt32) {
        self.term = term
        self.version = version
    }

    package static func < (a: RuleNumber, b: RuleNumber) -> Bool { (a.term, a.version) < (b.term, b.version) }
    package var description: String { "\(self.term).\(self.version)" }
}

/// Who leads, whose acknowledgements may count, and how many copies make a commit durable.
package struct Rule: Hashable, Sendable, Codable {
    package let number: RuleNumber
    /// The nonce of the claim that recorded the rule's term.
    package let nonce: UInt64
    package let leader: NodeName
    /// The leader and the standbys whose acknowledgement may count; sorted, no name twice.
    package let cohort: [NodeName]
    /// A commit is durable when this many members, the leader among them, have flushed it. At least 1; more than there
    /// are members only while the rule ``lacksMembers``.
    package let copies: Int
    /// Mode `async`: the leader acknowledges alone, with one copy, and only while it holds a lease of this length. Nil in
    /// `quorum`, and in rules that were stored before there was the other mode.
    package let lease: Duration?

    package init(
        number: RuleNumber, nonce: UInt64, leader: NodeName, cohort: some Sequence<NodeName>, copies: Int,
        lease: Duration? = nil
    ) {
        let members = Set(cohort).union([leader]).sorted()
        precondition(copies >= 1, "\(copies) copies")
        precondition(lease == nil || copies == 1, "a lease is for one copy")
        self.number = number
        self.nonce = nonce
        self.leader = leader
        self.cohort = members
        self.copies = copies
        self.lease = lease
    }

    package var claim: Claim { Claim(term: self.number.term, nonce: self.nonce) }
    package var pledge: Pledge { Pledge(number: self.number, nonce: self.nonce) }

    /// The members other than the leader.
    package var followers: [NodeName] { self.cohort.filter { $0 != self.leader } }

    /// Nothing can be acknowledged under it, so it hides no commit and stands in no other leader's way: its leader stays
    /// fenced until the rule that follows names those who joined.
    package var lacksMembers: Bool { self.cohort.count < self.copies }

    /// Followers whose positions must be known before every durable commit is sure to be among them.
    ///
    /// A durable commit is on N members, the leader among them, so on N − 1 of the |cohort| − 1 followers.
    /// Reading |cohort| − N + 1 of them leaves N − 2 unread: too few to hide a commit.
    ///
    /// Under a lease a commit may be on the leader alone, and nothing is discovered: one follower is enough, for its seal
    /// ends the lease.
    package var followersToDiscover: Int {
        if self.lease != nil { return 1 }
        if DecisionFaults.isOn(.discoverCopiesOnly) { return min(self.copies, self.followers.count) }
        return max(0, self.cohort.count - self.copies + 1)
    }
}

/// What a server has durably accepted: it obeys no older rule and no other claim on the same term.
///
/// Stored in the setting `pgha.term`, and by the agent outside the data directory.
package struct Pledge: Hashable, Sendable, Codable, CustomStringConvertible {
    package let number: RuleNumber
    package let nonce: UInt64

    package init(number: RuleNumber, nonce: UInt64) {
        self.number = number
        self.nonce = nonce
    }

    package init(_ claim: Claim) {
        self.init(number: RuleNumber(term: claim.term, version: 0), nonce: claim.nonce)
    }

    /// Parses `term.version/0123456789abcdef`; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1].utf8.count == 16, let nonce = UInt64(parts[1], radix: 16) else { return nil }
        let numbers = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        guard numbers.count == 2, let term = UInt64(numbers[0]), let version = UInt32(numbers[1]) else { return nil }
        self.init(number: RuleNumber(term: Term(term), version: version), nonce: nonce)
    }

    package var claim: Claim { Claim(term: self.number.term, nonce: self.nonce) }
    package var description: String { "\(self.number)/\(Claim.hexadecimal(self.nonce))" }

    /// Whether a server that holds `self` may take `newer`: a later term, or the same claim at the same or a
    /// later version. An equal term with another nonce comes from a second controller or an old store: refused.
    package func mayBecome(_ newer: Pledge) -> Bool {
        if DecisionFaults.isOn(.oldStoreTrusted) { return true }
        if newer.number.term != self.number.term { return newer.number.term > self.number.term }
        return newer.nonce == self.nonce && newer.number >= self.number
    }
}
