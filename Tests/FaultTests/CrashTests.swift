import Glibc
import PGHAClient
import PGHACore
import PGHATesting
import Testing

/// Processes that end, and files that are gone.
extension Faults {
    @Suite struct CrashTests {
        @Test func s01_aKilledPrimaryWithoutCandidatesIsRestartedInPlaceAndItsStandbysReturnAtOnce() async throws {
            try await Drill.run("1", changes: 0) { drill in
                let leader = try await drill.leader()
                try await drill.forbidPromotion(of: drill.standbys())
                let before = try await drill.cluster.status()
                let killed = ContinuousClock.now
                drill.cluster.killPostmaster(leader)
                try await drill.cluster.wait(until: "NOT pg_is_in_recovery()", on: leader)
                let accepting = ContinuousClock.now
                try await drill.cluster.wait(
                    until: "(SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming') = 2", on: leader)
                let streaming = ContinuousClock.now - accepting
                let first = try await drill.firstCommit(after: accepting)
                drill.say(
                    "restarted in place: connections after \(accepting - killed), both standbys \(streaming) later, "
                        + "first commit after \(first.acknowledged - killed)")
                // wal_retrieve_retry_interval at its default of 5 s would show here.
                #expect(streaming < .seconds(4))
                let after = try await drill.complete()
                // Started again under its own rule, or chosen again in the next term: never promoted.
                #expect(after.leader == leader.name.text)
                #expect(after[leader.name.text]?.timeline == before[leader.name.text]?.timeline)
            }
        }

        @Test func s02_s18_aKilledPrimaryIsReplacedByOnePromotionEachTime() async throws {
            var options = Drill.options
            options.timings.failoverInterval = .milliseconds(100)
            try await Drill.run("2 and 18", options, changes: 5) { drill in
                for round in 1...5 {
                    let old = try await drill.leader()
                    let killed = ContinuousClock.now
                    drill.cluster.killPostmaster(old)
                    try await drill.gap(
                        "postmaster killed, round \(round)", since: killed, notBy: old, limit: .milliseconds(300))
                    let status = try await drill.complete()
                    #expect(status.term == UInt64(round) + 1)
                    #expect(try await drill.promotions(in: status.term) == 1)
                }
            }
        }

        @Test func s03_aPrimaryThatCannotStartIsReplacedAndItsDirectoryIsKept() async throws {
            try await Drill.run("3", changes: 1) { drill in
                let old = try await drill.leader()
                #expect(unlink("\(old.directory)/data/global/pg_control") == 0)
                let killed = ContinuousClock.now
                drill.cluster.killPostmaster(old)
                try await drill.gap("killed and pg_control is gone", since: killed, notBy: old)
                _ = try await drill.complete()
                drill.say("complete again after \(ContinuousClock.now - killed)")
                let kept = try await drill.cluster.shell(
                    "ls -d \(old.directory)/*/PG_VERSION \(old.directory)/*/*/PG_VERSION || true")
                drill.say("directories: \(kept.split(separator: "\n").joined(separator: " "))")
                // The new one and the one that cannot be read.
                #expect(kept.split(separator: "\n").count { !$0.contains("/base/") } >= 2)
            }
        }

        @Test func s12_thePrimaryAndTheOnlyCaughtUpStandbyDieAndTheOtherIsNotPromoted() async throws {
            try await Drill.run("12", changes: 0) { drill in
                let leader = try await drill.leader()
                let standbys = try await drill.standbys()
                let behind = standbys[1]
                try await drill.cluster.cut(.node(leader), from: .node(behind))
                _ = try await drill.nextAck()
                try await Task.sleep(for: .seconds(1))
                _ = try await drill.nextAck()
                drill.cluster.killHost(standbys[0])
                drill.cluster.killHost(leader)
                try await drill.cluster.wait(for: "the refusal's reason") { $0.waitingFor != nil }
                try await drill.always(for: 10) { status in
                    status.leader == behind.name.text
                        ? "\(behind.name) was promoted without the acknowledged commits" : nil
                }
                drill.say("refused: \(try await drill.cluster.status().waitingFor ?? "")")
                try drill.start(leader, standbys[0])
                _ = try await drill.nextAck()
            }
        }

