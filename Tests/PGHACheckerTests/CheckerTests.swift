import PGHAChecker
import Testing

/// Made-up logs: each anomaly is recognised, and nothing is where there is none.
@Suite struct CheckerTests {
    /// A log in which everything went well, over two terms: `a` led timeline 1, `b` leads timeline 2.
    static var clean: History {
        var log = MadeUpLog()
        log.write(.add(1), 0...10, "a", 1)
        log.write(.add(2), 20...30, "a", 1, route: .direct)
        log.write(.append(key: 7, 1), 20...40, "a", 1)
        log.write(.transfer(id: 1), 20...50, "a", 1)
        log.read(.readSet(from: 0, [1, 2]), 60...70, "a", 1)
        log.read(.readList(key: 7, [1]), 60...70, "a", 1)
        log.read(.readAccounts([90, 110]), 60...70, "a", 1)
        // Nobody knows of 3; 4 and the second transfer were refused.
        log.write(.add(3), 80...500, nil, nil, outcome: .unknown)
        log.write(.add(4), 80...90, nil, nil, outcome: .failed)
        log.write(.transfer(id: 2), 80...90, nil, nil, outcome: .failed)
        log.write(.append(key: 7, 2), 600...610, "b", 2)
        log.write(.add(5), 600...610, "b", 2)
        // The old leader, not yet aware: a direct client may read the past there.
        log.read(.readSet(from: 0, [1, 2]), 620...630, "a", 1, route: .direct)
        log.read(.readSet(from: 2, [2, 5]), 620...630, "b", 2)
        log.final.set = [5, 1, 2]
        log.final.lists = [7: [1, 2]]
        log.final.balances = [90, 110]
        log.final.balancesByLedger = [90, 110]
        log.final.transfers = [1]
        return log.history
    }

    /// The kinds and subjects found in the clean log after `change`.
    private func found(_ change: (inout MadeUpLog) -> Void) -> Set<String> {
        var log = MadeUpLog(Self.clean)
        change(&log)
        return Set(Checker.check(log.history).map { "\($0.kind.rawValue) \($0.subject)" })
    }

    @Test func aCleanLogIsClean() {
        #expect(Checker.check(Self.clean) == [])
        #expect(Checker.check(History(operations: [], final: .init(), total: 0)) == [])
    }

    @Test func anUnknownOutcomeMayHaveHappenedOrNot() {
        #expect(self.found { $0.final.set = [1, 2, 3, 5] } == [])
    }

