import Hummingbird
import Logging
import PGHAConfiguration
import PGHAHTTP
import PGHAObservability
import PGHAPooler
import PGHATLS

/// The pooler's HTTP interface.
struct PoolerRoutes {
    let pooler: Pooler

    func application(_ address: ListenAddress, _ tls: TLSIdentity?, _ logger: Logger) -> some ApplicationProtocol {
        Application(
            router: self.router(tls),
            server: .over(tls),
            configuration: .init(address: .hostname(address.host, port: address.port), serverName: "pgha"),
            logger: logger)
    }

    private func router(_ tls: TLSIdentity?) -> Router<BasicRequestContext> {
        let router = Router()
        let pooler = self.pooler
        let metrics = PoolerMetrics()
        router.get("/liveness") { _, _ in HTTPResponse.Status.ok }
        // Ready to begin a transaction that writes.
        router.get("/readiness") { _, _ in
            await pooler.statistics().hasLeader ? HTTPResponse.Status.ok : .serviceUnavailable
        }
        router.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: Metrics.contentType],
                body: .init(
                    byteBuffer: ByteBuffer(
                        string: metrics.text(await pooler.statistics(), certificates: tls?.expiries ?? [:]))))
        }
        return router
    }
}
