import PGHACore
import Testing

@Suite("What a lost connection means for its client") struct ServerLossTests {
    @Test func nothingWasAskedSoNothingIsSaid() {
        #expect(ServerLoss().answer == .carryOn)
    }

    @Test func anOpenTransactionFails() {
        var loss = ServerLoss()
        loss.transaction = .open
        #expect(loss.answer == .fail)
        loss.isBusy = true
        #expect(loss.answer == .fail)
        loss.transaction = .failed
        loss.mayCommit = true
        #expect(loss.answer == .fail)
    }

    @Test func aCommitUnderWayIsUnknown() {
        var loss = ServerLoss()
        loss.isBusy = true
        loss.mayCommit = true
        #expect(loss.answer == .outcomeUnknown)
        loss.transaction = .open
        #expect(loss.answer == .outcomeUnknown)
    }

    @Test func whatWasNotRunIsSentAgainOnlyIfAllOfItIsAtHand() {
        var loss = ServerLoss()
        loss.isBusy = true
        loss.mayCommit = true
        loss.wasNotRun = true
        #expect(loss.answer == .outcomeUnknown)
        loss.canRepeat = true
        #expect(loss.answer == .sendAgain)
        loss.wasNotRun = false
        #expect(loss.answer == .outcomeUnknown)
        loss.isHarmless = true
        #expect(loss.answer == .sendAgain)
    }

    @Test func anUnfinishedPipelineFails() {
        var loss = ServerLoss()
        loss.isUnsynced = true
        #expect(loss.answer == .fail)
    }

    @Test func aSessionWhoseStateIsGoneEnds() {
        var loss = ServerLoss()
        loss.isPinned = true
        #expect(loss.answer == .close(unknown: false))
        loss.isBusy = true
        loss.mayCommit = true
        #expect(loss.answer == .close(unknown: true))
        loss.isPinned = false
        loss.isMidMessage = true
        loss.canRepeat = true
        #expect(loss.answer == .close(unknown: true))
    }
}

@Suite("Who is held, and how long") struct HoldTests {
    private let limits = HoldLimits(notice: .milliseconds(500), longest: .seconds(30), most: 2)

    @Test func waitsAreExplainedOnceAndBounded() {
        #expect(self.limits.verdict(waited: .milliseconds(499), ahead: 0, wasTold: false) == .wait)
        #expect(self.limits.verdict(waited: .milliseconds(500), ahead: 0, wasTold: false) == .explain)
        #expect(self.limits.verdict(waited: .seconds(29), ahead: 1, wasTold: true) == .wait)
        #expect(self.limits.verdict(waited: .seconds(30), ahead: 0, wasTold: true) == .refuse)
        #expect(self.limits.verdict(waited: .zero, ahead: 2, wasTold: false) == .refuse)
    }

    @Test func aSwitchoverWaitsForThePoolersThatAreThere() {
        var roster = PoolerRoster()
        roster.connected("a")
        roster.connected("b")
        roster.connected("b")
        #expect(roster.waiting(for: Term(2)) == ["a", "b"])
        roster.drained("a", for: Term(2))
        roster.drained("b", for: Term(1))
        #expect(roster.waiting(for: Term(2)) == ["b"])
        roster.left("b")
        #expect(roster.waiting(for: Term(2)) == ["b"])
        roster.left("b")
        #expect(roster.waiting(for: Term(2)) == [])
        #expect(roster.waiting(for: Term(3)) == ["a"])
        // Whoever has no stream is not waited for, whatever it reports.
        roster.drained("c", for: Term(3))
        #expect(roster.names == ["a"])
    }
}

@Suite("A pooler goes by the newest term") struct PoolTopologyTests {
    private func topology(_ term: UInt64, _ leader: String?, claim: UInt64? = nil) -> PoolTopology {
        PoolTopology(
            term: Term(term), leader: leader.map { PoolTopology.Node(name: NodeName($0)!, host: "h", port: 1) },
            claim: claim.map { Term($0) })
    }

    /// A controller that has not heard of its end yet still says so.
    @Test func noWordOfAnOlderTermIsTaken() {
        #expect(!self.topology(4, "a").replaces(self.topology(5, "b")))
        #expect(self.topology(5, "b", claim: 6).replaces(self.topology(5, "b")))
        #expect(!self.topology(5, "b").replaces(self.topology(5, "b")))
        #expect(self.topology(1, "a").replaces(.unknown))
    }

