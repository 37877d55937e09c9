internal import HTTPTypes
package import Hummingbird
package import PGHATLS

/// What a request needs that changes something or asks for what is not for everybody: the cluster's token and, where an
/// authority for TLS is named, a certificate of it.
package struct Entrance: Sendable {
    package enum Refusal: Hashable, Sendable {
        case token
        case certificate
    }

    private let token: String
    private let demandsCertificate: Bool

    package init(token: String, tls: TLSIdentity?) {
        self.token = token
        self.demandsCertificate = tls?.demandsCertificates ?? false
    }

    /// Nil: it may come in. Without a certificate nobody learns whether a token is right.
    package func refusal(_ request: Request, _ context: PeerContext) async -> Refusal? {
        if self.demandsCertificate, await !context.hasCertificate { return .certificate }
        return BearerCheck.bears(request.headers[.authorization], token: self.token) ? nil : .token
    }
}
