import FoundationEssentials
import Glibc
import PGHAClient
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

/// Servers that hold what nobody else does.
extension RealClusters {
    @Suite struct RejoinTests {
        @Test func rowsThatNeverReachedAStandbyAreSavedBeforeTheyAreUndone() async throws {
            try await RealClusters.withCluster { cluster in
                let old = try await cluster.leader()
                let standbys = try await cluster.standbys()
                try await cluster.query("INSERT INTO ids VALUES (1, 'kept')", on: old)
                // The controller would put the receivers back at once.
                let controller = try #require(cluster.controllerPID)
                kill(controller, SIGSTOP)
                for standby in standbys {
                    try await cluster.query("ALTER SYSTEM SET primary_conninfo = ''", on: standby)
                    try await cluster.query("SELECT pg_reload_conf()", on: standby)
                    try await cluster.wait(
                        until: "NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walreceiver')",
                        on: standby)
                }
                let session = try await cluster.connect(old)
                for statement in [
                    "SET synchronous_commit = local", "CREATE TABLE only_here (id int)",
                    "INSERT INTO only_here SELECT generate_series(1, 500)", "INSERT INTO ids VALUES (2, 'diverged')",
                ] {
                    try await session.query(statement)
                }
                await session.close()
                cluster.killHost(old)
                kill(controller, SIGCONT)
                try await cluster.wait(for: "another leader") { $0.phase == "steady" && $0.leader != old.name.text }
                let new = try await cluster.leader()
                try await cluster.query("INSERT INTO ids VALUES (3, 'after')", on: new)
                let returned = ContinuousClock.now
                try cluster.startAgent(old)
                try await cluster.waitUntilComplete()
                print("diverged server back after \(ContinuousClock.now - returned)")

                try await cluster.wait(
                    until: "SELECT string_agg(id::text, ' ' ORDER BY id) = '1 3' FROM ids", on: old)
                for node in cluster.nodes {
                    #expect(try await cluster.value("SELECT to_regclass('only_here')::text AS value", on: node) == nil)
                }
                let saved = try FileManager.default.contentsOfDirectory(atPath: "\(old.directory)/diverged")
                #expect(saved.count == 1)
                let path = "\(old.directory)/diverged/\(try #require(saved.first))"
                let files = try FileManager.default.contentsOfDirectory(atPath: path)
                #expect(files.contains { $0.count == 24 })
                let summary = try #require(FileManager.default.contents(atPath: "\(path)/summary.json"))
                let text = String(decoding: summary, as: UTF8.self)
                print(text)
                let fields = try JSONDecoder().decode(DivergedSummary.self, from: summary)
                #expect(fields.commits >= 1)
                #expect(fields.bytes > 500)
                #expect(fields.relations.contains { $0.hasSuffix("public.ids") })
                // The new leader never had this one: the diverged server named it.
                #expect(fields.relations.contains("postgres.public.only_here"))
                #expect(!fields.relations.contains { $0.hasPrefix("file ") })
                try await self.checkIsShownAndDropped(fields, path: path, cluster)
            }
        }

        /// Over the controller, as `pgha diverged` does.
        private func checkIsShownAndDropped(
            _ summary: DivergedSummary, path: String, _ cluster: ScratchCluster
        ) async throws {
            let listed = try await cluster.client.diverged()
            #expect(listed.unknown == [] && listed.entries.map(\.summary) == [summary.brief])
            let name = try #require(listed.entries.first.flatMap { DivergedName($0.name) })
            #expect(try await cluster.client.diverged(name).summary == summary)
            #expect(summary.changes?.first { $0.relation == "postgres.public.only_here" }?.inserted == 500)
            #expect(summary.transactions?.contains { $0.changes.first?.inserted == 500 } == true)
            func history() async throws -> [HistoryReport.Entry] {
                try await cluster.client.history(limit: 500).entries.filter { $0.kind == "diverged" }
            }
            let deadline = ContinuousClock.now + .seconds(60)
            while try await history().isEmpty, ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(50))
            }
            let noted = try await history()
            #expect(noted.count == 1)
            #expect(noted.first?.detail.contains("postgres.public.only_here") == true)
            let other = DivergedName(node: name.node, timeline: name.timeline, savedAt: 0)
            await #expect {
                try await cluster.client.dropDiverged(other)
            } throws: { error in
                guard case .refused(let refusal) = error as? ControllerFailure else { return false }
                return refusal.code == "not_found"
            }
            await #expect {
                try await cluster.pgha("diverged", "drop", "\(name)")
            } throws: { "\($0)".contains("nothing was dropped") }
            #expect(FileManager.default.fileExists(atPath: path))
            try await cluster.pgha("diverged", "drop", "\(name)", "--yes")
            #expect(!FileManager.default.fileExists(atPath: path))
            #expect(try await cluster.client.diverged().entries == [])
            #expect(try await history().map(\.detail).first?.hasPrefix("\(name) was dropped as asked") == true)
        }

        @Test func aStandbyPromotedByHandIsSeenNeverCountedAndRebuiltOnRequestOnly() async throws {
            var options = ScratchCluster.Options()
            options.timings.standbyTimeout = .seconds(3)
            try await RealClusters.underLoad(options, changes: 0) { cluster, _ in
                let standby = try await cluster.standbys()[0]
                let name = standby.name.text
                let promoted = ContinuousClock.now
                try await cluster.query("SELECT pg_promote()", on: standby)
                try await cluster.wait(for: "the fork to show") { status in
                    status[name]?.state == "forked"
                        && status[name]?.problems.contains { $0.contains("pgha rejoin") } == true
                }
                print("forked is shown \(ContinuousClock.now - promoted) after pg_promote was called")
                try await cluster.wait(for: "the cohort without it") {
                    !$0.cohort.contains(name) && $0.phase == "steady"
                }
                // Left alone until somebody says so. A busy machine may be late with an answer, which is shown too.
                let postmaster = cluster.postmasterPID(standby)
                try await RealClusters.always(cluster, for: .seconds(2)) { status in
                    let state = status[name]?.state ?? "gone"
                    return ["forked", "unreachable", "no answer"].contains(state) ? nil : "\(name) is \(state)"
                }
                #expect(cluster.postmasterPID(standby) == postmaster)
                _ = try await cluster.client.rejoin(RejoinCommand(node: name))
                let status = try await cluster.waitUntilComplete()
                #expect(status.term == 1)
            }
        }
    }
}