        @Test func s15_aCandidateKilledHalfWayIsReplacedOrResumed() async throws {
            try await Drill.run("15") { drill in
                let old = try await drill.leader()
                let began = ContinuousClock.now
                drill.cluster.killPostmaster(old)
                var victim: ScratchCluster.Node?
                while victim == nil, ContinuousClock.now - began < .seconds(20) {
                    if let topology = try? await drill.cluster.client.topology(), let name = topology.successor {
                        victim = try drill.cluster.node(name)
                    }
                }
                let candidate = try #require(victim)
                drill.cluster.killHost(candidate)
                drill.say("\(candidate.name) killed \(ContinuousClock.now - began) after its predecessor")
                let first = try await drill.gap(
                    "candidate killed half way", since: ContinuousClock.now, notBy: candidate)
                try drill.start(candidate)
                let status = try await drill.complete()
                #expect(status.nodes.count { $0.role == "primary" } == 1)
                drill.say("\(first.node) leads in term \(status.term)")
            }
        }

        /// Controller and one server killed at the same point of a procedure.
        @Test(arguments: [("after-promote:1", true), ("during-promote:1", true), ("during-follow:1", false)])
        func s19_aServerKilledInTheMiddleOfAFailoverIsFinishedByTheNextController(
            point: String, successor: Bool
        ) async throws {
            try await Drill.run("19 (\(point))") { drill in
                drill.cluster.killController()
                try drill.cluster.startController(environment: ["PGHA_TEST_EXIT_AFTER": point])
                _ = try await drill.complete()
                let old = try await drill.leader()
                let standbys = try await drill.standbys()
                try await drill.prefer(standbys[0])
                let killed = ContinuousClock.now
                drill.cluster.killHost(old)
                try await drill.cluster.waitForControllerExit()
                let victim = standbys[successor ? 0 : 1]
                drill.cluster.killHost(victim)
                try drill.cluster.startController()
                try drill.start(old)
                // With a follower lost as well, the only other copy is the old leader, which must be rewound first, and is
                // not while a rule counts it.
                if !successor { try drill.start(victim) }
                let first = try await drill.firstCommit(after: killed)
                drill.say(
                    "\(victim.name) killed too: first commit on \(first.node) after \(first.acknowledged - killed)")
                if successor { try drill.start(victim) }
                _ = try await drill.complete()
            }
        }

        @Test func s20_aNewPrimaryKilledAtItsFirstCommitHasLostNothing() async throws {
            var options = Drill.options
            options.timings.failoverInterval = .milliseconds(100)
            try await Drill.run("20", options) { drill in
                for round in 1...3 {
                    let old = try await drill.leader()
                    let killed = ContinuousClock.now
                    drill.cluster.killHost(old)
                    let first = try await drill.gap("round \(round)", since: killed, notBy: old)
                    let new = try drill.cluster.node(first.node.text)
                    let again = ContinuousClock.now
                    drill.cluster.killHost(new)
                    try drill.start(old)
                    let third = try? await drill.gap(
                        "its successor killed at once", since: again, notBy: new, timeout: .seconds(20))
                    #expect(third != nil)
                    try drill.start(new)
                    _ = try await drill.complete()
                }
            }
        }

