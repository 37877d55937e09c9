internal import AsyncHTTPClient
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
package import PGHACore
internal import Synchronization

// What poolers and the controller say to each other.
extension ControllerClient {
    /// Lines come at least each second; after this much silence the stream is given up.
    private static var silenceLimit: Duration { .seconds(3) }

    /// The stream of `GET /v1/topology?watch=1`: where the servers are, at once and with every change. While it is open
    /// switchovers wait for the report of the pooler of this name.
    ///
    /// Ends with an error when the controller goes away or falls silent for three seconds; never ends by itself.
    package func topologyChanges(pooler: String) -> AsyncThrowingStream<TopologyReport, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    try await self.readTopology(pooler) { continuation.yield($0) }
                    continuation.finish(throwing: ControllerFailure.unreachable(url: self.baseURL, reason: "it closed the stream"))
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private func readTopology(
        _ pooler: String, _ deliver: @escaping @Sendable (TopologyReport) -> Void
    ) async throws {
        let heard = LineClock()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await self.readTopologyLines(pooler) { line in
                    heard.touch()
                    deliver(try JSONDecoder().decode(TopologyReport.self, from: Data(line)))
                }
            }
            group.addTask {
                while heard.age < Self.silenceLimit { try await Task.sleep(for: .milliseconds(500)) }
                throw ControllerFailure.unreachable(url: self.baseURL, reason: "its topology stream fell silent")
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func readTopologyLines(_ pooler: String, _ deliver: (ArraySlice<UInt8>) throws -> Void) async throws {
        let name = pooler.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? pooler
        var request = HTTPClientRequest(url: self.baseURL + "/v1/topology?watch=1&pooler=\(name)")
        if let token = self.token { request.headers.add(name: "authorization", value: "Bearer \(token.value)") }
        // The deadline bounds the head only; the watchdog sees silence afterwards.
        let response = try await self.httpClient.execute(
            request, timeout: .milliseconds(Self.silenceLimit.milliseconds))
        guard response.status == .ok else {
            throw ControllerFailure.undecodable(url: self.baseURL, reason: "HTTP status \(response.status.code)")
        }
        var lines = LineSplitter()
        for try await chunk in response.body {
            for line in lines.add(chunk.readableBytesView) { try deliver(line) }
        }
    }

    /// Says that no transaction is left on the leader that `claim` replaces.
    package func reportDrained(pooler: String, claim: Term) async throws(ControllerFailure) {
        let name = pooler.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? pooler
        let _: Accepted = try await self.send("POST", "/v1/poolers/\(name)", PoolerReport(drained: claim.number))
    }
}

/// When the last line came.
private final class LineClock: Sendable {
    private let at = Mutex(ContinuousClock.now)
    var age: Duration { self.at.withLock { $0.duration(to: .now) } }
    func touch() { self.at.withLock { $0 = .now } }
}
