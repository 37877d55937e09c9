import PGHACore
import PGHAPooler
import PGHATesting
import Testing

@Suite("Statements that could not be sent", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct UnsentStatementTests {
    /// The server's end of the socket takes nothing any more, which nobody knows before something is written to it. What
    /// is at hand is sent again, and of the rest it is certain that nothing was run.
    @Test(arguments: [(1, false), (1, true), (20_000, false), (20_000, true)])
    func aStatementThatCouldNotBeSentIsAnswered(size: Int, isPrepared: Bool) async throws {
        let server = try await ScratchPostgres.start()
        try await server.query("CREATE TABLE t (a int, b text)")
        let relay = try Relay(to: UInt16(server.port), in: server.socketDirectory)
        let rig = try await PoolerRig.start(server: server) { $0.resolvesCommits = true }
        let node = PoolTopology.Node(name: rig.node.name, host: server.socketDirectory, port: relay.port)
        rig.pooler.apply(PoolTopology(term: Term(2), leader: node))
        let client = try rig.client()
        client.send {
            $0.parse("i", "INSERT INTO t VALUES ($1, $2)")
            $0.sync()
        }
        #expect(try client.answers() == ["1", "Z:I"])
        let filler = String(repeating: "x", count: size)
        func insert(_ id: Int) throws -> [String] {
            guard isPrepared else { return try client.query("INSERT INTO t VALUES (\(id), '\(filler)')") }
            return try self.run(client, ["\(id)", filler])
        }
        #expect(try insert(1) == ["C:INSERT 0 1", "Z:I"])
        relay.closeEars()
        let isAtHand = size < 8192
        #expect(try insert(2) == (isAtHand ? ["C:INSERT 0 1", "Z:I"] : ["E:40001", "Z:I"]))
        #expect(try insert(3) == ["C:INSERT 0 1", "Z:I"])
        let rows = try client.value("SELECT string_agg(a::text, ',' ORDER BY a) FROM t")
        #expect(rows == (isAtHand ? "1,2,3" : "1,3"))
    }

    private func run(_ client: RawClient, _ values: [String]) throws -> [String] {
        client.send {
            $0.bind("i", values)
            $0.execute()
            $0.sync()
        }
        return try client.answers().filter { $0 != "2" }
    }
}
