internal import AsyncHTTPClient
internal import NIOCore
package import PGHAClient
internal import PGHATLS

/// HTTP over TLS (``ScratchCluster/Options/hasTLS``).
extension ScratchCluster {
    /// One for all processes, one for the operator: this process.
    static func makeCertificates() async throws -> ScratchCertificates {
        let made = try await ScratchCertificates()
        try await made.issue("process", names: "IP:127.0.0.1")
        try await made.issue("operator", names: "DNS:operator", isOurs: true)
        return made
    }

    static func operatorIdentity(_ made: ScratchCertificates?) throws -> TLSIdentity? {
        guard let made else { return nil }
        return try TLSFiles(
            certificate: made.path("operator.crt"), key: made.path("operator.key"), authority: made.authority
        ).map { try TLSIdentity($0) }
    }

    /// Of every process.
    var tlsFlags: String {
        guard let made = self.certificates else { return "" }
        return "--http-tls-cert-file \(made.path("process.crt")) --http-tls-key-file \(made.path("process.key")) "
            + "--http-tls-ca-file \(made.authority)"
    }

    /// Gives the processes a new certificate in the old one's place.
    package func renewCertificate() async throws {
        try await self.certificates?.issue("process", names: "IP:127.0.0.1")
    }

    /// What controller, agents and pooler say to Prometheus.
    package func metrics() async throws -> [String] {
        let hosts = [Self.controllerHost(self.options)] + self.nodes.map(\.host) + [self.poolerHost]
        let ports = [self.controllerPort] + self.nodes.map(\.agentPort) + [self.poolerPorts[2]]
        let identity = try Self.operatorIdentity(self.certificates)
        var texts: [String] = []
        for (host, port) in zip(hosts, ports) {
            var request = HTTPClientRequest(url: TLSIdentity.address("http://\(host):\(port)", identity) + "/metrics")
            request.tlsConfiguration = identity?.client
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
            texts.append(String(buffer: try await response.body.collect(upTo: 1 << 20)))
        }
        return texts
    }

    /// Somebody who bears the token, trusts the cluster's authority, and has no certificate.
    package func clientWithoutCertificate() throws -> ControllerClient {
        let files = try TLSFiles(certificate: nil, key: nil, authority: self.certificates?.authority)
        return ControllerClient(
            baseURL: self.client.baseURL, token: BearerToken(Self.token),
            tls: try files.map { try TLSIdentity($0) }, httpClient: .shared)
    }
}
