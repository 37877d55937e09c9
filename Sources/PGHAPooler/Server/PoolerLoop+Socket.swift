internal import PGHACore
internal import PGHAWire

/// Sessions of a user in a database, on a server that may be reached in two ways.
struct SocketUse: Hashable {
    let node: NodeName
    let user: WireText
    let database: WireText

    init(_ node: NodeName, _ user: WireText, _ database: WireText) {
        self.node = node
        self.user = user
        self.database = database
    }
}

// Servers of this host over their Unix sockets, a fifth cheaper than TCP; and over TCP for whom the server's rules for
// local connections keep out (`peer`, usually).
extension PoolerLoop {
    func address(of node: PoolTopology.Node, _ use: SocketUse) -> String {
        guard let socket = node.socket, !self.socketRefusals.contains(use) else { return node.host }
        return socket
    }

    /// True: the server refused somebody over its socket who may come over TCP, and does so from now on.
    mutating func avoidsSocket(_ logIn: ServerLogIn, after error: [UInt8]) -> Bool {
        let state = error.dropFirst(5).withUnsafeBytes { ErrorView($0)?.state }
        guard let use = logIn.socketUse, state == .invalidAuthorization else { return false }
        return self.socketRefusals.insert(use).inserted
    }

    /// The same connection by the other way.
    mutating func openAgain(_ server: ServerPointer) {
        let (pool, term) = (server.pointee.pool, server.pointee.term)
        let node = self.topology.node(self.nodeNames[Int(server.pointee.node)])
        self.dropServer(server)
        if let node { _ = self.openServer(pool, to: node, term: term) }
    }
}
