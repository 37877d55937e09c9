/// Where a pooler finds the servers: one controller's view, pushed on every change.
package struct PoolTopology: Hashable, Sendable {
    /// A server as a pooler reaches it.
    package struct Node: Hashable, Sendable {
        package let name: NodeName
        /// A numeric address, or the directory of a Unix socket.
        package let host: String
        package let port: UInt16

        package init(name: NodeName, host: String, port: UInt16) {
            self.name = name
            self.host = host
            self.port = port
        }
    }

    /// Grows with every leader. Server connections that were opened under an older term are closed.
    package let term: Term
    /// The only server that may take writes; nil while there is none, and then transactions wait.
    package let leader: Node?
    package let standbys: [Node]

    package init(term: Term, leader: Node?, standbys: [Node] = []) {
        self.term = term
        self.leader = leader
        self.standbys = standbys
    }

    /// Before the first push: nothing is known, so transactions wait.
    package static let unknown = PoolTopology(term: .zero, leader: nil)
}
