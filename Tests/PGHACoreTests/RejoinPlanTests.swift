import PGHACore
import Testing

@Suite struct RejoinPlanTests {
    /// `forks` are (parent, switch point).
    private func position(_ timeline: UInt32, _ forks: [(UInt32, UInt64)] = [], end: UInt64) -> WALPosition {
        WALPosition(
            history: TimelineHistory(
                timeline: TimelineID(timeline),
                forks: forks.map { .init(parent: TimelineID($0.0), at: LSN($0.1)) }),
            end: LSN(end))
    }

    private func plan(_ local: WALPosition, _ leader: WALPosition) -> RejoinPlan {
        RejoinPlan(
            local: RejoinLocal(systemIdentifier: 7, position: local),
            leader: RejoinLeader(systemIdentifier: 7, position: leader))
    }

    @Test func anEmptyDirectoryIsCloned() {
        let leader = RejoinLeader(systemIdentifier: 7, position: self.position(1, end: 500))
        #expect(RejoinPlan(local: nil, leader: leader) == .clone(.noData, savingFrom: nil))
    }

    @Test func anotherClustersDataIsRefused() {
        let here = self.position(1, end: 100)
        let plan = RejoinPlan(
            local: RejoinLocal(systemIdentifier: 8, position: here),
            leader: RejoinLeader(systemIdentifier: 7, position: here))
        #expect(plan == .refuse(foreign: 8))
    }

    @Test func ancestorsFollow() {
        // Same timeline, behind or level.
        #expect(self.plan(self.position(1, end: 400), self.position(1, end: 500)) == .follow)
        #expect(self.plan(self.position(1, end: 500), self.position(1, end: 500)) == .follow)
        // The leader went on to timeline 2 at or after the local end.
        #expect(self.plan(self.position(1, end: 300), self.position(2, [(1, 300)], end: 900)) == .follow)
        #expect(self.plan(self.position(1, end: 299), self.position(2, [(1, 300)], end: 900)) == .follow)
        // Two switches ahead.
        #expect(
            self.plan(self.position(2, [(1, 300)], end: 350), self.position(3, [(1, 300), (2, 400)], end: 900))
                == .follow)
    }

    @Test func walPastTheLeadersForkIsRewound() {
        #expect(
            self.plan(self.position(1, end: 301), self.position(2, [(1, 300)], end: 900)) == .rewind(from: LSN(300)))
        #expect(
            self.plan(self.position(2, [(1, 300)], end: 401), self.position(3, [(1, 300), (2, 400)], end: 900))
                == .rewind(from: LSN(400)))
    }

    @Test func aTimelineThatTheLeaderNeverHadIsRewoundFromItsBeginning() {
        #expect(
            self.plan(self.position(2, [(1, 300)], end: 350), self.position(3, [(1, 280)], end: 900))
                == .rewind(from: LSN(280)))
        #expect(
            self.plan(self.position(2, [(1, 300)], end: 350), self.position(1, end: 900)) == .rewind(from: LSN(300)))
        #expect(
            self.plan(self.position(3, [(1, 250)], end: 350), self.position(2, [(1, 300)], end: 900))
                == .rewind(from: LSN(250)))
    }

    @Test func oneTimelineIDWithTwoBeginningsIsCloned() {
        #expect(
            self.plan(self.position(2, [(1, 300)], end: 350), self.position(2, [(1, 320)], end: 900))
                == .clone(.sameIDOtherBeginning, savingFrom: LSN(300)))
        #expect(
            self.plan(self.position(2, [(1, 320)], end: 350), self.position(2, [(1, 300)], end: 900))
                == .clone(.sameIDOtherBeginning, savingFrom: LSN(300)))
    }

    @Test func anEndPastTheLeadersOnTheSameTimelineIsCloned() {
        #expect(
            self.plan(self.position(1, end: 501), self.position(1, end: 500))
                == .clone(.aheadOnSameTimeline, savingFrom: LSN(500)))
    }
}