    @Test func anAcknowledgedIdThatIsNotThereIsLost() {
        #expect(
            self.found { log in
                log.write(.add(6), 700...710, "b", 2)
            } == ["lost 6"])
        #expect(
            self.found { log in
                log.write(.append(key: 7, 3), 700...710, "b", 2)
                log.write(.transfer(id: 3), 700...710, "b", 2)
            } == ["lost 3"])
    }

    @Test func anIdThatIsThereTwiceIsDoubled() {
        #expect(self.found { $0.final.set = [1, 2, 5, 5] } == ["doubled 5"])
        #expect(self.found { $0.final.transfers = [1, 1] } == ["doubled 1"])
        #expect(self.found { $0.final.lists[7] = [1, 2, 2] } == ["doubled 2"])
    }

    @Test func aRefusedWriteThatIsThereIsFound() {
        #expect(self.found { $0.final.set.append(4) } == ["refused_but_there 4"])
        #expect(self.found { $0.final.transfers.append(2) } == ["refused_but_there 2"])
    }

    @Test func whatNobodyWroteIsFound() {
        #expect(self.found { $0.final.set.append(99) } == ["from_nowhere 99"])
        #expect(self.found { $0.final.lists[8] = [50] } == ["from_nowhere 50"])
    }

    @Test func aRowThatWasReadAndIsGoneIsADirtyReadIfNobodyWasToldOfIt() {
        #expect(
            self.found { log in
                log.read(.readSet(from: 0, [1, 2, 3]), 90...95, "a", 1)
                // Read twice, said once.
                log.read(.readSet(from: 0, [1, 2, 3]), 96...98, "a", 1)
            } == ["dirty_read 3"])
        #expect(
            self.found { log in
                log.write(.append(key: 7, 9), 80...85, nil, nil, outcome: .unknown)
                log.read(.readList(key: 7, [1, 9]), 90...95, "a", 1)
            } == ["dirty_read 9"])
    }

    @Test func aRowThatWasReadAndIsGoneHasVanishedOtherwise() {
        #expect(self.found { $0.read(.readSet(from: 0, [1, 2, 4]), 95...98, "a", 1) } == ["vanished 4"])
        #expect(self.found { $0.read(.readSet(from: 0, [1, 2, 77]), 95...98, "a", 1) } == ["vanished 77"])
        #expect(self.found { $0.read(.readList(key: 7, [1, 9]), 90...95, "a", 1) } == ["vanished 9"])
        #expect(
            self.found { log in
                log.write(.add(6), 61...65, "a", 1)
                log.read(.readSet(from: 0, [1, 2, 6]), 70...75, "a", 1)
            } == ["lost 6", "stale_read 6", "vanished 6"])
    }

    @Test func aReadOfTheSameTermThatMissesAnAcknowledgedWriteIsStale() {
        #expect(self.found { $0.read(.readSet(from: 0, [1]), 60...70, "a", 1, route: .direct) } == ["stale_read 2"])
        #expect(self.found { $0.read(.readList(key: 7, []), 60...70, "a", 1, route: .direct) } == ["stale_read 1"])
        // Acknowledged while the read was under way: either is right.
        #expect(self.found { $0.read(.readSet(from: 0, [1]), 25...70, "a", 1, route: .direct) } == [])
        // Outside of the window that was asked for.
        #expect(self.found { $0.read(.readSet(from: 2, [2]), 60...70, "a", 1) } == [])
    }

    @Test func aReadThroughThePoolerOfALeaderThatWasReplacedIsStale() {
        #expect(self.found { $0.read(.readSet(from: 0, [1, 2]), 620...630, "a", 1) } == ["stale_read 5"])
        // From a standby: no timeline is known.
        #expect(self.found { $0.read(.readSet(from: 0, [1, 2]), 620...630, "a", nil) } == ["stale_read 5"])
        #expect(
            self.found { log in
                log.read(.readList(key: 7, [1, 2]), 620...630, "b", 2)
                log.read(.readList(key: 7, [1]), 640...650, "a", 1)
            } == ["stale_read 2", "stale_read 7"])
    }

    @Test func aLaterTermMustShowWhatAnEarlierOneAcknowledgedToADirectClient() {
        #expect(
            self.found { $0.read(.readSet(from: 0, [1, 5]), 620...630, "b", 2, route: .direct) } == ["stale_read 2"])
    }

    @Test func twoOrdersOfOneListAreFound() {
        #expect(self.found { $0.read(.readList(key: 7, [2, 1]), 605...630, "b", 2) } == ["disordered 7"])
        #expect(self.found { $0.final.lists[7] = [2, 1] }.contains("disordered 2"))
    }

    @Test func anAppendOfUnknownOutcomeThatTookEffectLateIsInOrder() {
        #expect(
            self.found { log in
                log.write(.append(key: 7, 3), 80...100, nil, nil, outcome: .unknown)
                log.final.lists[7] = [1, 2, 3]
            } == [])
    }

    @Test func moneyThatIsMadeOrLostIsFound() {
        #expect(self.found { $0.read(.readAccounts([90, 100]), 60...70, "a", 1) } == ["unbalanced 190"])
        #expect(self.found { $0.final.balances = [80, 110] } == ["unbalanced 0"])
    }

    @Test func twoServersInOneTimelineAreASplitBrain() {
        #expect(
            self.found { log in
                log.write(.add(6), 25...30, "c", 1)
                log.final.set.append(6)
            }.contains("split_brain 1"))
    }

    @Test func anAcknowledgementOfAnOlderTermAfterALaterOneIsASplitBrain() {
        #expect(
            self.found { log in
                log.write(.add(6), 620...630, "a", 1, route: .direct)
                log.final.set.append(6)
            }.contains("split_brain 1"))
        // Sent before the later term's first acknowledgement: the old leader had its copies already.
        #expect(
            self.found { log in
                log.write(.add(6), 400...630, "a", 1, route: .direct)
                log.final.set.append(6)
            } == [])
    }
}

/// Writes logs as a test reads them.
private struct MadeUpLog {
    var history: History
    var final: History.Final {
        get { self.history.final }
        set { self.history.final = newValue }
    }

    init(_ history: History = History(operations: [], final: .init(), total: 200)) { self.history = history }

    mutating func write(
        _ action: Operation.Action, _ time: ClosedRange<Int64>, _ server: String?, _ epoch: UInt32?,
        route: Operation.Route = .pooler, outcome: Operation.Outcome = .ok
    ) {
        self.history.operations.append(
            Operation(
                client: self.history.operations.count, route: route, action: action, start: time.lowerBound,
                end: time.upperBound, outcome: outcome, server: server, epoch: epoch))
    }

    mutating func read(
        _ action: Operation.Action, _ time: ClosedRange<Int64>, _ server: String, _ epoch: UInt32?,
        route: Operation.Route = .pooler
    ) {
        self.write(action, time, server, epoch, route: route)
    }
}
