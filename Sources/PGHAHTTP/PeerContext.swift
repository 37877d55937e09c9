package import Hummingbird
internal import NIOCore
internal import NIOSSL

/// A request, with the connection on which it came.
package struct PeerContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    private let channel: any Channel

    package init(source: ApplicationRequestContextSource) {
        self.coreContext = .init(source: source)
        self.channel = source.channel
    }

    /// Whether the other side has shown a certificate of the authority: one of anybody else ends the connection.
    var hasCertificate: Bool {
        get async { await (try? self.channel.nioSSL_peerCertificate().get()) != nil }
    }
}
