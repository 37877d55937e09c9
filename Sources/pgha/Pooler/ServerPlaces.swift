import Glibc
import PGHAClient
import PGHACore
import PGHAPostgres

/// Finds how to reach servers from here: by a Unix socket on this host, or by number.
struct ServerPlaces {
    /// Directories with Unix sockets of servers on this host, as the operator named them; nil: as agents say.
    let sockets: [String]?
    /// What agents say of more than one server: hosts that share addresses, and then a path tells nothing.
    let ambiguous: Set<String>

    init(sockets: [String]?, _ report: TopologyReport) {
        self.sockets = sockets
        let paths = ([report.leader].compactMap(\.self) + report.standbys).compactMap { server in
            server.socketDirectory.map { Self.path($0, server.port) }
        }
        self.ambiguous = Set(paths.filter { path in paths.count { $0 == path } > 1 })
    }

    private static func path(_ directory: String, _ port: Int) -> String { "\(directory)/.s.PGSQL.\(port)" }

    /// How long a name server may take; the answer before counts meanwhile.
    private static let patience = Duration.seconds(2)

    /// Nil for a server whose name is not known.
    func node(_ server: TopologyReport.Server) async -> PoolTopology.Node? {
        if server.host.hasPrefix("/") { return server.poolNode(at: server.host) }
        let addresses = await AddressResolver.shared.addresses(of: server.host, until: .now + Self.patience)
        guard let address = addresses.first else { return nil }
        return server.poolNode(at: address, socket: self.socket(of: server, at: address))
    }

    /// The directory of the server's Unix socket, if it runs here and this process may use it.
    private func socket(of server: TopologyReport.Server, at address: String) -> String? {
        let directories = self.sockets ?? [server.socketDirectory].compactMap(\.self)
        guard !directories.isEmpty, LocalAddress.all().contains(address) else { return nil }
        return directories.first { directory in
            let path = Self.path(directory, server.port)
            return !self.ambiguous.contains(path) && access(path, R_OK | W_OK) == 0
        }
    }
}
