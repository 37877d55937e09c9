import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting
import Testing

@Suite("Connections to the next leader", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct SuccessorTests {
    private static let sessions =
        "pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"

    /// More of them than log in at a time, and no more than the pool may have.
    @Test func areThereBeforeItLeads() async throws {
        let primary = try await ScratchPostgres.start()
        let standby = try await ScratchPostgres.standby(of: primary, name: "s")
        let rig = try await PoolerRig.start(server: primary, poolSize: 6)
        let clients = try (0..<9).map { _ in try rig.client() }
        let next = PoolTopology.Node(
            name: NodeName("b")!, host: standby.socketDirectory, port: UInt16(standby.port))
        rig.pooler.apply(
            PoolTopology(
                term: Term(1), leader: rig.node, standbys: [next], claim: Term(2), successor: next.name))
        try await standby.wait(until: "(SELECT count(*) FROM \(Self.sessions)) = 6")
        let rows = try await standby.query("SELECT pid::text AS p FROM \(Self.sessions)")
        let opened = Set(try rows.map { try $0.string("p") })
        try await standby.query("SELECT pg_promote()")
        rig.pooler.apply(PoolTopology(term: Term(2), leader: next))
        // Transactions begin on what is there.
        var used: Set<String> = []
        for client in clients.prefix(6) {
            #expect(try client.query("BEGIN").last == "Z:T")
            used.insert(try #require(try client.value("SELECT pg_backend_pid()")))
        }
        #expect(used == opened)
    }
}
