import Glibc
import PGHAClient
import PGHACore
import PGHAPostgres

/// Finds how to reach servers from here: by a Unix socket on this host, or by number.
struct ServerPlaces {
    /// Directories with Unix sockets of servers on this host.
    let sockets: [String]

    /// How long a name server may take; the answer before counts meanwhile.
    private static let patience = Duration.seconds(2)

    /// Nil for a server whose name is not known.
    func node(_ server: TopologyReport.Server) async -> PoolTopology.Node? {
        guard let port = UInt16(exactly: server.port), let host = await self.place(of: server.host, port) else {
            return nil
        }
        return server.poolNode(at: host)
    }

    private func place(of host: String, _ port: UInt16) async -> String? {
        if host.hasPrefix("/") { return host }
        let addresses = await AddressResolver.shared.addresses(of: host, until: .now + Self.patience)
        return addresses.first.map { self.socket($0, port) ?? $0 }
    }

    /// The directory of the server's Unix socket, if it runs here and has one in a directory that was named.
    private func socket(_ address: String, _ port: UInt16) -> String? {
        guard !self.sockets.isEmpty, LocalAddress.all().contains(address) else { return nil }
        return self.sockets.first { access("\($0)/.s.PGSQL.\(port)", R_OK | W_OK) == 0 }
    }
}
