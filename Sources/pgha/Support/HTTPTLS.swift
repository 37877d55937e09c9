import ArgumentParser
import Dispatch
import Foundation
import Logging
import PGHAConfiguration
import PGHATLS
import ServiceLifecycle
import UnixSignals

/// TLS of HTTP, as flags of every process.
struct HTTPTLSOptions: ParsableArguments {
    @Option(help: .setting("http_tls_cert_file", of: .agent)) var httpTlsCertFile: String?
    @Option(help: .setting("http_tls_key_file", of: .agent)) var httpTlsKeyFile: String?
    @Option(help: .setting("http_tls_ca_file", of: .agent)) var httpTlsCaFile: String?

    var flags: [String: String?] {
        [
            "http_tls_cert_file": self.httpTlsCertFile, "http_tls_key_file": self.httpTlsKeyFile,
            "http_tls_ca_file": self.httpTlsCaFile,
        ]
    }
}

extension HTTPTLSConfiguration {
    /// Nil: plain HTTP. What the files hold is checked.
    func identity() throws(TLSFailure) -> TLSIdentity? {
        guard let files = try TLSFiles(certificate: self.certificate, key: self.key, authority: self.authority) else {
            return nil
        }
        try files.requireCertificate()
        return try TLSIdentity(files)
    }
}

/// Takes up renewed files, at once on SIGHUP. Connections go on with what they began with.
struct TLSFilesWatch: Service {
    let identity: TLSIdentity
    let logger: Logger

    /// Three looks at a file's inode; certificates are renewed days before they expire.
    static let interval = Duration.seconds(10)
    private static let looksADay = 8640
    /// Before the end, in seconds: renewal was due, and there is time to see to it.
    static let soon = 7 * 86_400

    func run() async throws {
        self.sayExpiry("TLS for HTTP")
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await _ in await UnixSignalsSequence(trapping: .sighup) { await self.look() }
                }
                group.addTask {
                    var looks = 0
                    while (try? await Task.sleep(for: Self.interval)) != nil {
                        await self.look()
                        looks += 1
                        if looks.isMultiple(of: Self.looksADay), self.isUrgent { self.sayExpiry("TLS for HTTP") }
                    }
                }
            }
        }
    }

    private func look() async {
        let result = await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: self.identity.reload()) }
        }
        switch result {
        case .unchanged: break
        case .read: self.sayExpiry("files for TLS read again")
        case .failed(let failure):
            self.logger.error(
                "files for TLS cannot be used; going on with what was read before", metadata: ["error": "\(failure)"])
        }
    }

    private var isUrgent: Bool {
        self.identity.expires.map { Double($0) - Date.now.timeIntervalSince1970 < Double(Self.soon) } ?? false
    }

    private func sayExpiry(_ message: Logger.Message) {
        guard let expires = self.identity.expires else { return }
        let date = Date(timeIntervalSince1970: Double(expires))
        self.logger.log(
            level: self.isUrgent ? .warning : .notice, message,
            metadata: [
                "certificate": "\(self.identity.files.certificate ?? "")",
                "\(date.timeIntervalSinceNow < 0 ? "expired" : "expires")": "\(date.formatted(.iso8601))",
            ])
    }
}

extension [ServiceGroupConfiguration.ServiceConfiguration] {
    /// Of a process with this identity.
    static func watching(_ identity: TLSIdentity?, _ logger: Logger) -> Self {
        identity.map { [.init(service: TLSFilesWatch(identity: $0, logger: logger))] } ?? []
    }
}
