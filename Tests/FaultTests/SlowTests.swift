import Glibc
import PGHAClient
import PGHACore
import PGHATesting
import Testing

/// What is there and does not work as it should: stopped processes, clocks, full and bad disks, waiting replay.
extension Faults {
    @Suite struct SlowTests {
        @Test func s14_aStandbyWhoseReplayIsPausedIsNotPromoted() async throws {
            try await Drill.run("14", changes: 1) { drill in
                let old = try await drill.leader()
                let standbys = try await drill.standbys()
                try await drill.prefer(standbys[0])
                try await drill.cluster.query("SELECT pg_wal_replay_pause()", on: standbys[0])
                try await drill.cluster.wait(until: "pg_get_wal_replay_pause_state() = 'paused'", on: standbys[0])
                try await drill.cluster.wait(for: "the pause to be seen", timeout: .seconds(10)) { status in
                    status[standbys[0].name.text]?.problems.isEmpty == false
                        || status[standbys[0].name.text]?.state != "streaming"
                }
                let killed = ContinuousClock.now
                drill.cluster.killHost(old)
                let first = try await drill.gap("the preferred one is paused", since: killed, notBy: old)
                withKnownIssue("a seal resumes a paused replay, and its standby is a candidate like any other") {
                    #expect(first.node == standbys[1].name)
                }
                try drill.start(old)
                _ = try? await drill.cluster.query("SELECT pg_wal_replay_resume()", on: standbys[0])
            }
        }

        /// A stopped receiver neither acknowledges nor goes away: its standby is not sealed until it has.
        @Test func s29_aStandbyWithAStoppedReceiverIsNotTakenForSealed() async throws {
            try await Drill.run("29", changes: 1) { drill in
                let old = try await drill.leader()
                let standby = try await drill.standbys()[0]
                let receiver = try #require(try await drill.process("walreceiver", on: standby))
                kill(receiver, SIGSTOP)
                _ = try await drill.nextAck()
                let killed = ContinuousClock.now
                drill.cluster.killHost(old)
                let early = try? await drill.recorder.waitForAck(after: killed, notBy: old.name, timeout: .seconds(4))
                kill(receiver, SIGCONT)
                let thawed = ContinuousClock.now
                let first = try await drill.gap("a receiver stopped for 4 s", since: killed, notBy: old)
                drill.say(
                    early == nil ? "after it went on: \(first.acknowledged - thawed)" : "its standby was not needed")
                try drill.start(old)
            }
        }

