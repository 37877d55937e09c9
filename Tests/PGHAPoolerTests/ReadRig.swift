import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting
import PGHAWire
import Testing

/// A primary and its standbys behind a pooler with both ports, where `SELECT current_setting('port')` counts as a read:
/// its answer says which server ran it.
struct ReadRig {
    let primary: ScratchPostgres
    let standbys: [ScratchPostgres]
    let rig: PoolerRig

    static let port = "SELECT current_setting('port')"
    /// The port of the server that answers. `server` takes longer for it than it takes a busy machine to see it at work;
    /// others do not.
    static func sleepsOn(_ server: ScratchPostgres) -> String {
        let time = "CASE current_setting('port') WHEN '\(server.port)' THEN 60 ELSE 0 END"
        return "SELECT current_setting('port') FROM (SELECT pg_sleep(\(time))) x"
    }

    static var configuration: PoolerConfiguration {
        var configuration = PoolerConfiguration()
        configuration.listeners = [
            .init(host: "127.0.0.1", port: 0), .init(host: "127.0.0.1", port: 0, role: .read),
        ]
        configuration.limits.poolSize = 4
        configuration.authentication.rules = .trust
        configuration.console.administrators = ["postgres"]
        configuration.split.isOn = true
        configuration.split.standbyFunctions = ["current_setting"]
        // Long enough for a busy machine; a test that wants to see the end of it says so.
        configuration.reads.catchUp = .seconds(8)
        return configuration
    }

    /// Takes changed settings over.
    func reload(_ configure: (inout PoolerConfiguration) -> Void) async throws {
        var configuration = Self.configuration
        configure(&configuration)
        try self.rig.pooler.reload(configuration)
        _ = await self.rig.pooler.statistics()
    }

    static func start(
        standbys names: [String] = ["s"], settings: [String: String] = [:],
        _ configure: (inout PoolerConfiguration) -> Void = { _ in }
    ) async throws -> ReadRig {
        let primary = try await ScratchPostgres.start()
        var standbys: [ScratchPostgres] = []
        for name in names {
            standbys.append(try await ScratchPostgres.standby(of: primary, name: name, settings: settings))
        }
        let rig = try await PoolerRig.start(server: primary, poolSize: 4) { configuration in
            configuration = Self.configuration
            configure(&configuration)
        }
        let result = ReadRig(primary: primary, standbys: standbys, rig: rig)
        await result.apply()
        return result
    }

    static func node(
        _ name: String, _ server: ScratchPostgres, lag: UInt64 = 0, zone: String? = nil
    ) -> PoolTopology.Node {
        PoolTopology.Node(
            name: NodeName(name)!, host: server.socketDirectory, port: UInt16(server.port), lagBytes: lag,
            lagSeconds: 0, zone: zone)
    }

    /// All standbys, or those given; taken over when it returns.
    func apply(
        term: UInt64 = 1, leader: (String, ScratchPostgres)? = nil, standbys: [PoolTopology.Node]? = nil
    ) async {
        let leader = leader ?? ("a", self.primary)
        let all = self.standbys.enumerated().map { Self.node("s\($0.offset)", $0.element) }
        self.rig.pooler.apply(
            PoolTopology(
                term: Term(term), leader: Self.node(leader.0, leader.1), standbys: standbys ?? all))
        _ = await self.rig.pooler.statistics()
    }

    func writer() throws -> RawClient { try self.rig.client() }
    func reader(_ settings: [(String, String)] = []) throws -> RawClient {
        try RawClient.logIn(port: self.rig.pooler.ports[1], settings)
    }

    var primaryPort: String { "\(self.primary.port)" }
    func standbyPort(_ index: Int = 0) -> String { "\(self.standbys[index].port)" }

    /// Has all that the primary has.
    func replayed(_ index: Int = 0) async throws {
        let position = try await self.primary.query("SELECT pg_current_wal_flush_lsn()::text AS p")[0].string("p")
        try await self.standbys[index].wait(until: "pg_last_wal_replay_lsn() >= '\(position)'")
    }

    /// Of all pools of one server; nil: of the leader's.
    func sum(_ standby: String?, _ value: (PoolerStatistics.Pool) -> UInt64) async -> UInt64 {
        await self.rig.pooler.statistics().pools.filter { $0.key.standby == standby }.reduce(0) { $0 + value($1) }
    }
}
