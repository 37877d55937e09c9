import PGHACore
import PGHAPostgres
import PGHATesting

extension Drill {
    /// A session through the pooler, once it lets anybody in.
    func pooled(within timeout: Duration = .seconds(20)) async throws -> PostgresConnection {
        let deadline = ContinuousClock.now + timeout
        while true {
            do {
                return try await PostgresConnection.open(self.cluster.poolerParameters)
            } catch {
                guard ContinuousClock.now < deadline else { throw error }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// The server process of this `backend_type`; nil when there is none.
    func process(_ kind: String, on node: Node) async throws -> Int32? {
        let rows = try await self.cluster.query(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = '\(kind)'", on: node)
        return try rows.first?.int32("pid")
    }
}

enum PostgresSession {
    /// A session that no cut of a link reaches.
    static func inside(_ cluster: ScratchCluster, _ node: ScratchCluster.Node) async throws -> PostgresConnection {
        try await PostgresConnection.open(cluster.insideParameters(node))
    }
}
