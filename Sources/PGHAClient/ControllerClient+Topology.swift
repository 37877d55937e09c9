internal import Foundation
package import PGHACore

// What poolers and the controller say to each other.
extension ControllerClient {
    /// Follows `GET /v1/topology?watch=1`: hands each line to `deliver`, the first at once. While it is open,
    /// switchovers wait for the report of the pooler of this name; without a name they wait for none.
    ///
    /// Returns only by throwing: see ``followLines(_:_:)``.
    package func followTopology(
        pooler: String? = nil, _ deliver: @escaping @Sendable (TopologyReport) async -> Void
    ) async throws {
        let name = pooler.map { "&pooler=\(Self.escaped($0))" } ?? ""
        try await self.followLines("/v1/topology?watch=1\(name)") { line in
            await deliver(try JSONDecoder().decode(TopologyReport.self, from: line))
        }
    }

    /// Says that no transaction is left on the leader that `claim` replaces.
    package func reportDrained(pooler: String, claim: Term) async throws(ControllerFailure) {
        let _: Accepted = try await self.send(
            "POST", "/v1/poolers/\(Self.escaped(pooler))", PoolerReport(drained: claim.number))
    }

    /// Says how busy the pooler is; counts while its stream is open.
    package func report(_ figures: PoolerFigures, pooler: String) async throws(ControllerFailure) {
        let _: Accepted = try await self.send("POST", "/v1/poolers/\(Self.escaped(pooler))/figures", figures)
    }

    /// Unreserved characters stay as they are. Source: RFC 3986, section 2.3.
    static func escaped(_ name: String) -> String {
        name.addingPercentEncoding(withAllowedCharacters: .alphanumerics.union(["-", ".", "_", "~"])) ?? name
    }
}
