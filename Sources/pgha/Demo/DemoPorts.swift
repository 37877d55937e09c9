import FoundationEssentials
import Glibc
import PGHACore

/// Whether the demo's ports are free, asked before anything is started.
enum DemoPorts {
    static func requireFree(_ layout: DemoLayout) throws {
        let own = self.ownServerPorts(layout)
        guard let taken = layout.ports.first(where: { !own.contains($0.port) && !self.isFree($0.port) }) else { return }
        throw CommandError(
            .failed, "port \(taken.port), for \(taken.use), is taken by another program",
            hint: "Move all ports with --base-port, such as --base-port \(self.suggestion(layout))"
                + (FileManager.default.fileExists(atPath: layout.settingsFile) ? " and a new --dir." : "."))
    }

    /// The next base at which every port is free.
    private static func suggestion(_ layout: DemoLayout) -> Int {
        let bases = stride(from: layout.basePort + 100, to: 60_000, by: 100)
        let free = bases.first { base in
            let other = DemoLayout(directory: layout.directory, nodes: layout.nodes, basePort: base)
            return other.ports.allSatisfy { self.isFree($0.port) }
        }
        return free ?? layout.basePort + 100
    }

    /// Servers of this demo that a killed one left running: their agents adopt them.
    private static func ownServerPorts(_ layout: DemoLayout) -> Set<Int> {
        Set(
            layout.names.indices.compactMap { index in
                PostmasterLines(path: layout.postmasterFile(layout.names[index]))?.isAlive == true
                    ? layout.serverPort(index) : nil
            })
    }

    /// Binds and listens for a moment. SO_REUSEADDR: connections that have just ended do not count.
    static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        return bound == 0 && listen(descriptor, 1) == 0
    }
}

/// `postmaster.pid` of a server. Source: PostgreSQL `pidfile.h`.
struct PostmasterLines {
    let pid: pid_t
    let dataDirectory: String
    /// The directory of its Unix socket.
    let socketDirectory: String

    init?(path: String) {
        guard let data = FileManager.default.contents(atPath: path) else { return nil }
        let lines = String(decoding: data, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count > 4, let pid = pid_t(lines[0]), pid > 1 else { return nil }
        self.pid = pid
        self.dataDirectory = String(lines[1])
        self.socketDirectory = String(lines[4])
    }

    /// A postmaster's working directory is its data directory, which tells it from a later process of its number.
    var isAlive: Bool {
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(self.pid)/cwd")) == self.dataDirectory
    }
}
