import Glibc
import Synchronization

/// Passes connections on to a server on this host and remembers with which 8 bytes each began.
final class Relay: Sendable {
    let port: UInt16
    private let listener: Int32
    private let seen = Mutex<[[UInt8]]>([])
    private let clients = Mutex<[Int32]>([])
    private let isDeaf = Atomic(false)

    var beginnings: [[UInt8]] { self.seen.withLock { $0 } }

    init(to server: UInt16) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, pointer, &length) == 0
            }
        }
        guard isBound else { throw RawClient.Failure(description: "listen: \(String(cString: strerror(errno)))") }
        self.listener = listener
        self.port = UInt16(bigEndian: address.sin_port)
        self.accept(for: server)
    }

    /// Listens on a Unix socket in `directory`, where a server with port 1 would.
    init(to server: UInt16, in directory: String) throws {
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: "\(directory)/.s.PGSQL.1".utf8) }
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 && listen(listener, 64) == 0
            }
        }
        guard isBound else { throw RawClient.Failure(description: "listen: \(String(cString: strerror(errno)))") }
        self.listener = listener
        self.port = 1
        self.accept(for: server)
    }

    /// Takes nothing more from the connections that there are: who writes to one over a Unix socket gets EPIPE, and until
    /// then nobody notices.
    func closeEars() {
        self.isDeaf.store(true, ordering: .releasing)
        self.clients.withLock { clients in
            for client in clients { shutdown(client, Int32(SHUT_RD)) }
            clients.removeAll()
        }
    }

    private func accept(for server: UInt16) {
        Self.thread { [self] in
            while true {
                let client = Glibc.accept(self.listener, nil, nil)
                guard client >= 0 else { return }
                self.clients.withLock { $0.append(client) }
                Self.thread { self.pass(client, to: server) }
            }
        }
    }

    deinit { close(self.listener) }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private func pass(_ client: Int32, to port: UInt16) {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.loopback(port)
        _ = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        var first = [UInt8](repeating: 0, count: 8)
        if recv(client, &first, 8, Int32(MSG_PEEK) | Int32(MSG_WAITALL)) == 8 {
            self.seen.withLock { $0.append(first) }
        }
        Self.thread { self.copy(server, to: client) }
        self.copy(client, to: server)
    }

    /// Until either side has closed. Descriptors stay open until the process ends: both threads may still use them.
    private func copy(_ from: Int32, to target: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(from, &buffer, buffer.count, 0)
            guard count > 0, send(target, buffer, count, Int32(MSG_NOSIGNAL)) == count else { break }
        }
        // Its own end must not tell the other side.
        if self.isDeaf.load(ordering: .acquiring) { return }
        shutdown(target, Int32(SHUT_RDWR))
        shutdown(from, Int32(SHUT_RDWR))
    }

    private static func thread(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let work = Unmanaged.passRetained(Work(body)).toOpaque()
        pthread_create(
            &thread, nil,
            { argument in
                argument.map { Unmanaged<Work>.fromOpaque($0).takeRetainedValue().body() }
                return nil
            }, work)
        pthread_detach(thread)
    }

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}
