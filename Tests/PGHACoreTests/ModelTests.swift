import PGHACore
import Testing

@Suite struct ModelTests {
    @Test(arguments: [("0/0", 0), ("16/B374D848", 0x16_B374_D848), ("FFFFFFFF/FFFFFFFF", UInt64.max)])
    func aPositionIsReadAsPostgreSQLPrintsIt(text: String, offset: UInt64) {
        #expect(LSN(text)?.byteOffset == offset)
        #expect(LSN(offset).description == text)
    }

    @Test(arguments: ["", "0", "/", "0/", "0/1/2", "0/G", "123456789/0", "-1/0", " 0/0"])
    func whatIsNoPositionIsRefused(text: String) { #expect(LSN(text) == nil) }

    @Test func bytesAheadNeverGoBelowZero() {
        #expect(LSN(10).bytesAhead(of: LSN(4)) == 6)
        #expect(LSN(4).bytesAhead(of: LSN(10)) == 0)
    }

    @Test func aPledgeSurvivesItsText() {
        let pledge = rule("a", ["a", "b"], copies: 2, term: 9, version: 3, nonce: 0xAB).pledge
        #expect(pledge.description == "9.3/00000000000000ab")
        #expect(Pledge(pledge.description) == pledge)
    }

    @Test(arguments: ["", "1/0", "1.0/ab", "1/00000000000000ab", "a.0/00000000000000ab"])
    func whatIsNoPledgeIsRefused(text: String) { #expect(Pledge(text) == nil) }

    @Test func aPledgeGivesWayToALaterTermAndToItsOwnClaimOnly() {
        let held = rule("a", ["a"], copies: 1, term: 5, version: 2, nonce: 1).pledge
        func other(_ term: UInt64, _ version: UInt32, _ nonce: UInt64) -> Pledge {
            rule("a", ["a"], copies: 1, term: term, version: version, nonce: nonce).pledge
        }
        #expect(held.mayBecome(other(6, 0, 9)))
        #expect(held.mayBecome(other(5, 2, 1)))
        #expect(held.mayBecome(other(5, 3, 1)))
        #expect(!held.mayBecome(other(5, 1, 1)))
        #expect(!held.mayBecome(other(5, 3, 9)))
        #expect(!held.mayBecome(other(4, 9, 1)))
    }

    @Test func aHistoryFileIsParsedWithItsCommentsAndRefusedWhenTorn() {
        let text = "1\t0/5000\tno recovery target specified\n\n# a comment\n2\t0/9000\treason\n"
        let history = TimelineHistory(timeline: TimelineID(3), fileContent: text)
        #expect(history?.forks.map(\.at) == [LSN(0x5000), LSN(0x9000)])
        #expect(TimelineHistory(timeline: TimelineID(2), fileContent: "1\t") == nil)
    }

    @Test func historiesDivergeAtTheFirstForkThatOneOfThemLacks() {
        let one = position(end: 0).history
        let two = position([(1, 100)], on: 2, end: 0).history
        let other = position([(1, 80)], on: 2, end: 0).history
        #expect(one.divergence(from: one) == nil)
        #expect(one.divergence(from: two) == LSN(100))
        #expect(two.divergence(from: other) == LSN(80))
    }

    @Test(arguments: [(3, 2, 2), (5, 3, 3), (2, 1, 2), (4, 4, 1)])
    func asManyFollowersAreReadAsLeaveNoRoomForADurableCommit(cohort: Int, copies: Int, needed: Int) {
        let names = (0..<cohort).map { "n\($0)" }
        #expect(rule("n0", names, copies: copies).followersToDiscover == needed)
    }

    @Test func aRuleNamesWhatItMisses() {
        let rule = rule("a", ["a", "b", "c"], copies: 2)
        var evidence = SealEvidence()
        #expect(
            rule.missing(evidence, chosen: nil, at: at(0)) == [
                .notFenced(unsealed: [node("b"), node("c")]),
                .notDiscovered(unread: [node("b"), node("c")], needed: 2),
            ])
        #expect(rule.missing(evidence, chosen: node("a"), at: at(0)) == [])
        evidence.sealed = [node("b"), node("c")]
        evidence.read = [node("b")]
        #expect(
            rule.missing(evidence, chosen: node("b"), at: at(0)) == [.notDiscovered(unread: [node("c")], needed: 1)])
        evidence.read = [node("b"), node("c")]
        #expect(rule.missing(evidence, chosen: node("b"), at: at(0)) == [])
    }

