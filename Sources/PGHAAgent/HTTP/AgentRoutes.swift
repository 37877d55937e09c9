import FoundationEssentials
import HTTPTypes
import Hummingbird
import NIOCore
import PGHAClient
import PGHACore
import PGHAHTTP
import PGHATLS
import ServiceLifecycle

/// The agent's HTTP interface: `/v1`, health paths, `/metrics`.
enum AgentRoutes {
    typealias Context = PeerContext

    static func router(_ agent: Agent, token: String, tls: TLSIdentity?) -> Router<Context> {
        let router = Router(context: Context.self, options: .autoGenerateHeadEndpoints)
        let entrance = Entrance(token: token, tls: tls)
        // On the routes and not on their paths: the router takes `//v1/facts` for `/v1/facts`.
        self.addGuarded(to: router.group().add(middleware: EntranceMiddleware(entrance: entrance)), agent)
        HealthRoutes.add(to: router, agent)
        MetricsRoute.add(to: router, agent, tls)
        return router
    }

    private static func addGuarded(to router: RouterGroup<Context>, _ agent: Agent) {
        router.get("/v1/facts") { _, _ in try JSONAnswer.make(await agent.currentFacts()) }
        router.get("/v1/events") { _, _ in self.events(agent.board) }
        self.post("/v1/fence", router) { try await agent.fence($0) }
        self.post("/v1/start-leader", router) { try await agent.startLeader($0) }
        self.post("/v1/start-standby", router) { try await agent.startStandby($0) }
        self.post("/v1/rejoin", router) { try await agent.rejoin($0) }
        self.post("/v1/initialize", router) { try await agent.initialize($0) }
        self.post("/v1/adopt", router) { try await agent.takeOver($0) }
        self.post("/v1/end-sessions", router) { try await agent.endSessions($0) }
        self.post("/v1/start", router) { try await agent.start($0) }
        self.post("/v1/stop", router) { try await agent.stop($0) }
        self.post("/v1/restart", router) { try await agent.restart($0) }
        self.post("/v1/reload", router) { try await agent.reload($0) }
        self.post("/v1/settings", router) { try await agent.apply($0) }
        self.addDiverged(to: router, agent)
    }

    private static func addDiverged(to router: RouterGroup<Context>, _ agent: Agent) {
        router.get("/v1/diverged") { _, _ in try JSONAnswer.make(await agent.divergedList()) }
        router.get("/v1/diverged/:name") { _, context in
            let name = try context.parameters.require("name")
            return try await self.answer { try await agent.diverged(name) }
        }
        router.delete("/v1/diverged/:name") { _, context in
            let name = try context.parameters.require("name")
            return try await self.answer { try await agent.dropDiverged(name) }
        }
    }

    private static func answer(_ act: () async throws -> some Encodable) async throws -> Response {
        do {
            return try JSONAnswer.make(try await act())
        } catch let failure as AgentFailure {
            return try JSONAnswer.failure(failure)
        }
    }

    private static func post<Body: Decodable & Sendable>(
        _ path: RouterPath, _ router: RouterGroup<Context>,
        _ act: @escaping @Sendable (Body) async throws -> AgentResult
    ) {
        router.post(path) { request, _ in
            try await self.answer { try await act(try await JSONAnswer.body(request, as: Body.self)) }
        }
    }

    /// One JSON object a line, until the client goes or the agent shuts down.
    private static func events(_ board: FactsBoard) -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/x-ndjson", .cacheControl: "no-store"],
            body: ResponseBody { writer in
                let encoder = JSONEncoder()
                for await event in board.listen().cancelOnGracefulShutdown() {
                    var line = ByteBuffer(bytes: Array(try encoder.encode(event)))
                    line.writeInteger(UInt8(ascii: "\n"))
                    try await writer.write(line)
                }
                try await writer.finish(nil)
            })
    }
}
