import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import PGHACore

/// Asks health paths of pgha's processes.
package enum HealthCheck {
    /// Whether `url` answers with 200 in time.
    package static func isOK(_ url: String, within limit: Duration) async -> Bool {
        let request = HTTPClientRequest(url: url)
        let response = try? await HTTPClient.failingFast.execute(request, timeout: .milliseconds(limit.milliseconds))
        return response?.status == .ok
    }
}
