internal import AsyncHTTPClient
internal import Foundation
internal import NIOCore
internal import NIOHTTP1
package import PGHACore
internal import Synchronization

// What poolers and the controller say to each other.
extension ControllerClient {
    /// The stream repeats itself each second; after three the controller, or the way to it, is gone.
    private static var silenceLimit: Duration { .seconds(3) }

    /// Follows `GET /v1/topology?watch=1`: hands each line to `deliver`, the first at once. While it is open,
    /// switchovers wait for the report of the pooler of this name; without a name they wait for none.
    ///
    /// Returns only by throwing, a ``ControllerFailure`` or a cancellation: when the controller goes away, answers
    /// something else, or falls silent.
    package func followTopology(
        pooler: String? = nil, _ deliver: @escaping @Sendable (TopologyReport) async -> Void
    ) async throws {
        let lastLine = LastLine()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await self.readTopology(pooler) { report in
                    lastLine.at.withLock { $0 = .now }
                    await deliver(report)
                }
            }
            group.addTask {
                while lastLine.at.withLock({ $0.duration(to: .now) }) < Self.silenceLimit {
                    try await Task.sleep(for: .milliseconds(500))
                }
                throw ControllerFailure.unreachable(
                    url: self.baseURL, reason: Self.words(HTTPClientError.readTimeout, timeout: Self.silenceLimit))
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private final class LastLine: Sendable {
        let at = Mutex(ContinuousClock.now)
    }

    private func readTopology(_ pooler: String?, _ deliver: (TopologyReport) async -> Void) async throws {
        do {
            let name = pooler.map { "&pooler=\(Self.escaped($0))" } ?? ""
            // The deadline bounds the head only; the watchdog sees silence afterwards.
            let response = try await self.httpClient.execute(
                self.request("GET", "/v1/topology?watch=1\(name)"),
                timeout: .milliseconds(Self.silenceLimit.milliseconds))
            guard response.status == .ok else {
                let buffer = try await response.body.collect(upTo: 1 << 20)
                throw self.failure(Int(response.status.code), Data(buffer.readableBytesView))
            }
            var lines = LineSplitter()
            for try await chunk in response.body {
                for line in lines.add(chunk.readableBytesView) {
                    await deliver(try JSONDecoder().decode(TopologyReport.self, from: Data(line)))
                }
            }
        } catch let failure as ControllerFailure {
            throw failure
        } catch let error as CancellationError {
            throw error
        } catch {
            throw ControllerFailure.unreachable(
                url: self.baseURL, reason: await Self.reason(error, url: self.baseURL, timeout: Self.silenceLimit))
        }
        throw ControllerFailure.unreachable(url: self.baseURL, reason: "it closed the connection")
    }

    /// Says that no transaction is left on the leader that `claim` replaces.
    package func reportDrained(pooler: String, claim: Term) async throws(ControllerFailure) {
        let _: Accepted = try await self.send(
            "POST", "/v1/poolers/\(Self.escaped(pooler))", PoolerReport(drained: claim.number))
    }

    /// Unreserved characters stay as they are. Source: RFC 3986, section 2.3.
    private static func escaped(_ name: String) -> String {
        name.addingPercentEncoding(withAllowedCharacters: .alphanumerics.union(["-", ".", "_", "~"])) ?? name
    }
}
