import CPGHASystem
import Glibc
import PGHAClient
package import PGHACore
package import PGHATLS

/// How an agent is started.
package struct AgentSettings: Sendable {
    package var node: NodeName
    /// The state directory; made when missing.
    package var directory: String
    /// The data directory of a server that somebody else made; nil: `data` in the state directory.
    package var data: String?
    /// `host:port`.
    package var listen: String
    /// A file with the cluster's token, not readable by others.
    package var tokenFile: String
    /// Where PostgreSQL's programs are; nil: looked for.
    package var binaryDirectory: String?
    /// Whether a graceful end of the agent shuts PostgreSQL down.
    package var stopsServer: Bool
    /// Whether a gate in another container starts PostgreSQL.
    package var isExternal: Bool
    /// The group that may reach the server's Unix socket; nil: nobody else.
    package var socketGroup: String?
    /// Nil: plain HTTP.
    package var tls: TLSIdentity?

    package static let defaultListen = "127.0.0.1:8433"

    package init(
        node: NodeName, directory: String, data: String? = nil, listen: String = AgentSettings.defaultListen,
        tokenFile: String, binaryDirectory: String? = nil, stopsServer: Bool = false, isExternal: Bool = false,
        socketGroup: String? = nil, tls: TLSIdentity? = nil
    ) {
        self.node = node
        self.directory = directory
        self.data = data
        self.listen = listen
        self.tokenFile = tokenFile
        self.binaryDirectory = binaryDirectory
        self.stopsServer = stopsServer
        self.isExternal = isExternal
        self.socketGroup = socketGroup
        self.tls = tls
    }

    /// Host and port; `[::1]:8433` for IPv6.
    func address() throws -> (host: String, port: Int) {
        guard let colon = self.listen.lastIndex(of: ":"),
            let port = Int(self.listen[self.listen.index(after: colon)...]),
            (0...65_535).contains(port)
        else { throw AgentStartError.badListenAddress(self.listen) }
        var host = String(self.listen[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        guard !host.isEmpty else { throw AgentStartError.badListenAddress(self.listen) }
        return (host, port)
    }

    private static let shortestToken = 16

    /// Reads the token. Blocks.
    func token() throws -> WireSecret {
        guard let status = try DurableFile.status(self.tokenFile), let text = try DurableFile.read(self.tokenFile)
        else {
            throw AgentStartError.tokenMissing(self.tokenFile)
        }
        guard status.mode & 0o007 == 0 else { throw AgentStartError.tokenReadableByOthers(self.tokenFile) }
        let token = text.filter { !$0.isWhitespace }
        guard token.utf8.count >= Self.shortestToken else { throw AgentStartError.tokenMissing(self.tokenFile) }
        return WireSecret(token)
    }
}