    @Test func aConnectionIsGoodForItsTermAlone() {
        let (a, b) = (NodeName("a")!, NodeName("b")!)
        let now = self.topology(5, "b")
        #expect(!now.outdates(Term(5), to: b))
        // b leads on under a new term, or led before: what runs on the old connection belongs to the old term.
        #expect(now.outdates(Term(4), to: b))
        #expect(now.outdates(Term(5), to: a))
        #expect(now.outdates(Term(6), to: a))
        #expect(!self.topology(5, "b", claim: 6).outdates(Term(6), to: a))
        #expect(self.topology(5, nil).outdates(Term(5), to: b))
    }
}

@Suite("Reads go where they are answered best") struct ReadBalancerTests {
    private func node(
        _ name: String, lag: UInt64? = 0, seconds: Double? = 0, noRead: Bool = false, zone: String? = nil
    ) -> PoolTopology.Node {
        PoolTopology.Node(
            name: NodeName(name)!, host: "h", port: 1, lagBytes: lag, lagSeconds: seconds, noRead: noRead, zone: zone)
    }

    private func topology(_ standbys: PoolTopology.Node...) -> PoolTopology {
        PoolTopology(term: Term(1), leader: self.node("leader"), standbys: standbys)
    }

    private func choices(_ balancer: ReadBalancer, _ topology: PoolTopology, load: [String: Int] = [:]) -> [String: Int]
    {
        var generator = SeededGenerator(seed: 1)
        var counts: [String: Int] = [:]
        for _ in 0..<1000 {
            let names = topology.standbys.map(\.name.text)
            switch balancer.choose(topology, at: .origin, random: generator.next(), load: { load[names[$0]] ?? 0 }) {
            case .standby(let place): counts[names[place], default: 0] += 1
            case .leader: counts["leader", default: 0] += 1
            case .none: counts["none", default: 0] += 1
            }
        }
        return counts
    }

    @Test func equalStandbysShareEvenly() {
        let counts = self.choices(ReadBalancer(), self.topology(self.node("a"), self.node("b"), self.node("c")))
        #expect(counts.count == 3)
        #expect(counts.values.allSatisfy { (250...420).contains($0) })
    }

    @Test func theLoadedAndTheLaggingGetLess() {
        let two = self.topology(self.node("a"), self.node("b"))
        #expect(self.choices(ReadBalancer(), two, load: ["a": 5])["a"] == nil)
        let lagging = self.topology(self.node("a", lag: 1 << 20), self.node("b"), self.node("c"))
        let counts = self.choices(ReadBalancer(), lagging)
        #expect(counts["a"] == nil)
    }

    @Test func whoIsTooFarBehindOrForbiddenGetsNothing() {
        let limits = ReadBalancer.Limits(lagBytes: 1000, lagSeconds: 5)
        let topology = self.topology(
            self.node("a", lag: 1001), self.node("b", seconds: 6), self.node("c", noRead: true),
            self.node("d", lag: nil, seconds: nil))
        #expect(self.choices(ReadBalancer(limits), topology) == ["d": 1000])
        let none = self.topology(self.node("a", lag: 1001))
        #expect(self.choices(ReadBalancer(limits), none) == ["leader": 1000])
        var strict = limits
        strict.usesLeader = false
        #expect(self.choices(ReadBalancer(strict), none) == ["none": 1000])
    }

    @Test func theOwnZoneComesFirstAndTheLeaderLast() {
        var balancer = ReadBalancer(ReadBalancer.Limits(zone: "x"))
        let topology = self.topology(
            self.node("a", zone: "y"), self.node("b", zone: "x"), self.node("c"),
            self.node("d", lag: 1 << 40, zone: "x"))
        #expect(self.choices(balancer, topology) == ["b": 1000])
        balancer.failed(NodeName("b")!, at: .origin)
        #expect(Set(self.choices(balancer, topology).keys) == ["a", "c"])
        balancer.limits.zone = nil
        balancer.answered(NodeName("b")!)
        #expect(Set(self.choices(balancer, topology).keys) == ["a", "b", "c"])
    }

    @Test func aBrokenStandbyComesBackAfterAWhile() {
        var balancer = ReadBalancer()
        let a = self.node("a")
        balancer.failed(a.name, at: .origin)
        #expect(!balancer.isEligible(a, at: .origin + .milliseconds(999)))
        #expect(balancer.isEligible(a, at: .origin + .seconds(1)))
        balancer.failed(a.name, at: .origin)
        balancer.answered(a.name)
        #expect(balancer.isEligible(a, at: .origin))
    }
}
