import HTTPTypes
import Hummingbird
import PGHACore
import PGHAHTTP

/// Patroni's health paths with its status codes, so that load balancers and probes made for it keep working.
///
/// 200 says yes, 503 says no or unknown. Source: Patroni documentation, "REST API", health check endpoints.
enum HealthRoutes {
    static func add(to router: Router<AgentRoutes.Context>, _ agent: Agent) {
        for path in ["/primary", "/read-write", "/master"] as [RouterPath] {
            router.get(path) { _, _ in answer(try? await agent.health()) { !$0.inRecovery && !$0.isFenced } }
        }
        router.get("/replica") { request, _ in
            let limit = request.uri.queryParameters["lag"].map { ByteLimit.parse(String($0)) }
            if case .some(nil) = limit { return Response(status: .badRequest) }
            let status = try? await agent.health()
            return answer(status) { status in
                guard status.inRecovery, status.isStreaming else { return false }
                guard let limit = limit.flatMap({ $0 }) else { return true }
                return status.lagBytes.map { $0 <= limit } ?? false
            }
        }
        router.get("/health") { _, _ in answer(try? await agent.health()) { _ in true } }
        router.get("/readiness") { _, _ in answer(try? await agent.health()) { !$0.inRecovery || $0.isStreaming } }
        router.get("/liveness") { _, _ in Response(status: .ok) }
    }

    private static func answer(
        _ status: LocalServer.Status?, _ holds: (LocalServer.Status) -> Bool
    ) -> Response {
        guard let status else { return self.text(.serviceUnavailable, "unknown") }
        let role = status.inRecovery ? "standby" : status.isFenced ? "fenced primary" : "primary"
        return self.text(holds(status) ? .ok : .serviceUnavailable, role)
    }

    private static func text(_ status: HTTPResponse.Status, _ role: String) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: .init(string: "{\"role\": \"\(role)\"}\n")))
    }
}

extension Agent {
    /// What the server says of itself. Throws when it does not run or does not answer within a second.
    func health() async throws -> LocalServer.Status {
        guard case .running = self.board.facts.postmaster else { throw Refusal.notRunning() }
        return try await self.local.status()
    }
}