        @Test func s21_withoutAControllerServiceGoesOnAndThePrimaryIsReplacedWhenItReturns() async throws {
            try await Drill.run("21", changes: 1) { drill in
                let old = try await drill.leader()
                drill.cluster.killController()
                let alone = ContinuousClock.now
                try await Task.sleep(for: .seconds(20))
                drill.say("20 s without a controller: longest time without a commit \(drill.longestGap(since: alone))")
                _ = try await drill.nextAck(within: .seconds(5))
                let killed = ContinuousClock.now
                drill.cluster.killPostmaster(old)
                try await Task.sleep(for: .seconds(3))
                let back = ContinuousClock.now
                try drill.cluster.startController()
                // Backends of a dead postmaster may answer for some milliseconds, with their copies made.
                let first = try await drill.recorder.waitForAck(after: killed, notBy: old.name)
                drill.say(
                    "primary killed meanwhile: first commit on \(first.node) \(first.acknowledged - back) after its return"
                )
            }
        }

        @Test func s21_theControllerAndThePrimaryKilledTogetherRecoverWhenTheControllerReturns() async throws {
            try await Drill.run("21 (together)", changes: 1) { drill in
                let old = try await drill.leader()
                drill.cluster.killController()
                drill.cluster.killHost(old)
                let back = ContinuousClock.now
                try drill.cluster.startController()
                try await drill.gap("controller and primary killed together", since: back, notBy: old)
                try drill.start(old)
            }
        }

        @Test func s26_afterAPowerLossTheServerWithoutTheNewestCommitsWaitsForTheOthers() async throws {
            try await Drill.run("26") { drill in
                let leader = try await drill.leader()
                let standbys = try await drill.standbys()
                try await drill.cluster.cut(.node(leader), from: .node(standbys[1]))
                _ = try await drill.nextAck()
                try await Task.sleep(for: .seconds(1))
                _ = try await drill.nextAck()
                drill.cluster.killController()
                for node in drill.cluster.nodes { drill.cluster.killHost(node) }
                try await drill.cluster.mendNetwork()
                try drill.cluster.startController()
                try drill.start(standbys[1])
                try await drill.cluster.wait(for: "the wait to be explained") { $0.waitingFor != nil || $0.atRisk }
                try await drill.always(for: 8) { status in
                    status.leader != leader.name.text || status.nodes.contains { $0.role == "primary" }
                        ? "\(standbys[1].name) alone is not enough" : nil
                }
                try drill.start(standbys[0])
                let second = ContinuousClock.now
                let first = try await drill.firstCommit(after: second)
                drill.say(
                    "first commit on \(first.node) \(first.acknowledged - second) after the second server came back")
                #expect(first.node != standbys[1].name)
                try drill.start(leader)
            }
        }

        @Test func s27_aRestartInPlaceThatPassesEveryTimeoutIsNoDeadlock() async throws {
            try await Drill.run("27") { drill in
                let leader = try await drill.leader()
                try await drill.forbidPromotion(of: drill.standbys())
                let before = try #require(drill.cluster.postmasterPID(leader))
                let killed = ContinuousClock.now
                drill.cluster.killPostmaster(leader)
                while ContinuousClock.now - killed < .seconds(20) {
                    if let pid = drill.cluster.postmasterPID(leader), pid != before { break }
                    usleep(200)
                }
                let stopped = drill.cluster.serverPIDs(leader)
                for pid in stopped { kill(pid, SIGSTOP) }
                let frozen = ContinuousClock.now
                try await Task.sleep(for: .seconds(12))
                for pid in stopped { kill(pid, SIGCONT) }
                let first = try await drill.firstCommit(after: frozen)
                drill.say(
                    "frozen for 12 s in its recovery: first commit on \(first.node) after \(first.acknowledged - killed)"
                )
            }
        }

        @Test func s28_veryShortDetectionStillEndsInAFailover() async throws {
            var options = Drill.options
            options.timings.probeInterval = .milliseconds(50)
            options.timings.confirmAfter = .milliseconds(150)
            options.timings.failoverInterval = .milliseconds(100)
            try await Drill.run("28", options) { drill in
                for round in 1...3 {
                    let old = try await drill.leader()
                    let killed = ContinuousClock.now
                    drill.cluster.killHost(old)
                    try await drill.gap("round \(round)", since: killed, notBy: old)
                    try drill.start(old)
                    _ = try await drill.complete()
                }
            }
        }
    }
}
