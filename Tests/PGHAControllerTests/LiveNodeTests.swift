import Logging
import PGHAClient
import PGHAController
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

@Suite(.enabled(if: ScratchPostgres.unavailable == nil, "needs PostgreSQL's server programs"))
struct LiveNodeTests {
    private func name(_ text: String) throws -> NodeName { try #require(NodeName(text)) }

    /// Without them its followers could not stream before slots are next kept, two seconds later.
    @Test func aServerThatIsPromotedHasTheSlotsOfItsFollowers() async throws {
        let primary = try await ScratchPostgres.start()
        let standby = try await ScratchPostgres.standby(
            of: primary, name: "b", settings: ["synchronous_standby_names": SyncList.fence.setting])
        try await primary.wait(until: "EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")
        let peers = try ["a", "b", "c"].map { NodeSpec(name: try self.name($0), host: "127.0.0.1", port: standby.port) }
        let node = LiveNode(
            spec: peers[1], systemIdentifier: nil,
            credentials: NodeCredentials(
                user: ScratchPostgres.superuser, password: Secret(ScratchPostgres.superuserPassword), passfile: nil,
                replicationPassword: nil, token: WireSecret("")), httpClient: AgentClient.sharedHTTPClient,
            logger: Logger(label: "test")
        ) { ServerSettings(postgres: [:], access: []) }
        let pledge = Pledge(Claim(term: Term(2), nonce: 7))
        let upstreams = Dictionary(uniqueKeysWithValues: peers.map { ($0.name, $0) })
        primary.kill()
        guard case .sealed = await node.execute(.seal(pledge), upstreams: upstreams) else {
            Issue.record("not sealed")
            return
        }
        #expect(try await standby.query("SELECT slot_name FROM pg_replication_slots").isEmpty)
        guard case .promoted = await node.execute(.promote(pledge), upstreams: upstreams) else {
            Issue.record("not promoted")
            return
        }
        try await standby.wait(
            until: """
                (SELECT array_agg(slot_name::text ORDER BY slot_name) FROM pg_replication_slots
                  WHERE restart_lsn IS NOT NULL) = '{pgha_a,pgha_c}'
                """)
    }
}
