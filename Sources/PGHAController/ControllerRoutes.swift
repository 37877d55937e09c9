import Foundation
package import Hummingbird
import NIOCore
package import PGHAClient
import PGHACore
package import PGHAHTTP
import PGHAObservability
package import PGHATLS
import ServiceLifecycle

/// The controller's HTTP interface (DESIGN section 9). Reading needs no token except where it shows settings; all
/// that changes state does, and a certificate too where an authority for TLS is named.
package struct ControllerRoutes: Sendable {
    private let controller: Controller
    private let entrance: Entrance
    private let tls: TLSIdentity?

    package init(controller: Controller, token: WireSecret, tls: TLSIdentity? = nil) {
        self.controller = controller
        self.entrance = Entrance(token: token.value, tls: tls)
        self.tls = tls
    }

    package func router() -> Router<PeerContext> {
        let router = Router(context: PeerContext.self)
        router.add(middleware: RefusalMiddleware())
        self.addHealth(to: router)
        self.addReading(to: router)
        PageRoutes.add(to: router, self.controller)
        self.addChanges(to: router.group().add(middleware: EntranceMiddleware(entrance: self.entrance)))
        return router
    }

    // MARK: - Reading

    private func addHealth(to router: Router<PeerContext>) {
        router.get("/liveness") { _, _ in HTTPResponse.Status.ok }
        router.get("/readiness") { _, _ in HTTPResponse.Status.ok }
        router.get("/metrics") { [controller, tls] _, _ in
            let text = await controller.metricsText(certificates: tls?.expiries ?? [:])
            return Response(
                status: .ok, headers: [.contentType: Metrics.contentType],
                body: .init(byteBuffer: ByteBuffer(string: text)))
        }
        router.get("/nodes/:name/:path") { [controller] request, context in
            let name = try context.parameters.require("name"), path = try context.parameters.require("path")
            let status = await controller.status()
            guard let node = status.nodes.first(where: { $0.spec.name.text == name }) else {
                throw HTTPError(.notFound)
            }
            let lag = request.uri.queryParameters.get("lag")
            guard let healthy = NodeHealth.answers(path, node: node, lag: lag) else { throw HTTPError(.notFound) }
            return healthy ? HTTPResponse.Status.ok : .serviceUnavailable
        }
    }

    private func addReading(to router: Router<PeerContext>) {
        let controller = self.controller
        router.get("/v1/status") { _, _ in try json(await controller.statusReport()) }
        router.get("/v1/history") { request, _ in
            let limit = request.uri.queryParameters.get("limit", as: Int.self) ?? 50
            return try json(try await controller.historyReport(limit: min(max(limit, 1), 10_000)))
        }
        router.get("/v1/topology") { [entrance] request, context in
            guard request.uri.queryParameters.get("watch") == "1" else { return try json(await controller.topology()) }
            let pooler = request.uri.queryParameters.get("pooler")
            // Switchovers wait for whoever is named.
            if pooler != nil { try await entrance.check(request, context) }
            return Response(
                status: .ok, headers: [.contentType: "application/x-ndjson"],
                body: Self.topologyStream(controller, pooler: pooler))
        }
        router.get("/v1/failover/plan") { request, _ in
            let target = try request.uri.queryParameters.get("target").map { try nodeName($0) }
            return try json(try await controller.plan(target: target))
        }
        router.get("/v1/diverged") { _, _ in try json(await controller.divergedReport()) }
        router.get("/v1/diverged/:name") { _, context in
            try json(try await controller.diverged(try divergedName(context)))
        }
        router.get("/v1/nodes") { _, _ in try json(NodesReport(try await controller.currentSpec().nodes)) }
    }

    /// A line at once, then one with every change. An unchanged topology is repeated each second, and more often while
    /// transactions are held, so that the end of a stream is noticed on both sides. A stream that names its pooler makes
    /// switchovers wait for that pooler's report.
    private static func topologyStream(_ controller: Controller, pooler: String?) -> ResponseBody {
        ResponseBody { writer in
            if let pooler { await controller.poolerConnected(pooler) }
            let result: Result<Void, any Error>
            do {
                try await Self.writeTopology(controller, to: &writer)
                result = .success(())
            } catch {
                result = .failure(error)
            }
            if let pooler { await controller.poolerLeft(pooler) }
            try result.get()
            try await writer.finish(nil)
        }
    }

    private static func writeTopology(_ controller: Controller, to writer: inout any ResponseBodyWriter) async throws {
        var last: TopologyReport?
        var lastAt = ContinuousClock.now
        while !Task.isCancelled, !Task.isShuttingDownGracefully {
            let (topology, change) = await controller.numberedTopology()
            let patience: Duration = topology.hold ? .milliseconds(100) : .seconds(1)
            if topology != last || ContinuousClock.now - lastAt >= patience {
                var line = try JSONBody.encode(topology)
                line.append(0x0A)
                try await writer.write(ByteBuffer(bytes: line))
                last = topology
                lastAt = .now
            }
            guard await controller.nextChange(after: change) else { return }
        }
    }

    // MARK: - Changes

    private func addChanges(to group: RouterGroup<PeerContext>) {
        let controller = self.controller
        group.post("/v1/init") { request, context in
            let body = try await decode(InitRequest.self, request, context)
            let spec = try body.spec.spec()
            try controller.requireSound(spec)
            if body.adopt { return try json(try await controller.adoptServers(spec), status: .accepted) }
            return try json(try await controller.accept(.initialize(spec), "making \(spec.name)"), status: .accepted)
        }
        group.post("/v1/failover") { request, context in
            let body = try await decode(FailoverCommand.self, request, context)
            guard !body.force || body.acceptDataLoss else {
                throw ControllerRefusal.invalid(
                    "--force may lose acknowledged commits",
                    hint: "Add --accept-data-loss if that is meant; 'pgha failover --dry-run' says what is at risk.")
            }
            let target = try body.target.map { try nodeName($0) }
            return try json(
                try await controller.accept(.failover(target: target, force: body.force), "failover begins"),
                status: .accepted)
        }
        group.post("/v1/switchover") { request, context in
            let target = try await decode(SwitchoverCommand.self, request, context).target.map { try nodeName($0) }
            return try json(
                try await controller.accept(.switchover(target: target), "switchover begins"), status: .accepted)
        }
        group.post("/v1/poolers/:name") { request, context in
            let report = try await decode(PoolerReport.self, request, context)
            return try json(await controller.poolerReported(try poolerName(context), report))
        }
        group.post("/v1/poolers/:name/figures") { request, context in
            let figures = try await decode(PoolerFigures.self, request, context)
            return try json(await controller.poolerReported(try poolerName(context), figures))
        }
        group.post("/v1/pause") { _, _ in try json(try await controller.accept(.pause(true), "paused")) }
        group.post("/v1/resume") { _, _ in try json(try await controller.accept(.pause(false), "resumed")) }
        group.post("/v1/rejoin") { request, context in
            let body = try await decode(RejoinCommand.self, request, context)
            let node = try nodeName(body.node)
            return try json(
                try await controller.accept(.rejoin(node, discard: body.discard), "\(node) will be rebuilt"),
                status: .accepted)
        }
        group.post("/v1/restart") { request, context in
            let node = try await decode(RestartCommand.self, request, context).node.map { try nodeName($0) }
            return try json(try await controller.restart(node), status: .accepted)
        }
        group.delete("/v1/diverged/:name") { _, context in
            try json(try await controller.dropDiverged(try divergedName(context)))
        }
        group.post("/v1/store/adopt") { request, context in
            let spec = try await decode(StoreAdoptRequest.self, request, context).spec?.spec()
            if let spec { try controller.requireSound(spec) }
            return try json(try await controller.adoptStore(spec), status: .accepted)
        }
        // A reading route, but settings of PostgreSQL may hold what is not for everybody (an archive_command with its
        // credentials, who may connect from where).
        group.get("/v1/config") { _, _ in try json(try await controller.configReport()) }
        self.addNodeChanges(to: group)
    }

    private func addNodeChanges(to group: RouterGroup<PeerContext>) {
        let controller = self.controller
        group.post("/v1/nodes") { request, context in
            let node = try await decode(NodeDocument.self, request, context).spec()
            return try json(try await controller.accept(.addNode(node), "\(node.name) added"), status: .accepted)
        }
        group.delete("/v1/nodes/:name") { _, context in
            let node = try nodeName(try context.parameters.require("name"))
            return try json(try await controller.accept(.removeNode(node), "\(node) is being removed"))
        }
        group.patch("/v1/nodes/:name") { request, context in
            let name = try nodeName(try context.parameters.require("name"))
            let patch = try await decode(NodePatch.self, request, context)
            return try json(try await controller.setNode(name, patch))
        }
        group.patch("/v1/config") { request, context in
            try json(try await controller.patchConfig(try await decode(ConfigPatch.self, request, context)))
        }
    }
}

