import PGHACore
import Testing

@Suite("What is known of a commit whose server was lost") struct CommitDoubtTests {
    private let doubt = CommitDoubt(transaction: 700, end: LSN(1000), term: Term(3))

    private func topology(_ term: UInt64, claim: UInt64? = nil, _ terms: [(UInt64, UInt64?)]) -> PoolTopology {
        PoolTopology(
            term: Term(term), leader: .init(name: NodeName("b")!, host: "b", port: 5432), claim: claim.map { Term($0) },
            terms: terms.map { .init(term: Term($0.0), fork: $0.1.map { LSN($0) }) })
    }

    @Test func nothingIsSaidBeforeTheNextTermIsOpen() {
        #expect(self.doubt.verdict(self.topology(3, [(3, nil)])) == nil)
        #expect(self.doubt.verdict(self.topology(3, claim: 4, [(3, nil), (4, 900)])) == nil)
        #expect(self.doubt.verdict(.unknown) == nil)
    }

    @Test func theForkDecides() {
        #expect(self.doubt.verdict(self.topology(4, [(2, nil), (3, 10), (4, 1001)])) == .askLeader)
        // The commit's record begins at 1000 or behind: the new leader has nothing from there on.
        #expect(self.doubt.verdict(self.topology(4, [(3, 10), (4, 1000)])) == .notCommitted)
        // Claims that came to nothing use up terms.
        #expect(self.doubt.verdict(self.topology(6, [(3, 10), (6, 1001)])) == .askLeader)
    }

    @Test func withoutOneForkBehindItsTermNothingIsClaimed() {
        #expect(self.doubt.verdict(self.topology(4, [(3, 10), (4, nil)])) == .unknown)
        #expect(self.doubt.verdict(self.topology(4, [(4, 1001)])) == .unknown)
        #expect(self.doubt.verdict(self.topology(5, [(3, 10), (4, 1001), (5, 1200)])) == .unknown)
        #expect(self.doubt.verdict(self.topology(5, [(3, 10), (4, 1001)])) == .unknown)
        #expect(self.doubt.verdict(self.topology(4, [])) == .unknown)
    }

    @Test func onlyPromotionsThatNobodyForcedHaveForks() {
        func line(_ term: UInt64, _ timeline: UInt32, _ fork: UInt64?) -> RecordedTimeline {
            RecordedTimeline(term: Term(term), timeline: TimelineID(timeline), fork: fork.map { LSN($0) })
        }
        let timelines = [
            line(1, 1, nil), line(2, 2, 100), line(3, 2, 100), line(5, 3, 300), line(6, 4, 400), line(7, 0, 500),
        ]
        let starts = timelines.termStarts(forced: Term(6))
        #expect(starts.map(\.term.number) == [1, 2, 3, 5, 6, 7])
        #expect(starts.map(\.fork) == [nil, LSN(100), nil, LSN(300), nil, nil])
    }
}
