import Glibc
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

@Suite(.serialized, .enabled(if: ScratchPostgres.unavailable == nil, "needs PostgreSQL's server programs"))
struct ProbeTests {
    @Test func aPrimaryAndItsStandbyAreSeenAsTheyAre() async throws {
        let cluster = try await ScratchCluster.start()
        let standby = cluster.standbys[0]
        try await cluster.primary.query("SELECT pg_create_physical_replication_slot('pgha_b', true)")
        try await cluster.primary.query("ALTER SYSTEM SET max_connections = 50")
        let probe = ServerProbe(cluster.primary.parameters(user: "pgha", password: "control"))
        let seen = try await probe.observe(timeout: .seconds(20)).get()
        #expect(!seen.inRecovery)
        #expect(seen.timeline == TimelineID(1))
        #expect(seen.senders.map(\.applicationName) == ["b"])
        #expect(seen.senders.map(\.state) == ["streaming"])
        #expect(seen.slots.map(\.name) == ["pgha_b"])
        #expect(seen.pledge == nil)
        #expect(seen.pendingRestart == [])
        #expect(seen.receiver == nil)
        try await cluster.primary.query("SELECT pg_reload_conf()")
        try await cluster.primary.wait(until: "EXISTS (SELECT FROM pg_settings WHERE pending_restart)")
        #expect(try await probe.observe(timeout: .seconds(20)).get().pendingRestart == ["max_connections"])
        #expect(try await probe.observe(timeout: .seconds(20)).get().pendingRestart == ["max_connections"])
        let other = ServerProbe(standby.parameters(user: "pgha", password: "control"))
        let behind = try await other.observe(timeout: .seconds(20)).get()
        #expect(behind.inRecovery)
        #expect(behind.systemIdentifier == seen.systemIdentifier)
        #expect(behind.postmasterStart != seen.postmasterStart)
        #expect(behind.receiver?.status == "streaming")
        #expect(behind.receiver?.senderPort == cluster.primary.port)
        #expect(behind.syncNames == SyncList.fence.setting)
        #expect(behind.replayed != nil)
        #expect(behind.senders == [])
    }

    @Test func aPromotedServerShowsItsNewTimelineAtOnce() async throws {
        let cluster = try await ScratchCluster.start()
        let standby = cluster.standbys[0]
        let probe = ServerProbe(standby.parameters(user: "pgha", password: "control"))
        _ = await probe.observe(timeout: .seconds(20))
        try await standby.query("SELECT pg_promote()")
        let seen = try await probe.observe(timeout: .seconds(20)).get()
        #expect(!seen.inRecovery)
        #expect(seen.timeline == TimelineID(2))
    }

    @Test func aLostSessionIsReportedAtOnceAndOpenedAgain() async throws {
        let server = try await ScratchPostgres.start()
        let probe = ServerProbe(server.parameters())
        var losses = probe.losses.makeAsyncIterator()
        _ = try await probe.observe(timeout: .seconds(20)).get()
        try await server.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgha' AND pid <> pg_backend_pid()"
        )
        #expect(await losses.next() != nil)
        #expect(try await probe.observe(timeout: .seconds(20)).get().inRecovery == false)
        server.kill()
        #expect(await losses.next() != nil)
        #expect(await probe.observe(timeout: .seconds(20)) == .failure(.refused))
        await probe.close()
        #expect(await losses.next() == nil)
    }

    @Test func aFullServerIsAlive() async throws {
        var options = ScratchPostgres.Options()
        options.maxConnections = 5
        let server = try await ScratchPostgres.start(options)
        try await server.query("CREATE ROLE plain LOGIN")
        let parameters = server.parameters(user: "plain")
        // Three of the five are for superusers. The session that made the role may take a moment to end.
        var sessions: [PostgresConnection] = []
        let deadline = ContinuousClock.now + .seconds(30)
        while sessions.count < 2, ContinuousClock.now < deadline {
            if let session = try? await PostgresConnection.open(parameters) { sessions.append(session) }
        }
        let failure = await ServerProbe(parameters).observe(timeout: .seconds(20))
        guard case .failure(.aliveBut(let code, _)) = failure else {
            Issue.record("\(failure)")
            return
        }
        #expect(code == "53300")
        #expect(sessions.count == 2)
    }

    @Test func aRoleWithoutRightsGivesNoObservation() async throws {
        let cluster = try await ScratchCluster.start()
        try await cluster.primary.query("CREATE ROLE blind LOGIN")
        let result = await ServerProbe(cluster.primary.parameters(user: "blind")).observe(timeout: .seconds(20))
        guard case .failure(.undecodable) = result else {
            Issue.record("\(result)")
            return
        }
    }

    @Test func aServerThatStartsUpIsAlive() async throws {
        var options = ScratchPostgres.Options()
        options.settings = ["hot_standby": "off"]
        let server = try await ScratchPostgres.start(options)
        try await server.stop()
        try server.write("standby.signal", "")
        try server.launchWithoutWaiting()
        let probe = ServerProbe(server.parameters())
        var result = await probe.observe(timeout: .seconds(20))
        let deadline = ContinuousClock.now + .seconds(30)
        while result == .failure(.refused), ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
            result = await probe.observe(timeout: .seconds(20))
        }
        #expect(result == .failure(.startingUp))
    }

    @Test func aFrozenServerDoesNotAnswer() async throws {
        let server = try await ScratchPostgres.start()
        let probe = ServerProbe(server.parameters())
        _ = try await probe.observe(timeout: .seconds(20)).get()
        server.freeze()
        defer { server.thaw() }
        let began = ContinuousClock.now
        #expect(await probe.observe(timeout: .milliseconds(100)) == .failure(.timedOut))
        #expect(await probe.observe(timeout: .milliseconds(100)) == .failure(.timedOut))
        // It would not answer for as long as it is frozen; a busy machine may take its time.
        #expect(ContinuousClock.now - began < .seconds(30))
    }

    @Test func anOddPledgeIsNotTakenForNone() async throws {
        var options = ScratchPostgres.Options()
        options.settings = ["pgha.term": "five"]
        let server = try await ScratchPostgres.start(options)
        let result = await ServerProbe(server.parameters()).observe(timeout: .seconds(20))
        guard case .failure(.undecodable) = result else {
            Issue.record("\(result)")
            return
        }
    }
}
