import Glibc
import PGHAClient
import PGHACore
import Testing

@testable import PGHAAgent

extension AgentServerTests {
    @Test func divergedRowsAreSavedBeforeTheyAreRewound() async throws {
        try await withAgents(["n1", "n2"]) { rigs in
            let old = rigs[0]
            let new = rigs[1]
            try await self.pair(old, new)
            try await self.diverge(old, new)
            // A member whose acknowledgement counts is not rebuilt behind the controller's back.
            await #expect {
                try await old.client.rejoin(
                    RejoinRequest(
                        pledge: pledge(2), leader: new.upstream,
                        replicationName: ReplicationName(node: old.name, suffix: 6), mode: .startOnly))
            } throws: { ($0 as? AgentFailure)?.code == "rebuild_needed" }
            let result = try await old.rejoin(new, pledge(2), suffix: 7)
            #expect(result.method == "rewind")
            try await self.checkRejoined(old, new, saved: try #require(result.saved))
            // Again: nothing to do.
            #expect(try await old.rejoin(new, pledge(2), suffix: 7).method == "unchanged")
        }
    }

    @Test func aCrashedLeaderIsRecoveredRewoundAndFollows() async throws {
        try await withAgents(["n1", "n2"]) { rigs in
            let old = rigs[0]
            let new = rigs[1]
            try await self.pair(old, new)
            try await self.diverge(old, new, crash: true)
            let result = try await old.rejoin(new, pledge(2), suffix: 7)
            #expect(result.method == "rewind")
            try await self.checkRejoined(old, new, saved: try #require(result.saved))
        }
    }

    @Test func aHalfRewoundDirectoryIsCopiedAnewAndNeverLeads() async throws {
        try await withAgents(["n1", "n2"]) { rigs in
            let old = rigs[0]
            let new = rigs[1]
            try await self.pair(old, new)
            try await self.diverge(old, new)
            try DurableFile.write("x", to: old.directory + "/agent/rewinding", mode: 0o644)
            await #expect { try await old.client.startLeader(.init(pledge: pledge(2))) } throws: {
                ($0 as? AgentFailure)?.code == "half_rewound"
            }
            #expect(try await old.rejoin(new, pledge(2), suffix: 7).method == "clone")
            #expect(!DurableFile.exists(old.directory + "/data.old"))
            #expect(!DurableFile.exists(old.directory + "/agent/rewinding"))
        }
    }