        /// Its checkpointer is what tells a new primary's backends of `synchronous_standby_names`.
        @Test func aNewPrimaryWithAStoppedCheckpointerAcknowledgesNothingAlone() async throws {
            try await Drill.run("slow disk", changes: 1) { drill in
                let old = try await drill.leader()
                var stopped: [Int32] = []
                for standby in try await drill.standbys() {
                    stopped.append(try #require(try await drill.process("checkpointer", on: standby)))
                    if let writer = try await drill.process("background writer", on: standby) { stopped.append(writer) }
                }
                for pid in stopped { kill(pid, SIGSTOP) }
                let killed = ContinuousClock.now
                drill.cluster.killHost(old)
                let early = try? await drill.recorder.waitForAck(after: killed, notBy: old.name, timeout: .seconds(5))
                for pid in stopped { kill(pid, SIGCONT) }
                try await drill.gap(
                    early == nil ? "checkpointers stopped for 5 s" : "checkpointers stopped", since: killed, notBy: old)
                try drill.start(old)
            }
        }

        @Test func aPrimaryWhoseWALWriterIsStoppedStaysOrIsReplacedAndLosesNothing() async throws {
            try await Drill.run("slow disk (primary)") { drill in
                let leader = try await drill.leader()
                var stopped: [Int32] = []
                for kind in ["checkpointer", "walwriter", "background writer"] {
                    if let pid = try await drill.process(kind, on: leader) { stopped.append(pid) }
                }
                let began = ContinuousClock.now
                for pid in stopped { kill(pid, SIGSTOP) }
                try await Task.sleep(for: .seconds(8))
                for pid in stopped { kill(pid, SIGCONT) }
                drill.say("writers stopped for 8 s: longest time without a commit \(drill.longestGap(since: began))")
                #expect(try await drill.complete().term == 1)
            }
        }

        @Test func aSteppedClockChangesNothing() async throws {
            var options = Drill.options
            let clock = try await SteppedClock.make()
            defer { clock.remove() }
            options.environment = clock.environment
            try await Drill.run("clock", options, changes: 1) { drill in
                let old = try await drill.leader()
                for seconds in [3600, -3600, 86_400, 0] {
                    try clock.step(to: seconds)
                    let stepped = ContinuousClock.now
                    try await drill.always(for: 5) { status in
                        status.term == 1 && status.phase == "steady" ? nil : "term \(status.term), \(status.phase)"
                    }
                    drill.say(
                        "clock \(seconds) s off: longest time without a commit \(drill.longestGap(since: stepped))")
                }
                try clock.step(to: -7200)
                let killed = ContinuousClock.now
                drill.cluster.killHost(old)
                try await drill.gap("killed with the clock two hours behind", since: killed, notBy: old)
                try drill.start(old)
            }
        }

        @Test(.enabled(if: ScratchCluster.hasSmallDisks, "a volume of its own needs root and the right to mount"))
        func s25_aFullDiskOfAStandbyIsSaidAndCostsNothing() async throws {
            var options = Drill.options
            options.smallDiskMiB = 220
            options.postgres = ["min_wal_size": "32MB", "max_wal_size": "48MB", "wal_recycle": "off"]
            try await Drill.run("25 (standby)", options) { drill in
                let full = drill.cluster.nodes[0]
                if try await drill.leader().name == full.name {
                    _ = try await drill.cluster.client.switchover(SwitchoverCommand())
                    try await drill.cluster.wait(for: "another leader") { $0.leader != full.name.text }
                    _ = try await drill.complete()
                }
                let before = try await drill.cluster.status()
                try await drill.cluster.fillDisk(full)
                let filled = ContinuousClock.now
                let leader = try await drill.leader()
                let fill = """
                    INSERT INTO ids SELECT least(0, (SELECT min(id) FROM ids)) - g, repeat('x', 200)
                    FROM generate_series(1, 20000) AS g
                    """
                for _ in 0..<6 { try await drill.cluster.query(fill, on: leader, timeout: .seconds(60)) }
                try await drill.cluster.wait(for: "the full disk to be said", timeout: .seconds(40)) { status in
                    status[full.name.text].map { $0.state != "streaming" || !$0.problems.isEmpty } == true
                }
                let problems = try await drill.cluster.status()[full.name.text]?.problems ?? []
                drill.say("full standby: \(problems); longest time without a commit \(drill.longestGap(since: filled))")
                _ = try await drill.nextAck(within: .seconds(15))
                #expect(try await drill.cluster.status().term == before.term)
                try await drill.cluster.emptyDisk(full)
            }
        }

        @Test func s25_aBadPageIsAnErrorToItsReadersAndIsNotReplicated() async throws {
            try await Drill.run("25 (checksum)", changes: 1) { drill in
                let old = try await drill.leader()
                try await drill.cluster.query(
                    "CREATE TABLE bad AS SELECT g FROM generate_series(1, 1000) AS g", on: old)
                let path = try #require(
                    try await drill.cluster.value("SELECT pg_relation_filepath('bad') AS value", on: old))
                try await drill.cluster.query("CHECKPOINT", on: old)
                // Out of the buffers: the page must be read again.
                drill.cluster.killPostmaster(old)
                try await drill.cluster.shell(
                    "printf 'not a page' | dd of=\(old.directory)/data/\(path) bs=1 seek=9000 conv=notrunc")
                try await drill.gap("postmaster killed", since: .now, notBy: old)
                _ = try await drill.complete()
                let rows = try await drill.cluster.value("SELECT count(*)::text AS value FROM bad", on: drill.leader())
                #expect(rows == "1000")
                let failure = await Result(catching: {
                    try await drill.cluster.value("SELECT count(*)::text AS value FROM bad", on: old)
                })
                drill.say("read on the server with the bad page: \(failure)")
            }
        }
    }
}

extension Result where Failure == any Error {
    init(catching body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