/// Patroni's health paths for one node as the controller sees it.
enum NodeHealth {
    /// Nil for an unknown path. `lag` as in `16MB`: a replica further behind is not healthy.
    static func answers(_ path: String, node: ClusterStatus.Node, lag: String?) -> Bool? {
        let leads = node.state == "leading", streams = node.followed
        switch path {
        case "primary", "read-write", "master", "leader": return leads
        case "replica":
            guard streams, !node.spec.noread else { return false }
            guard let limit = lag.flatMap(ByteLimit.parse) else { return lag == nil }
            return node.lagBytes.map { $0 <= limit } ?? false
        case "read-only": return leads || (streams && !node.spec.noread)
        case "health", "liveness": return node.role == .primary || node.role == .standby
        case "readiness": return leads || streams
        default: return nil
        }
    }
}

private func poolerName(_ context: PeerContext) throws -> String {
    let escaped = try context.parameters.require("name")
    return escaped.removingPercentEncoding ?? escaped
}

private func divergedName(_ context: PeerContext) throws -> DivergedName {
    let text = try context.parameters.require("name")
    guard let name = DivergedName(text) else {
        throw ControllerRefusal.invalid(
            "'\(text)' is not the name of something saved", hint: "Give a whole name out of 'pgha diverged list'.")
    }
    return name
}

func nodeName(_ text: String) throws(ControllerRefusal) -> NodeName {
    guard let name = NodeName(text) else {
        throw .invalid(
            "'\(text)' is not a node name", hint: "Use lower-case letters, digits and '_', a letter first.")
    }
    return name
}
