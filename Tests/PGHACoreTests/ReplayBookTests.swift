import PGHACore
import Testing

@Suite("A session sees what it wrote") struct ReplayBookTests {
    private let a = NodeName("a")!
    private let b = NodeName("b")!

    private func book(term: UInt64 = 1) -> ReplayBook {
        var book = ReplayBook()
        book.begin(Term(term))
        return book
    }

    @Test func theFirstSampleAskedForAfterTheAnswerBoundsAWrite() {
        var book = self.book()
        var session = CausalSession()
        #expect(session.need(book) == .nothing)
        let early = book.ask()
        session.wrote(book)
        book.answered(early, LSN(10))
        // What was asked for before the commit was answered may be in front of it.
        #expect(session.need(book) == .sample(early + 1))
        let late = book.ask()
        #expect(session.need(book) == .sample(late))
        book.answered(late, LSN(20))
        book.answered(book.ask(), LSN(30))
        #expect(session.need(book) == .position(LSN(20)))
        session.wrote(book)
        #expect(session.need(book) == .sample(late + 2))
    }

    @Test func aLateSessionTakesTheOldestSampleThatIsKept() {
        var book = self.book()
        var session = CausalSession()
        session.wrote(book)
        for position in 1...100 { book.answered(book.ask(), LSN(UInt64(position))) }
        guard case .position(let position) = session.need(book) else { return #expect(Bool(false)) }
        #expect(position > LSN(1) && position < LSN(100))
        #expect(book.furthest == LSN(100))
    }

    @Test func answersOutOfOrderAreNotTaken() {
        var book = self.book()
        let (first, second) = (book.ask(), book.ask())
        book.answered(second, LSN(20))
        book.answered(first, LSN(10))
        #expect(book.bound(first) == LSN(20))
    }

    @Test func positionsOfOneLifeOnlyGrow() {
        var book = self.book()
        book.replayed(self.a, LSN(20))
        book.replayed(self.a, LSN(10))
        #expect(book.hasReplayed(self.a, LSN(20)))
        #expect(!book.hasReplayed(self.a, LSN(21)))
        #expect(!book.hasReplayed(self.b, LSN(0)))
        book.forget(self.a)
        #expect(!book.hasReplayed(self.a, LSN(1)))
    }

    @Test func underANewLeaderEverythingIsAskedAnew() {
        var book = self.book()
        var session = CausalSession()
        session.wrote(book)
        book.answered(book.ask(), LSN(1000))
        #expect(session.need(book) == .position(LSN(1000)))
        book.replayed(self.a, LSN(2000))
        book.begin(Term(2))
        // A standby of the old history may be behind the fork, numbers or not.
        #expect(!book.hasReplayed(self.a, LSN(1)))
        let number = book.nextSample
        #expect(session.need(book) == .sample(number))
        // What was acknowledged is in the new leader's WAL, which may end earlier than the old one's did.
        book.answered(book.ask(), LSN(900))
        #expect(session.need(book) == .position(LSN(900)))
    }

    @Test func aSampleOfAnOldTermBoundsNothing() {
        var book = self.book()
        var session = CausalSession()
        session.wrote(book)
        _ = book.ask()
        book.begin(Term(2))
        book.begin(Term(2))
        #expect(session.need(book) == .sample(2))
    }

    @Test func aTokenCountsAsItIsOnceTheLeaderIsThere() {
        var book = self.book()
        var session = CausalSession()
        session.demand(LSN(50), book)
        #expect(session.need(book) == .sample(1))
        book.answered(book.ask(), LSN(60))
        #expect(session.need(book) == .position(LSN(50)))
        // Known to be reached, so that the next session need not ask.
        var next = CausalSession()
        next.demand(LSN(55), book)
        #expect(next.need(book) == .position(LSN(55)))
        next.demand(nil, book)
        #expect(next.need(book) == .nothing)
    }

    @Test func aTokenOfWALThatNobodyHasIsWorthWhatTheLeaderHas() {
        var book = self.book()
        var session = CausalSession()
        book.answered(book.ask(), LSN(40))
        session.demand(LSN(50), book)
        // The known sample may just be old.
        #expect(session.need(book) == .sample(2))
        book.answered(book.ask(), LSN(45))
        #expect(session.need(book) == .position(LSN(45)))
        book.answered(book.ask(), LSN(70))
        #expect(session.need(book) == .position(LSN(50)))
    }

    @Test func aTokenAndWritesBothCount() {
        var book = self.book()
        var session = CausalSession()
        session.demand(LSN(50), book)
        session.wrote(book)
        book.answered(book.ask(), LSN(45))
        #expect(session.need(book) == .position(LSN(45)))
        session.demand(LSN(30), book)
        #expect(session.need(book) == .position(LSN(45)))
    }

    @Test func noRecordEndsInAPagesHeader() {
        let page = LSN(0x300_0000)
        #expect(LSN(0x300_0018).withoutPageHeader(blockSize: 8192) == page)
        #expect(LSN(0x300_0028).withoutPageHeader(blockSize: 8192) == page)
        #expect(LSN(0x300_2018).withoutPageHeader(blockSize: 8192) == LSN(0x300_2000))
        #expect(LSN(0x300_0030).withoutPageHeader(blockSize: 8192) == LSN(0x300_0030))
        #expect(LSN(0x300_0018).withoutPageHeader(blockSize: 0) == LSN(0x300_0018))
    }
}

@Suite("A read waits for a standby, but not for long") struct ReadPlanTests {
    private let topology = PoolTopology(
        term: Term(1), leader: Self.node("l"), standbys: [Self.node("a"), Self.node("b")])

