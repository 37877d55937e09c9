import Foundation
import NIOCore
import NIOPosix
import NIOSSL
package import PGHATLS

extension TLSTrouble {
    /// What `error` of a request to `url` says of TLS; nil: nothing.
    ///
    /// The library does not say why it trusts a certificate not. That it has expired is the common reason, and worth one
    /// more connection to tell.
    package static func found(in error: any Error, at url: String) async -> TLSTrouble? {
        guard let trouble = TLSTrouble(error) else { return nil }
        guard trouble == .notTrusted, let certificate = await CertificateLook.certificate(of: url) else {
            return trouble
        }
        return Double(certificate.notValidAfter) < Date.now.timeIntervalSince1970 ? .expired : trouble
    }
}

/// Looks at the certificate that a server shows, and says goodbye before anything is sent.
private enum CertificateLook {
    /// For the connection and for the handshake.
    private static let limit = TimeAmount.seconds(2)

    /// Nil when there is none to be seen in time.
    static func certificate(of url: String) async -> NIOSSLCertificate? {
        guard let address = URLComponents(string: url), let host = address.host, let port = address.port else {
            return nil
        }
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .noHostnameVerification
        guard let context = try? NIOSSLContext(configuration: configuration) else { return nil }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let seen = loop.makePromise(of: NIOSSLCertificate?.self)
        let bootstrap = ClientBootstrap(group: loop).connectTimeout(self.limit).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(
                    NIOSSLClientHandler(
                        context: context, serverHostname: nil,
                        customVerificationCallback: { chain, verification in
                            seen.succeed(chain.first)
                            verification.succeed(.failed)
                        }))
            }
        }
        let deadline = loop.scheduleTask(in: self.limit) { seen.succeed(nil) }
        // Brackets of an IPv6 address are the URL's.
        let name = host.trimmingCharacters(in: ["[", "]"])
        let channel = try? await bootstrap.connect(host: name, port: port).get()
        if channel == nil { seen.succeed(nil) }
        let certificate = try? await seen.futureResult.get()
        deadline.cancel()
        try? await channel?.close()
        return certificate ?? nil
    }
}
