import Glibc
import PGHAClient
import PGHACore
import PGHAPostgres
import PGHATesting
import Testing

/// Links that are down and paths that lose everything.
extension Faults {
    @Suite struct NetworkTests {
        @Test func s04_aHostThatVanishesIsReplacedThreeTimes() async throws {
            var options = Drill.options
            options.timings.failoverInterval = .milliseconds(100)
            try await Drill.run("4", options, changes: 3) { drill in
                for round in 1...3 {
                    let old = try await drill.leader()
                    let cut = ContinuousClock.now
                    try await drill.cluster.setLink(old, up: false)
                    let first = try await drill.gap(
                        "link down, round \(round)", since: cut, notBy: old, limit: .seconds(2))
                    try await drill.cluster.setLink(old, up: true)
                    _ = try await drill.complete()
                    drill.expectSilence(of: old, after: first)
                }
            }
        }

        @Test func s04_aFrozenHostIsReplacedThreeTimes() async throws {
            var options = Drill.options
            options.timings.failoverInterval = .milliseconds(100)
            try await Drill.run("4 (frozen)", options, changes: 3) { drill in
                for round in 1...3 {
                    let old = try await drill.leader()
                    let frozen = ContinuousClock.now
                    drill.cluster.signalHost(old, SIGSTOP)
                    let first = try await drill.gap(
                        "frozen, round \(round)", since: frozen, notBy: old, limit: .seconds(2))
                    drill.cluster.signalHost(old, SIGCONT)
                    _ = try await drill.complete()
                    drill.expectSilence(of: old, after: first)
                }
            }
        }

        @Test func s05_theMostAdvancedStandbyWinsAlthoughAnotherIsPreferred() async throws {
            try await Drill.run("5", changes: 1) { drill in
                let leader = try await drill.leader()
                let standbys = try await drill.standbys()
                try await drill.prefer(standbys[0])
                try await drill.cluster.cut(.node(leader), from: .node(standbys[0]))
                try await Task.sleep(for: .seconds(1))
                _ = try await drill.nextAck()
                let killed = ContinuousClock.now
                drill.cluster.killHost(leader)
                let first = try await drill.gap("the preferred one is behind", since: killed, notBy: leader)
                #expect(first.node == standbys[1].name)
                try await drill.cluster.mendNetwork()
                try drill.start(leader)
            }
        }

        @Test func s06_aPrimaryThawedAfterAMinuteAcknowledgesNothingAndRejoins() async throws {
            try await Drill.run("6", changes: 1) { drill in
                let old = try await drill.leader()
                let frozen = ContinuousClock.now
                drill.cluster.signalHost(old, SIGSTOP)
                let first = try await drill.gap("frozen", since: frozen, notBy: old, limit: .seconds(2))
                try await Task.sleep(for: .seconds(60) - (ContinuousClock.now - frozen))
                let thawed = ContinuousClock.now
                drill.cluster.signalHost(old, SIGCONT)
                _ = try await drill.complete()
                drill.say("thawed after 60 s: streams again after \(ContinuousClock.now - thawed)")
                drill.expectSilence(of: old, after: first)
            }
        }

        @Test func s07_s09_aPrimaryCutOffForAMinuteAcknowledgesNothingToClientsInside() async throws {
            try await Drill.run("7 and 9", changes: 1) { drill in
                let old = try await drill.leader()
                let cut = ContinuousClock.now
                try await drill.cluster.setLink(old, up: false)
                let alone = ContinuousClock.now
                let first = try await drill.gap("cut off", since: cut, notBy: old, limit: .seconds(2))
                try await Task.sleep(for: .seconds(60) - (ContinuousClock.now - cut))
                // One that a standby had flushed may have been on its way.
                let late = drill.recorder.all.filter { $0.node == old.name && $0.sent > alone }
                #expect(late.isEmpty, "\(old.name) acknowledged \(late.count) commits while it was alone")
                let mended = ContinuousClock.now
                try await drill.cluster.setLink(old, up: true)
                _ = try await drill.complete()
                drill.say("back after 60 s: streams again after \(ContinuousClock.now - mended)")
                drill.expectSilence(of: old, after: first)
                // The commit that waited inside was flushed there, and nowhere else.
                let saved = try await drill.cluster.shell("ls \(old.directory)/diverged | wc -l")
                #expect(saved != "0")
            }
        }

        /// Its connections are never closed: the controller must notice by itself that nobody will answer.
        @Test func aHostThatVanishesInTheMiddleOfItsRejoinIsAskedAgain() async throws {
            try await Drill.run("rejoin", changes: 1) { drill in
                let old = try await drill.leader()
                let killed = ContinuousClock.now
                drill.cluster.killHost(old)
                try await drill.gap("killed", since: killed, notBy: old)
                try drill.start(old)
                while !drill.cluster.log("agent-\(old.name).log").contains("work=rejoin") {
                    try #require(ContinuousClock.now - killed < .seconds(60))
                    try await Task.sleep(for: .milliseconds(5))
                }
                try await drill.cluster.setLink(old, up: false)
                drill.cluster.killHost(old)
                try await Task.sleep(for: .seconds(1))
                try await drill.cluster.setLink(old, up: true)
                let back = ContinuousClock.now
                try drill.start(old)
                _ = try await drill.complete()
                drill.say("streams \(ContinuousClock.now - back) after its return")
            }
        }

