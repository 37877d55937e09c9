import PGHAClient
import PGHACommand
import PGHACore
import Testing

@Suite struct StatusChangesTests {
    @Test func positionsAndAgesAreNoNews() throws {
        let old = try Sample.healthy()
        var new = old
        new.nodes[1].lsn = "16/B374D900"
        new.nodes[1].lagBytes = 17
        new.nodes[2].evidenceAgeMilliseconds = 7
        #expect(StatusChanges.lines(from: old, to: new).isEmpty)
    }

    @Test func aLostLeaderIsToldInTheOrderOfWhatMatters() throws {
        let lines = StatusChanges.lines(from: try Sample.healthy(), to: try Sample.degraded())
        try expectSnapshot(lines.rendered(colour: false), "changes-leader-lost.txt")
        let brief = StatusChanges.lines(from: try Sample.healthy(), to: try Sample.degraded(), brief: true)
        try expectSnapshot(brief.rendered(colour: false), "changes-leader-lost-brief.txt")
    }

    @Test func theProgressOfACloneIsOneState() throws {
        var old = try Sample.healthy()
        var new = old
        old.nodes[1].state = "clone from a"
        new.nodes[1].state = "clone from a: 46 %"
        #expect(StatusChanges.lines(from: old, to: new).isEmpty)
    }

    @Test func newNodesAndRemovedOnesAreTold() throws {
        var old = try Sample.healthy()
        var new = old
        old.nodes.removeLast()
        new.nodes.removeFirst()
        let lines = StatusChanges.lines(from: old, to: new).map { $0.rendered(colour: false) }
        #expect(lines == ["c: streaming", "a: removed"])
    }
}

@Suite struct OperationWatchTests {
    @Test func aNewLeaderIsDoneWhenItsTermIsInForce() throws {
        var watch = OperationWatch(.newLeader(after: 3, target: "b"))
        var report = try Sample.healthy()
        report.phase = "sealing"
        _ = watch.observe(report, at: .milliseconds(10))
        #expect(watch.outcome == .running)
        (report.phase, report.term, report.leader) = ("steady", 4, "b")
        _ = watch.observe(report, at: .milliseconds(120))
        #expect(watch.outcome == .done("b leads term 4"))
    }

    @Test func anotherLeaderThanTheOneNamedIsAFailure() throws {
        var watch = OperationWatch(.newLeader(after: 3, target: "b"))
        var report = try Sample.healthy()
        (report.term, report.leader) = (4, "c")
        _ = watch.observe(report, at: .milliseconds(120))
        #expect(watch.outcome == .failed("c leads term 4, not b"))
    }

    @Test func aProcedureThatEndsWithoutANewTermWasGivenUp() throws {
        var watch = OperationWatch(.newLeader(after: 3, target: nil))
        var report = try Sample.healthy()
        report.phase = "preparing"
        _ = watch.observe(report, at: .zero)
        report.phase = "steady"
        _ = watch.observe(report, at: .seconds(1))
        #expect(watch.outcome == .running)
        _ = watch.observe(report, at: .seconds(3))
        #expect(watch.outcome == .failed("it was given up; a still leads term 3"))
    }

    @Test func aClusterIsFormedWhenEveryStandbyCounts() throws {
        var watch = OperationWatch(.formed)
        var report = try Sample.healthy()
        report.nodes[2].sync = "observer"
        _ = watch.observe(report, at: .zero)
        #expect(watch.outcome == .running)
        report.nodes[2].nosync = true
        _ = watch.observe(report, at: .zero)
        #expect(watch.outcome == .done("a leads, 2 standbys stream"))
    }

    @Test func aRestartNeedsAnotherProcessInPlace() throws {
        var watch = OperationWatch(.restarted(before: ["b": 4711]))
        var report = try Sample.healthy()
        _ = watch.observe(report, at: .zero)
        #expect(watch.outcome == .running)
        report.nodes[1].postmasterPID = 4800
        _ = watch.observe(report, at: .zero)
        #expect(watch.outcome == .done("b restarted"))
    }

    @Test func aTimeOutSaysWhatIsMissing() throws {
        var watch = OperationWatch(.formed)
        _ = watch.observe(try Sample.degraded(), at: .zero)
        #expect(watch.obstacle == "phase sealing: c has not answered, a: stopped, c: unreachable")
    }
}
