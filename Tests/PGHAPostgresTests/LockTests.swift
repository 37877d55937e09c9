import Glibc
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

@Suite(.serialized, .enabled(if: ScratchPostgres.unavailable == nil, "needs PostgreSQL's server programs"))
struct LockTests {
    /// A session that holds the node lock under `claim`, as another controller's would.
    private func holder(_ claim: Claim, on server: ScratchPostgres) async throws -> PostgresConnection {
        var parameters = server.parameters(user: "pgha", password: "control")
        parameters.applicationName = "pgha/\(claim)"
        let session = try await PostgresConnection.open(parameters)
        try await session.query("SELECT pg_advisory_lock((1885825121::bigint << 32) | 1)")
        return session
    }

    @Test func anOlderHolderIsEndedAndANewerOneIsNot() async throws {
        let cluster = try await ScratchCluster.start()
        let standby = cluster.standbys[0]
        let b = control(standby, "b")
        for earlier in [claim(1), claim(4, 8), claim(5)] {
            let older = try await self.holder(earlier, on: standby)
            #expect(await b.execute(.seal(pledge(5))).sealed != nil, "\(earlier)")
            let ended = await postgresError { () throws(PostgresError) in try await older.query("SELECT 1") }
            #expect(ended?.kind == .reset, "\(String(describing: ended))")
        }
        for later in [claim(6), claim(5, 9)] {
            let newer = try await self.holder(later, on: standby)
            #expect(await b.execute(.seal(pledge(5))) == .failed(.locked), "\(later)")
            #expect(try await newer.query("SELECT 1 AS one").count == 1)
            await newer.close()
            try await standby.wait(until: "NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')")
        }
        let foreign = try await standby.connect()
        try await foreign.query("SELECT pg_advisory_lock((1885825121::bigint << 32) | 1)")
        #expect(await b.execute(.seal(pledge(5))) == .failed(.locked))
    }

    @Test func aStoppedHolderMeansNotSealed() async throws {
        let cluster = try await ScratchCluster.start()
        let older = try await self.holder(claim(1), on: cluster.standbys[0])
        let pid = await older.backendPID
        kill(pid, SIGSTOP)
        let b = control(cluster.standbys[0], "b")
        #expect(await b.execute(.seal(pledge(2))) == .failed(.locked))
        kill(pid, SIGCONT)
        #expect(await b.execute(.seal(pledge(2))).sealed != nil)
    }

    @Test func theLockIsFreeBetweenCommands() async throws {
        let cluster = try await ScratchCluster.start()
        let b = control(cluster.standbys[0], "b")
        #expect(await b.execute(.seal(pledge(2))).sealed != nil)
        let locks = "NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')"
        try await cluster.standbys[0].wait(until: locks)
        #expect(await b.execute(.seal(pledge(1))) == .failed(.refused(holding: pledge(2))))
        try await cluster.standbys[0].wait(until: locks)
    }

    @Test func olderClaimsAndOtherNoncesAreRefused() async throws {
        let cluster = try await ScratchCluster.start()
        let b = control(cluster.standbys[0], "b")
        let other = control(cluster.standbys[0], "b")
        #expect(await b.execute(.seal(pledge(4))).sealed != nil)
        let refused = NodeOutcome.failed(.refused(holding: pledge(4)))
        for stale in [pledge(3), pledge(4, 8)] {
            #expect(await other.execute(.seal(stale)) == refused)
            #expect(await other.execute(.readPosition(stale)) == refused)
            #expect(await other.execute(.promote(stale)) == refused)
            #expect(await other.execute(.setSyncList(stale, .none)) == refused)
            let follow = NodeCommand.follow(stale, leader: name("a"), name: ReplicationName(node: name("b"), suffix: 1))
            #expect(await other.execute(follow, upstream: cluster.upstream(cluster.primary)) == refused)
            #expect(await other.execute(.readSenders(stale)) == refused)
        }
        // A promotion is for exactly the pledge that the server holds.
        #expect(await other.execute(.promote(pledge(5))) == refused)
        #expect(await other.execute(.seal(pledge(5))).sealed != nil)
        #expect(await b.execute(.readPosition(pledge(4))) == .failed(.refused(holding: pledge(5))))
    }

    @Test func aPledgeSurvivesARestartAndSessionsDoNotHideIt() async throws {
        let server = try await ScratchPostgres.start()
        try await installControl(on: server)
        let a = control(server, "a")
        // The same session declares the setting, writes it, and has to see what others write later.
        guard case .reclaimed = await a.execute(.reclaim(pledge(1))) else {
            Issue.record("not reclaimed")
            return
        }
        guard case .reclaimed = await control(server, "a").execute(.reclaim(pledge(3))) else {
            Issue.record("not reclaimed")
            return
        }
        #expect(await a.execute(.reclaim(pledge(2))) == .failed(.refused(holding: pledge(3))))
        try await server.stop()
        try await server.launch()
        #expect(await a.execute(.reclaim(pledge(2))) == .failed(.refused(holding: pledge(3))))
    }

    @Test func anotherClustersServerIsNotTouched() async throws {
        let cluster = try await ScratchCluster.start()
        let found = try await cluster.primary.query("SELECT system_identifier FROM pg_control_system()")[0]
            .int64("system_identifier")
        let wrong = control(cluster.standbys[0], "b", identifier: 1)
        #expect(await wrong.execute(.seal(pledge(9))) == .failed(.foreignCluster(UInt64(bitPattern: found))))
        #expect(await wrong.execute(.checkpoint) == .failed(.foreignCluster(UInt64(bitPattern: found))))
        #expect(cluster.standbys[0].read("postgresql.auto.conf")?.contains("pgha.term") == false)
        let right = control(cluster.standbys[0], "b", identifier: UInt64(bitPattern: found))
        #expect(await right.execute(.seal(pledge(9))).sealed != nil)
    }
}
