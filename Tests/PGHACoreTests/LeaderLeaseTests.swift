import PGHACore
import Testing

/// A leader's lease as its agent keeps it: five seconds, fenced one second before the end.
@Suite struct LeaderLeaseTests {
    private let first = LeaseTerms(
        pledge: rule("a", ["a", "b", "c"], copies: 1, version: 1).pledge, length: .seconds(5),
        voters: [node("b"), node("c")])

    private func granted(stamp: Int64 = 0, at time: Int64 = 0) -> LeaderLease {
        var lease = LeaderLease()
        let isGranted1 = lease.grant(self.first, stamp: at(stamp), at: at(time))
        #expect(isGranted1)
        return lease
    }

    @Test func itCountsFromTheStampAndNotFromTheArrival() {
        var lease = self.granted(stamp: 0, at: 3000)
        #expect(lease.heldUntil == at(5000))
        let step2 = lease.tick(at: at(3999))
        #expect(step2 != .fence)
        let step3 = lease.tick(at: at(4000))
        #expect(step3 == .fence)
        #expect(!lease.isHeld(at: at(4000)))
    }

    @Test func aRenewalThatComesTooLateIsOfNoUse() {
        var lease = LeaderLease()
        let isGranted4 = lease.grant(self.first, stamp: at(0), at: at(4000))
        #expect(!isGranted4)
        let step5 = lease.tick(at: at(4000))
        #expect(step5 == .fence)
    }

    @Test func anOlderStampShortensNothing() {
        var lease = self.granted(stamp: 1000, at: 1000)
        let isGranted6 = lease.grant(self.first, stamp: at(500), at: at(1100))
        #expect(isGranted6)
        #expect(lease.heldUntil == at(6000))
    }

    @Test func withOtherTermsTheOldLeaseDoesNotCount() {
        var lease = self.granted(stamp: 3000, at: 3000)
        let larger = LeaseTerms(
            pledge: rule("a", ["a", "b", "c", "d"], copies: 1, version: 2).pledge, length: .seconds(5),
            voters: [node("b"), node("c"), node("d")])
        let isGranted7 = lease.grant(larger, stamp: at(2000), at: at(3100))
        #expect(isGranted7)
        #expect(lease.heldUntil == at(7000))
        let isGranted8 = lease.grant(self.first, stamp: at(3100), at: at(3200))
        #expect(!isGranted8)
        #expect(lease.terms == larger)
    }

    @Test func itAsksHalfALeaseBeforeTheEndAndAllMustVouch() {
        var lease = self.granted()
        let step9 = lease.tick(at: at(100))
        #expect(step9 == .wait(until: at(2500)))
        let step10 = lease.tick(at: at(2500))
        #expect(step10 == .ask([node("b"), node("c")], self.first, stamp: at(2500)))
        lease.vouched(node("b"), for: self.first.pledge, stamp: at(2500))
        #expect(lease.heldUntil == at(5000))
        let step11 = lease.tick(at: at(2600))
        #expect(step11 == .wait(until: at(3000)))
        lease.vouched(node("c"), for: self.first.pledge, stamp: at(2500))
        #expect(lease.heldUntil == at(7500))
    }

    @Test func anAnswerToAnEarlierQuestionCountsForNothing() {
        var lease = self.granted()
        _ = lease.tick(at: at(2500))
        lease.vouched(node("b"), for: self.first.pledge, stamp: at(2500))
        _ = lease.tick(at: at(3000))
        lease.vouched(node("c"), for: self.first.pledge, stamp: at(2500))
        lease.vouched(node("c"), for: self.first.pledge, stamp: at(3000))
        #expect(lease.heldUntil == at(5000))
    }

    @Test func whoeverWasSealedForAnotherOrForgotItsPledgeVouchesForNobody() {
        let asks = self.first.pledge
        #expect(LeaderLease.vouches(asks, for: asks))
        #expect(LeaderLease.vouches(Pledge("0.3/0000000000000001"), for: asks))
        #expect(!LeaderLease.vouches(Pledge("2.0/0000000000000001"), for: asks))
        #expect(!LeaderLease.vouches(Pledge("1.0/0000000000000001"), for: asks))
        #expect(!LeaderLease.vouches(nil, for: asks))
    }

    @Test func afterItsFenceTheServerLeadsUnderTheSameClaimOnlyWithANewLease() {
        var lease = self.granted()
        lease.fenced()
        let step12 = lease.tick(at: at(4100))
        #expect(step12 == .wait(until: nil))
        #expect(!lease.mayLead(self.first.pledge, at: at(4100)))
        #expect(lease.mayLead(Pledge(Claim(term: Term(2), nonce: 9)), at: at(4100)))
        let isGranted13 = lease.grant(self.first, stamp: at(4200), at: at(4300))
        #expect(isGranted13)
        #expect(lease.mayLead(self.first.pledge, at: at(4300)))
    }

    @Test func aLateReleaseOfAnOlderRuleEndsNothing() {
        var lease = self.granted()
        let isReleased14 = lease.release(rule("a", ["a"], copies: 1, version: 0).pledge)
        #expect(!isReleased14)
        #expect(lease.terms == self.first)
        let isReleased15 = lease.release(rule("a", ["a"], copies: 1, version: 2).pledge)
        #expect(isReleased15)
        let step16 = lease.tick(at: at(9000))
        #expect(step16 == .wait(until: nil))
    }

    @Test func aHostThatBeganAnewHoldsNothing() {
        var lease = self.granted()
        lease.restarted()
        let step17 = lease.tick(at: at(10))
        #expect(step17 == .fence)
    }

    @Test func theTermsAreTheShortestLengthAndEverybodyWhoseSealEndsALease() {
        let open = [
            rule("a", ["a", "b"], copies: 1, version: 1, lease: .seconds(8)),
            rule("a", ["a", "c"], copies: 1, version: 2, lease: .seconds(5)),
            rule("d", ["d", "e"], copies: 1, term: 2, lease: .seconds(1)),
        ]
        let terms = LeaseTerms(open, leader: node("a"), pledge: open[1].pledge)
        #expect(terms?.length == .seconds(5))
        #expect(terms?.voters == [node("b"), node("c")])
        let alone = rule("a", ["a"], copies: 1, lease: .seconds(5))
        #expect(LeaseTerms([alone], leader: node("a"), pledge: alone.pledge) == nil)
    }
}