    @Test func anotherClustersDataIsNeverTouched() async throws {
        try await withAgents(["n1", "n2"]) { rigs in
            _ = try await rigs[0].initialize(pledge(1))
            let other = try await rigs[1].initialize(pledge(1))
            await #expect { try await rigs[1].rejoin(rigs[0], pledge(2), suffix: 1) } throws: {
                ($0 as? AgentFailure)?.systemIdentifier == other.systemIdentifier
            }
            let facts = try await rigs[1].facts()
            #expect(facts.systemIdentifier == other.systemIdentifier && !facts.standbySignal)
            #expect(try await rigs[1].sql("SELECT pg_is_in_recovery()") == "f")
        }
    }

    @Test func aNewerFenceEndsACloneAndAKilledAgentsCloneIsBegunAnew() async throws {
        try await withAgents(["n1", "n2"]) { rigs in
            let leader = rigs[0]
            let node = rigs[1]
            _ = try await leader.initialize(pledge(1))
            let slow = Task { try await node.rejoin(leader, pledge(1), suffix: 1, maxRate: "32k") }
            try await node.eventually("the copy is under way") {
                DurableFile.exists(node.directory + "/data.new/PG_VERSION")
            }
            let began = ContinuousClock.now
            #expect(try await node.client.fence(FenceRequest(pledge: pledge(2), clean: false)).position == nil)
            // At 32 kB/s the copy takes a quarter of an hour.
            #expect(began.duration(to: .now) < .seconds(60))
            await #expect { try await slow.value } throws: { ($0 as? AgentFailure)?.code == "superseded" }
            #expect(ProcessTable.processes(mentioning: node.directory + "/data.new").isEmpty)
            // The agent dies in the next attempt; its pg_basebackup does not go on behind the next agent's back.
            let doomed = Task { try await node.rejoin(leader, pledge(2), suffix: 2, maxRate: "32k") }
            try await node.eventually("the copy is under way again") {
                DurableFile.exists(node.directory + "/data.new/PG_VERSION")
            }
            await node.killAgent()
            _ = await doomed.result
            try await node.launch()
            #expect(try await node.rejoin(leader, pledge(2), suffix: 3).method == "clone")
            #expect(try await node.sql("SELECT pg_is_in_recovery()") == "t")
            #expect(!DurableFile.exists(node.directory + "/data.new"))
        }
    }

    @Test func anOlderClaimsRejoinChangesNothing() async throws {
        try await withAgents(["n1", "n2"]) { rigs in
            let old = rigs[0]
            let new = rigs[1]
            try await self.pair(old, new)
            try await self.diverge(old, new)
            let outcome = await old.client.execute(
                .rejoin(
                    pledge(1), leader: new.name, name: ReplicationName(node: old.name, suffix: 5), mode: .rebuild),
                context: AgentCommandContext(server: old.server, upstreams: [new.name: new.upstream]))
            #expect(outcome == .failed(.refused(holding: pledge(2))))
            #expect(try DurableFile.list(old.directory + "/diverged").isEmpty)
        }
    }

    /// On one host the tablespace's own place is taken, on another it may be missing: the copy has its own.
    @Test func aServerWithTablespacesIsCopiedWithPlacesOfItsOwn() async throws {
        try await withAgents(["n1", "n2"]) { rigs in
            let leader = rigs[0]
            let node = rigs[1]
            _ = try await leader.initialize(pledge(1))
            let place = leader.directory + "/far=away"
            try DurableFile.makeDirectory(place)
            if geteuid() == 0 { try await leader.giveToServerUser(place) }
            // The leader stands behind the fence, and this statement can have no other before it.
            try await leader.sql("SET synchronous_commit = local; ALTER ROLE postgres SET synchronous_commit = local")
            try await leader.sql("CREATE TABLESPACE far LOCATION '\(place)'")
            try await leader.sql(
                "SET synchronous_commit = local; CREATE TABLE t (i int) TABLESPACE far; INSERT INTO t VALUES (1)")
            #expect(try await node.rejoin(leader, pledge(1), suffix: 1).method == "clone")
            try await leader.sql("SET synchronous_commit = local; INSERT INTO t VALUES (2)")
            try await node.eventually("the copy follows") {
                try await node.sql("SELECT string_agg(i::text, ',' ORDER BY i) FROM t") == "1,2"
            }
            let location = try await node.sql(
                "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'far'")
            #expect(location.hasPrefix(node.data + ".tablespaces/"))
            // A second copy replaces the first, with its tablespaces.
            _ = try await node.client.stop()
            try DurableFile.write("x", to: node.directory + "/agent/rewinding", mode: 0o644)
            #expect(try await node.rejoin(leader, pledge(1), suffix: 2).method == "clone")
            try await node.eventually("the second copy follows") { try await node.sql("SELECT count(*) FROM t") == "2" }
            try await node.eventually("the first one's tablespace is gone") { !DurableFile.exists(location) }
        }
    }

    @Test func savedWALIsRemovedAfterItsTime() async throws {
        try await withAgents(["n1"]) { rigs in
            let rig = rigs[0]
            _ = try await rig.initialize(pledge(1))
            let saved = rig.directory + "/diverged"
            for name in ["20200101T000000Z_n1_tl1", "20200102T000000Z_n1_tl1", "mine"] {
                try DurableFile.makeDirectory("\(saved)/\(name)")
                try DurableFile.write("x", to: "\(saved)/\(name)/summary.json")
                if geteuid() == 0 { try await rig.giveToServerUser("\(saved)/\(name)") }
            }
            var server = rig.server
            server.keepDivergedSeconds = 3600
            _ = try await rig.client.apply(SettingsRequest(server: server))
            try await rig.eventually("the older one is gone") {
                try DurableFile.list(saved) == ["20200102T000000Z_n1_tl1", "mine"]
            }
        }
    }

    // MARK: - Scenes

    /// `new` is a streaming clone of `old`.
    private func pair(_ old: AgentRig, _ new: AgentRig) async throws {
        _ = try await old.initialize(pledge(1))
        try await old.sql("SELECT pg_create_physical_replication_slot('pgha_n2', true)")
        try await old.sql("SET synchronous_commit = local; CREATE TABLE t (i int); INSERT INTO t VALUES (1)")
        #expect(try await new.rejoin(old, pledge(1), suffix: 1).method == "clone")
        #expect(try await new.sql("SHOW cluster_name") == "n2")
        #expect(try await new.sql("SHOW pgha.term") == pledge(1).description)
        try await old.eventually("the clone streams") {
            try await old.sql("SELECT state FROM pg_stat_replication WHERE application_name LIKE 'n2.%'") == "streaming"
        }
    }

    /// `old` commits alone and is fenced, `new` is promoted and commits.
    private func diverge(_ old: AgentRig, _ new: AgentRig, crash: Bool = false) async throws {
        try await new.sql("ALTER SYSTEM SET primary_conninfo = ''")
        try await new.sql("SELECT pg_reload_conf()")
        try await new.eventually("the receiver is gone") {
            try await new.sql("SELECT count(*) FROM pg_stat_wal_receiver") == "0"
        }
        try await old.sql("SET synchronous_commit = local; INSERT INTO t SELECT 600 FROM generate_series(1, 100)")
        if crash { kill(try #require(old.postmasterPID), SIGKILL) }
        _ = try await old.client.fence(FenceRequest(pledge: pledge(2), clean: !crash))
        try await new.sql("SELECT pg_promote()")
        try await new.sql("SET synchronous_commit = local; INSERT INTO t VALUES (2)")
    }

    private func checkKept(_ old: AgentRig, _ saved: String) async throws {
        let listed = try #require(try await old.client.diverged().first)
        let name = try #require(DivergedName(listed.name))
        #expect(listed.path == saved && listed.summary?.changes == nil)
        try await old.eventually("the facts name it") { try await old.facts().diverged == [listed.name] }
        let whole = try #require(try await old.client.diverged(name).summary)
        #expect(whole.term == Term(2) && whole.commits >= 1 && whole.complete)
        #expect(whole.changes?.first { $0.relation == "postgres.public.t" }?.inserted == 100)
        let transaction = try #require(whole.transactions?.first { !$0.changes.isEmpty })
        // By the clock of this host, in whatever zone its programs print.
        let committed = try #require(transaction.committed)
        #expect(abs(committed / 1_000_000 - listed.savedAt) < 600)
    }

    @Test func whatIsKeptIsDroppedByItsWholeNameOnly() async throws {
        try await withAgents(["n1"]) { rigs in
            let rig = rigs[0]
            let kept = "20200101T000000Z_n1_tl1"
            let path = "\(rig.directory)/diverged"
            for name in [kept, "mine"] {
                try DurableFile.makeDirectory("\(path)/\(name)")
                try DurableFile.write("x", to: "\(path)/\(name)/summary.json")
            }
            if geteuid() == 0 { try await rig.giveToServerUser(path) }
            #expect(try await rig.client.diverged().map(\.name) == [kept])
            let other = try #require(DivergedName("20200101T000000Z_n1_tl2"))
            await #expect { try await rig.client.dropDiverged(other) } throws: {
                ($0 as? AgentFailure)?.code == "unknown_diverged"
            }
            // Its summary cannot be read: it can be dropped nevertheless.
            #expect(try await rig.client.dropDiverged(try #require(DivergedName(kept))).summary == nil)
            #expect(try DurableFile.list(path) == ["mine"])
            #expect(try await rig.facts().diverged == nil)
        }
    }

    private func checkRejoined(_ old: AgentRig, _ new: AgentRig, saved: String) async throws {
        let summary = try #require(try DurableFile.read(saved + "/summary.json"))
        #expect(summary.contains("postgres.public.t"))
        #expect(try DurableFile.list(saved).contains { $0.utf8.count == 24 })
        try await self.checkKept(old, saved)
        try await old.eventually("it streams and has the new leader's rows only") {
            try await old.sql("SELECT string_agg(i::text, ',' ORDER BY i) FROM t") == "1,2"
        }
        #expect(try await old.sql("SHOW pgha.term") == pledge(2).description)
        #expect(try await old.sql("SHOW synchronous_standby_names") == SyncList.fence.setting)
        #expect(try await old.sql("SHOW cluster_name") == old.name.text)
        try await new.eventually("it is a named walsender") {
            try await new.sql("SELECT application_name FROM pg_stat_replication")
                == ReplicationName(node: old.name, suffix: 7).description
        }
        #expect(DurableFile.exists(old.data + "/standby.signal"))
    }
}
