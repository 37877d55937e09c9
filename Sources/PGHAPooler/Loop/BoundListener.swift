internal import CPGHALoop
internal import Glibc

/// A listening socket of one loop.
struct BoundListener: BitwiseCopyable {
    let descriptor: Int32
    let role: PoolerConfiguration.Role
    /// The port that the system chose or the configuration named.
    let port: UInt16
    let isLocal: Bool

    /// `shared` when several loops listen on one port.
    init(_ listener: PoolerConfiguration.Listener, port: UInt16, shared: Bool) throws(PoolerFailure) {
        self.isLocal = listener.host.hasPrefix("/")
        self.role = listener.role
        self.descriptor =
            self.isLocal
            ? pgha_listen_unix("\(listener.host)/.s.PGSQL.\(port)", 4096)
            : pgha_listen_tcp(listener.host, port, shared ? 1 : 0, 4096)
        guard self.descriptor >= 0 else {
            throw .cannotListen(address: "\(listener.host):\(port)", errno: -self.descriptor)
        }
        self.port = self.isLocal ? port : pgha_local_port(self.descriptor)
    }

    func close() { _ = Glibc.close(self.descriptor) }
}

/// Why a pooler could not start.
package enum PoolerFailure: Error, Equatable, Sendable, CustomStringConvertible {
    case cannotListen(address: String, errno: Int32)
    /// No descriptors or threads left.
    case noResources(errno: Int32)
    /// `reason` is OpenSSL's or says which file is missing.
    case noTLS(reason: String)
    /// A file of secrets or certificates.
    case unusableFile(String, reason: String)

    package var description: String {
        switch self {
        case .cannotListen(let address, let number): "cannot listen on \(address): \(String(cString: strerror(number)))"
        case .noResources(let number): "cannot start an event loop: \(String(cString: strerror(number)))"
        case .noTLS(let reason): "cannot use TLS: \(reason)"
        case .unusableFile(let path, let reason): "cannot use \(path): \(reason)"
        }
    }
}