        /// P5: with `quorum` nothing is demoted because of the controller, for as long as a standby's word is taken
        /// (`veto_max`, 10 s by default: after that nobody has seen a fresh session of the leader).
        @Test(arguments: ["both ways", "what the primary sends", "what the controller sends"])
        func s10_s11_aPrimaryThatOnlyTheControllerDoesNotSeeStays(lost: String) async throws {
            var options = Drill.options
            options.timings.vetoMax = .seconds(60)
            try await Drill.run("10 and 11 (\(lost))", options, changes: 0) { drill in
                let leader = try await drill.leader()
                if lost != "what the controller sends" {
                    try await drill.cluster.loseEverything(from: .node(leader), to: .controller)
                }
                if lost != "what the primary sends" {
                    try await drill.cluster.loseEverything(from: .controller, to: .node(leader))
                }
                let cut = ContinuousClock.now
                try await drill.cluster.wait(for: "the doubt to be said") { $0.verdict.hasPrefix("inconclusive") }
                drill.say("inconclusive after \(ContinuousClock.now - cut)")
                try await drill.always(for: 20) { status in
                    if status.term != 1 || status.leader != leader.name.text { return "term \(status.term)" }
                    return status.verdict.hasPrefix("replace") ? status.verdict : nil
                }
                drill.say("longest time without a commit \(drill.longestGap(since: cut))")
                _ = try await drill.nextAck(within: .seconds(5))
            }
        }

        @Test func s13_aPrimaryWithoutItsStandbysDoesNotHangForEver() async throws {
            var options = Drill.options
            options.timings.standbyTimeout = .seconds(3)
            try await Drill.run("13", options) { drill in
                let leader = try await drill.leader()
                let cut = ContinuousClock.now
                for standby in try await drill.standbys() {
                    try await drill.cluster.cut(.node(leader), from: .node(standby))
                }
                let alone = ContinuousClock.now
                let first = try? await drill.firstCommit(after: alone, timeout: .seconds(40))
                let status = try await drill.cluster.status()
                drill.say(
                    "\(first.map { "commits again on \($0.node) after \($0.acknowledged - cut)" } ?? "no commit for 40 s"); "
                        + "term \(status.term), at risk: \(status.atRiskReason ?? "no")")
                #expect(first != nil)
                try await drill.cluster.mendNetwork()
                _ = try await drill.complete()
            }
        }

        /// The same timeline id for two histories, chosen apart.
        @Test func s17_aForkWithTheTimelineOfTheNextTermIsSeenAndRebuiltOnRequest() async throws {
            try await Drill.run("17 (forks)", changes: 1) { drill in
                let old = try await drill.leader()
                let standbys = try await drill.standbys()
                let fork = standbys[0]
                let controller = try #require(drill.cluster.controllerPID)
                kill(controller, SIGSTOP)
                try await drill.cluster.setLink(fork, up: false)
                let session = try await PostgresSession.inside(drill.cluster, fork)
                _ = try await session.query("SELECT pg_promote()", timeout: .seconds(30))
                await session.close()
                let killed = ContinuousClock.now
                kill(controller, SIGCONT)
                _ = try await drill.cluster.client.failover(FailoverCommand(target: standbys[1].name.text))
                try await drill.cluster.setLink(fork, up: true)
                try await drill.gap("failover beside a fork of the same timeline id", since: killed, notBy: old)
                // Stopped and rebuilt as a member of the failover, or found afterwards and left to an operator.
                let seen = try await drill.cluster.wait(for: "the fork to be dealt with", timeout: .seconds(90)) {
                    ["forked", "streaming"].contains($0[fork.name.text]?.state) && $0.phase == "steady"
                }
                let state = seen[fork.name.text]?.state ?? ""
                drill.say("the fork is \(state), the leader on timeline \(seen[standbys[1].name.text]?.timeline ?? 0)")
                #expect(seen.leader == standbys[1].name.text)
                if state == "forked" {
                    _ = try await drill.cluster.client.rejoin(RejoinCommand(node: fork.name.text))
                }
                _ = try await drill.complete()
            }
        }

        @Test func s30_twoServersWithTheControllerCutFromEither() async throws {
            var options = Drill.options
            options.nodes = 2
            options.onStandbyLoss = .degrade
            options.timings.standbyTimeout = .seconds(2)
            try await Drill.run("30 (cut)", options, changes: 0) { drill in
                let leader = try await drill.leader()
                let standby = try await drill.standbys()[0]
                for node in [standby, leader] {
                    try await drill.cluster.cut(.controller, from: .node(node))
                    let cut = ContinuousClock.now
                    try await drill.always(for: 6) { status in
                        status.leader == leader.name.text ? nil : "\(status.leader ?? "nobody") leads"
                    }
                    _ = try await drill.nextAck(within: .seconds(5))
                    drill.say(
                        "controller cut from \(node.name): longest time without a commit \(drill.longestGap(since: cut))"
                    )
                    try await drill.cluster.mendNetwork()
                    _ = try await drill.complete()
                }
            }
        }

        @Test func s30_twoServersWithTheControllerAndTheStandbyLostTogether() async throws {
            var options = Drill.options
            options.nodes = 2
            options.onStandbyLoss = .degrade
            options.timings.standbyTimeout = .seconds(2)
            try await Drill.run("30 (together)", options, changes: 0) { drill in
                let standby = try await drill.standbys()[0]
                drill.cluster.killController()
                drill.cluster.killHost(standby)
                let alone = ContinuousClock.now
                try await Task.sleep(for: .seconds(5))
                let late = drill.recorder.all.filter { $0.sent > alone }
                #expect(late.isEmpty, "with one copy, and nobody allowed it")
                let back = ContinuousClock.now
                try drill.cluster.startController()
                let first = try await drill.recorder.waitForAck(after: back, notBy: standby.name)
                drill.say("one copy, allowed by the store, \(first.acknowledged - back) after the controller's return")
                try drill.start(standby)
                _ = try await drill.complete()
            }
        }
    }
}
