import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOSSL
import PGHACore

/// Asks health paths of pgha's processes.
package enum HealthCheck {
    /// Whether `url` answers with 200 in time. Over TLS whatever certificate it has, as orchestrators' own probes do: the
    /// name asked for is often that of this host alone, and nothing is sent that is not for everybody.
    package static func isOK(_ url: String, within limit: Duration) async -> Bool {
        var request = HTTPClientRequest(url: url)
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.certificateVerification = .none
        request.tlsConfiguration = tls
        let response = try? await HTTPClient.failingFast.execute(request, timeout: .milliseconds(limit.milliseconds))
        return response?.status == .ok
    }
}