    @Test func aLeaderThatWasSealedAsAStandbyIsFencedAndRead() {
        let rule = rule("a", ["a", "b", "c"], copies: 2)
        var evidence = SealEvidence()
        evidence.sealed = [node("a")]
        evidence.read = [node("a")]
        #expect(rule.missing(evidence, chosen: node("b"), at: at(0)) == [])
    }

    @Test func theListFencesWhenTooFewNamesAreKnown() {
        let rule = rule("a", ["a", "b", "c"], copies: 2)
        let name = ReplicationName(node: node("b"), suffix: 1)
        #expect(SyncList(rule, names: [:]) == .fence)
        #expect(SyncList(rule, names: [node("b"): name]).setting == "ANY 1 (\"b.0000000000000001\")")
        #expect(SyncList.marked(1, [name]).setting == "FIRST 1 (pgha_marker, \"b.0000000000000001\")")
        #expect(
            SyncList(PGHACore.Rule(number: rule.number, nonce: 1, leader: node("a"), cohort: [], copies: 1), names: [:])
                .setting == "")
    }
}

@Suite struct AncestryTests {
    private let a = node("a"), b = node("b"), c = node("c")

    @Test func aLaterTermOutranksALongerTail() {
        let ancestry = Ancestry([
            RecordedTimeline(term: Term(1), timeline: TimelineID(1), fork: nil),
            RecordedTimeline(term: Term(2), timeline: TimelineID(2), fork: LSN(100)),
        ])
        #expect(
            ancestry.rank(position(end: 900), of: self.a)
                < ancestry.rank(position([(1, 100)], on: 2, end: 120), of: self.b))
    }

    @Test func aTimelineThatNoTermExplainsCountsUpToItsFork() {
        let ancestry = Ancestry([RecordedTimeline(term: Term(1), timeline: TimelineID(1), fork: nil)])
        #expect(ancestry.rank(position([(1, 100)], on: 2, end: 900), of: self.a) == .init(term: Term(1), end: LSN(100)))
    }

    /// b's branch was never opened; a leads on in place under term 3 and acknowledges beyond it.
    @Test func aBranchThatALaterTermDidNotContinueStaysBehind() {
        let ancestry = Ancestry([
            RecordedTimeline(term: Term(1), timeline: TimelineID(1), fork: nil),
            RecordedTimeline(term: Term(2), timeline: TimelineID(2), fork: LSN(100)),
            RecordedTimeline(term: Term(3), timeline: TimelineID(1), fork: nil, start: LSN(120)),
        ])
        #expect(
            ancestry.rank(position([(1, 100)], on: 2, end: 900), of: self.b)
                < ancestry.rank(position(end: 130), of: self.a))
    }

    @Test func anEqualTimelineIdOfAnotherPromotionIsNotBelieved() {
        let ancestry = Ancestry([
            RecordedTimeline(term: Term(1), timeline: TimelineID(1), fork: nil),
            RecordedTimeline(term: Term(2), timeline: TimelineID(2), fork: LSN(100), holders: [self.a, self.c]),
        ])
        let there = position([(1, 100)], on: 2, end: 200)
        #expect(ancestry.rank(there, of: self.b) == .init(term: Term(1), end: LSN(100)))
        #expect(ancestry.rank(there, of: self.c) == .init(term: Term(2), end: LSN(200)))
        #expect(!ancestry.canFollow(self.b, at: there, leader: self.a, at: position([(1, 100)], on: 2, end: 300)))
        #expect(ancestry.canFollow(self.c, at: there, leader: self.a, at: position([(1, 100)], on: 2, end: 300)))
    }

    @Test func aServerBeyondTheForkCannotFollow() {
        let ancestry = Ancestry([])
        let leader = position([(1, 100)], on: 2, end: 300)
        #expect(ancestry.canFollow(self.b, at: position(end: 100), leader: self.a, at: leader))
        #expect(!ancestry.canFollow(self.b, at: position(end: 101), leader: self.a, at: leader))
    }

    @Test func aNewLeaderLetsGoOfTimelinesThatItIsNotOn() {
        var timelines = [
            RecordedTimeline(term: Term(2), timeline: TimelineID(2), fork: LSN(100), holders: [self.a, self.b])
        ]
        timelines.lead(self.b, from: position(end: 100))
        timelines.follow(self.b, [self.a])
        #expect(timelines[0].holders == [])
    }
}
