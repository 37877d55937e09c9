/// Where a pooler finds the servers: one controller's view, pushed on every change.
package struct PoolTopology: Hashable, Sendable {
    /// A server as a pooler reaches it.
    package struct Node: Hashable, Sendable {
        package let name: NodeName
        /// A numeric address, or the directory of a Unix socket.
        package let host: String
        /// The directory of a Unix socket, which is tried first. The server's rules for local connections may be others
        /// than for `host`, which then is the way for those that they refuse.
        package let socket: String?
        package let port: UInt16
        /// Where its WAL ended when it was last seen; nil when unknown.
        package var position: LSN?
        /// Bytes of WAL that the leader has and this server has not replayed; nil when unknown.
        package var lagBytes: UInt64?
        /// Seconds since what it replayed last was committed; 0 when it lacks nothing; nil when unknown.
        package var lagSeconds: Double?
        /// No client is to be sent here for reading.
        package var noRead: Bool
        /// Where it stands: poolers read from servers of their own zone first.
        package var zone: String?

        package init(
            name: NodeName, host: String, socket: String? = nil, port: UInt16, position: LSN? = nil,
            lagBytes: UInt64? = nil, lagSeconds: Double? = nil, noRead: Bool = false, zone: String? = nil
        ) {
            self.name = name
            self.host = host
            self.socket = socket
            self.port = port
            self.position = position
            self.lagBytes = lagBytes
            self.lagSeconds = lagSeconds
            self.noRead = noRead
            self.zone = zone
        }

        /// On the pooler's own host.
        package var isLocal: Bool {
            self.socket != nil || self.host.hasPrefix("/") || self.host.hasPrefix("127.") || self.host == "::1"
        }
    }

    /// How a term began.
    package struct TermStart: Hashable, Sendable {
        package let term: Term
        /// Where the promoted server left the old leader's WAL; nil for one that led on in place, and for the first.
        package let fork: LSN?

        package init(term: Term, fork: LSN?) {
            self.term = term
            self.fork = fork
        }
    }

    /// Grows with every leader. Server connections that were opened under an older term are closed.
    package let term: Term
    /// The only server that may take writes; nil while there is none, and then transactions wait.
    package let leader: Node?
    package let standbys: [Node]
    /// The term that is being installed: transactions on the primary go on, new ones wait. Nil when none is.
    package let claim: Term?
    /// Who leads next, if that is known: worth connecting to.
    package let successor: NodeName?
    /// The last terms that had a leader, ascending; the present one is the last of them.
    package let terms: [TermStart]

    package init(
        term: Term, leader: Node?, standbys: [Node] = [], claim: Term? = nil, successor: NodeName? = nil,
        terms: [TermStart] = []
    ) {
        self.term = term
        self.leader = leader
        self.standbys = standbys
        self.claim = claim
        self.successor = successor
        self.terms = terms
    }

    /// Before the first push: nothing is known, so transactions wait.
    package static let unknown = PoolTopology(term: .zero, leader: nil)

    /// The leader or a standby of this name.
    package func node(_ name: NodeName) -> Node? {
        if let leader = self.leader, leader.name == name { return leader }
        return self.standbys.first { $0.name == name }
    }

    /// Whether transactions on the primary may begin.
    package var takesWrites: Bool { self.leader != nil && self.claim == nil }

    /// Whether a pooler that goes by `other` goes by this from now on: never back to an older term, whichever controller
    /// says so.
    package func replaces(_ other: PoolTopology) -> Bool { self.term >= other.term && self != other }

    /// Whether a connection to `node`, opened as to the leader of `term`, must be closed before anything more is sent on
    /// it. One to the next leader is opened ahead, under the claim.
    package func outdates(_ term: Term, to node: NodeName) -> Bool {
        if term == self.term { return self.leader?.name != node }
        return term < self.term || term != self.claim
    }
}
