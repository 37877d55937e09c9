import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting

/// A pooler in this process in front of a server of its own.
final class PoolerRig: Sendable {
    let server: ScratchPostgres
    let pooler: Pooler
    var port: UInt16 { self.pooler.ports[0] }

    static func start(
        server: ScratchPostgres? = nil, poolSize: Int = 1,
        _ configure: (inout PoolerConfiguration) -> Void = { _ in }
    ) async throws -> PoolerRig {
        let server = if let server { server } else { try await ScratchPostgres.start() }
        var configuration = PoolerConfiguration()
        configuration.listeners = [.init(host: "127.0.0.1", port: 0)]
        configuration.limits.poolSize = poolSize
        configuration.authentication.rules = .trust
        // On a slow machine clients wait long enough to be told why; tests that want to see that say so.
        configuration.hold.notice = .seconds(60)
        configure(&configuration)
        let rig = PoolerRig(server, try Pooler(configuration))
        rig.apply(term: 1)
        return rig
    }

    private init(_ server: ScratchPostgres, _ pooler: Pooler) {
        self.server = server
        self.pooler = pooler
    }

    deinit { self.pooler.stop() }

    var node: PoolTopology.Node {
        PoolTopology.Node(name: NodeName("a")!, host: self.server.socketDirectory, port: UInt16(self.server.port))
    }

    /// Waits until `condition` holds.
    static func wait(_ what: String, until condition: () async -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while await !condition() {
            guard ContinuousClock.now < deadline else { throw ScratchFailure("not within a minute: \(what)") }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    func apply(term: UInt64) { self.pooler.apply(PoolTopology(term: Term(term), leader: self.node)) }

    func client(_ settings: [(String, String)] = []) throws -> RawClient {
        try RawClient.logIn(port: self.port, settings)
    }

    /// How many sessions of clients the server has; this one's connection is direct and not counted.
    func sessions(_ condition: String = "true") async throws -> String {
        let rows = try await self.server.query(
            """
            SELECT count(*)::text AS n FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND \(condition)
            """)
        return try rows[0].string("n")
    }
}
