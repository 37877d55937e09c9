package import NIOSSL
internal import Synchronization

/// What a process shows and trusts over TLS, as its files were when they were last read.
///
/// A connection keeps what it began with; whoever makes one takes what is current. So nothing has to be closed when
/// a certificate is renewed.
package final class TLSIdentity: Sendable {
    package let files: TLSFiles
    private let current: Mutex<Loaded>

    /// Reads the files. Blocks.
    package init(_ files: TLSFiles) throws(TLSFailure) {
        self.files = files
        self.current = Mutex(try Loaded(files))
    }

    package enum Reload: Hashable, Sendable {
        case unchanged
        case read
        /// What was read before stays.
        case failed(TLSFailure)
    }

    /// Reads the files again if they are others than before. Blocks.
    package func reload() -> Reload {
        let stamps = self.files.stamps
        guard self.current.withLock({ $0.stamps != stamps }) else { return .unchanged }
        do throws(TLSFailure) {
            let loaded = try Loaded(self.files)
            self.current.withLock { $0 = loaded }
            return .read
        } catch {
            // Said once for each change.
            self.current.withLock { $0.stamps = stamps }
            return .failed(error)
        }
    }

    /// For connections to others: their certificate must be of the authority, and for the name they were called by.
    package var client: TLSConfiguration { self.current.withLock { $0.client } }

    /// For connections from others; nil without a certificate.
    package var server: NIOSSLContext? { self.current.withLock { $0.server } }

    /// Whether others have to show a certificate before they may change something.
    package var demandsCertificates: Bool { self.files.authority != nil }

    /// Until when the certificate of this process is valid, in seconds since 1970; nil without one.
    package var expires: Int? { self.current.withLock { $0.expires } }

    /// When the first certificate of each file that is in use expires, in seconds since 1970, by the file's setting.
    package var expiries: [String: Int] {
        let (own, authority) = self.current.withLock { ($0.expires, $0.authorityExpires) }
        var expiries: [String: Int] = [:]
        expiries["http_tls_cert_file"] = own
        expiries["http_tls_ca_file"] = authority
        return expiries
    }

    /// Where paths are added: over TLS, whatever was written, since nothing travels in the clear once there is an
    /// identity; without a slash at its end.
    package static func address(_ url: String, _ identity: TLSIdentity?) -> String {
        let address = identity == nil ? url : self.overTLS(url)
        return address.hasSuffix("/") ? String(address.dropLast()) : address
    }

    /// `https://` for `http://`, in any case.
    package static func overTLS(_ url: String) -> String {
        guard url.lowercased().hasPrefix("http://") else { return url }
        return "https://" + url.dropFirst("http://".count)
    }
}

/// What the files hold.
private struct Loaded {
    var stamps: [FileStamp?]
    let client: TLSConfiguration
    let server: NIOSSLContext?
    let expires: Int?
    let authorityExpires: Int?

    init(_ files: TLSFiles) throws(TLSFailure) {
        // Before reading: what changes meanwhile is seen at the next look.
        self.stamps = files.stamps
        let authorities = try files.authority.map { path throws(TLSFailure) in try Self.certificates(path) }
        var client = TLSConfiguration.makeClientConfiguration()
        client.minimumTLSVersion = .tlsv12
        if let authorities { client.trustRoots = .certificates(authorities) }
        self.authorityExpires = authorities.flatMap(Self.firstExpiry)
        guard let certificate = files.certificate, let keyPath = files.key else {
            (self.client, self.server, self.expires) = (client, nil, nil)
            return
        }
        let chain = try Self.certificates(certificate)
        let key = try Self.key(keyPath)
        client.certificateChain = chain.map(NIOSSLCertificateSource.certificate)
        client.privateKey = .privateKey(key)
        var server = TLSConfiguration.makeServerConfiguration(
            certificateChain: client.certificateChain, privateKey: .privateKey(key))
        server.minimumTLSVersion = .tlsv12
        server.applicationProtocols = ["http/1.1"]
        if let authorities {
            // What is shown must be good; who shows none may read.
            server.certificateVerification = .optionalVerification
            server.trustRoots = .certificates(authorities)
            server.sendCANameList = true
        }
        self.client = client
        self.server = try Self.context(server, certificate: certificate, key: keyPath)
        self.expires = Self.firstExpiry(chain)
    }

    /// Of a chain no link may be missing, and what one of several authorities has signed ends with it.
    private static func firstExpiry(_ certificates: [NIOSSLCertificate]) -> Int? {
        certificates.map { Int($0.notValidAfter) }.min()
    }

    private static func certificates(_ path: String) throws(TLSFailure) -> [NIOSSLCertificate] {
        try TLSFiles.requireReadable(path)
        guard let certificates = try? NIOSSLCertificate.fromPEMFile(path), !certificates.isEmpty else {
            throw .noCertificate(path)
        }
        return certificates
    }

    private static func key(_ path: String) throws(TLSFailure) -> NIOSSLPrivateKey {
        try KeyFile.check(path)
        try TLSFiles.requireReadable(path)
        guard let key = try? NIOSSLPrivateKey(file: path, format: .pem) else { throw .noKey(path) }
        return key
    }

    private static func context(
        _ configuration: TLSConfiguration, certificate: String, key: String
    ) throws(TLSFailure) -> NIOSSLContext {
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch NIOSSLError.failedToLoadPrivateKey {
            throw .keyOfAnotherCertificate(key: key, certificate: certificate)
        } catch {
            throw .unusable(certificate, reason: "\(error)")
        }
    }
}
