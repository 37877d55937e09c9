import CPGHASystem
import Hummingbird
import PGHACore
import PGHAObservability
import PGHATLS

/// `GET /metrics` in Prometheus' text format.
enum MetricsRoute {
    static func add(to router: Router<AgentRoutes.Context>, _ agent: Agent, _ tls: TLSIdentity?) {
        router.get("/metrics") { _, _ in
            let facts = await agent.currentFacts()
            let text = agent.metrics.text(
                facts, saved: await agent.savedWAL(), certificates: tls?.expiries ?? [:])
            return Response(
                status: .ok, headers: [.contentType: Metrics.contentType], body: .init(byteBuffer: .init(string: text)))
        }
    }
}

extension Agent {
    /// Nil when the directory cannot be read.
    nonisolated func savedWAL() async -> SavedWAL? {
        let root = self.directory.diverged
        return await Offload.run {
            guard let names = try? DurableFile.list(root) else { return nil }
            let files = names.flatMap { name in
                ((try? DurableFile.list("\(root)/\(name)")) ?? []).map { "\(root)/\(name)/\($0)" }
            }
            let sizes = files.compactMap { (try? DurableFile.status($0)).flatMap { $0?.size } }
            return SavedWAL(count: names.count, bytes: UInt64(max(0, sizes.reduce(0, +))))
        }
    }
}