    private static func node(_ name: String) -> PoolTopology.Node {
        PoolTopology.Node(name: NodeName(name)!, host: "h", port: 1, lagBytes: 0, lagSeconds: 0)
    }

    private func plan(
        _ balancer: ReadBalancer, _ need: CausalSession.Need, _ book: ReplayBook, waited: Duration = .zero
    ) -> ReadBalancer.Plan {
        balancer.plan(
            need, book, waited: waited, usesLeader: balancer.limits.usesLeader, self.topology, at: .origin, random: 7,
            load: { _ in 0 })
    }

    @Test func onlyWhoHasReplayedItAnswers() {
        var book = ReplayBook()
        let balancer = ReadBalancer()
        #expect(self.plan(balancer, .position(LSN(10)), book) == .waitForReplay(LSN(10)))
        book.replayed(NodeName("a")!, LSN(9))
        book.replayed(NodeName("b")!, LSN(10))
        #expect(self.plan(balancer, .position(LSN(10)), book) == .go(.standby(1)))
        #expect(self.plan(balancer, .position(LSN(11)), book) == .waitForReplay(LSN(11)))
        #expect(self.plan(balancer, .sample(3), book) == .waitForSample(3))
    }

    @Test func whoHasWaitedLongEnoughAsksTheLeader() {
        let book = ReplayBook()
        var balancer = ReadBalancer(ReadBalancer.Limits(catchUp: .milliseconds(20)))
        #expect(self.plan(balancer, .sample(1), book, waited: .milliseconds(19)) == .waitForSample(1))
        #expect(self.plan(balancer, .sample(1), book, waited: .milliseconds(20)) == .go(.leader))
        #expect(self.plan(balancer, .position(LSN(1)), book, waited: .milliseconds(20)) == .go(.leader))
        var done = book
        done.replayed(NodeName("b")!, LSN(1))
        #expect(self.plan(balancer, .position(LSN(1)), done, waited: .seconds(1)) == .go(.standby(1)))
        balancer.limits.usesLeader = false
        #expect(self.plan(balancer, .position(LSN(1)), book, waited: .seconds(9)) == .waitForReplay(LSN(1)))
    }

    @Test func withNoStandbyNobodyWaits() {
        var balancer = ReadBalancer()
        balancer.failed(NodeName("a")!, at: .origin)
        balancer.failed(NodeName("b")!, at: .origin)
        #expect(self.plan(balancer, .position(LSN(1)), ReplayBook()) == .go(.leader))
        balancer.limits.usesLeader = false
        #expect(self.plan(balancer, .position(LSN(1)), ReplayBook()) == .go(.none))
    }
}
