import PGHAWire
import Testing

@Suite("What a server owes is followed message by message") struct ServerSessionTests {
    /// Sends by kind, receives by type; shows what the client gets, made-up answers in capitals of their own.
    private struct Exchange: ~Copyable {
        var session = ServerSession()
        var seen = ""
        private var sequence: UInt32 = 0

        deinit {
            var session = self.session
            session.deallocate()
        }

        mutating func send(_ kinds: Request.Kind...) {
            for kind in kinds {
                self.sequence += 1
                self.session.sent(Request(kind, sequence: self.sequence))
            }
        }

        /// `Z` is followed by its status.
        mutating func receive(_ types: String) {
            var bytes = Array(types.utf8)[...]
            while let type = bytes.popFirst() {
                while let madeUp = self.session.nextMadeUp() { self.add(madeUp, "!") }
                let verdict =
                    type == BackendMessage.readyForQuery
                    ? self.session.receivedReady(bytes.popFirst() ?? 0) : self.session.received(type)
                switch verdict {
                case .forward: self.add(type, "")
                case .swallow: break
                case .broken: self.add(type, "?")
                }
            }
            while let madeUp = self.session.nextMadeUp() { self.add(madeUp, "!") }
        }

        private mutating func add(_ type: UInt8, _ mark: String) {
            self.seen += "\(Character(UnicodeScalar(type)))\(mark)"
        }
    }

    @Test func aSimpleQueryEndsWithReadyForQuery() {
        var exchange = Exchange()
        exchange.send(.query)
        exchange.receive("TDDC")
        #expect(!exchange.session.isReleasable)
        exchange.receive("ZI")
        #expect(exchange.session.isReleasable)
        #expect(exchange.seen == "TDDCZ")
    }

    @Test(arguments: ["T", "E"])
    func anOpenTransactionIsNotReleased(status: String) {
        var exchange = Exchange()
        exchange.send(.query)
        exchange.receive("CZ\(status)")
        #expect(!exchange.session.isReleasable)
    }

    @Test func madeUpAnswersComeInTheirTurn() {
        var exchange = Exchange()
        exchange.send(.skippedParse, .bind, .execute, .skippedClose, .injectedParse, .bind, .execute, .sync)
        exchange.receive("2DC12DCZI")
        #expect(exchange.seen == "1!2DC3!2DCZ")
        #expect(exchange.session.isReleasable)
    }

    @Test func anErrorSkipsToTheSyncThatWasSent() {
        var exchange = Exchange()
        exchange.send(.parse, .bind, .execute, .skippedParse, .sync, .bind, .execute, .sync)
        exchange.receive("1E")
        #expect(exchange.session.takeFailures() == 4...4)
        exchange.receive("ZI")
        #expect(!exchange.session.isReleasable)
        exchange.receive("2CZI")
        #expect(exchange.seen == "1EZ2CZ")
        #expect(exchange.session.isReleasable)
    }

    @Test func anErrorSkipsToTheSyncThatIsStillToCome() {
        var exchange = Exchange()
        exchange.send(.parse)
        exchange.receive("E")
        exchange.send(.skippedParse, .bind, .execute)
        #expect(!exchange.session.isReleasable)
        #expect(exchange.session.takeFailures() == 1...2)
        exchange.send(.sync)
        exchange.receive("ZI")
        #expect(exchange.seen == "EZ")
        #expect(exchange.session.isReleasable)
    }

    @Test func aFailingSyncSkipsNothing() {
        var exchange = Exchange()
        exchange.send(.parse, .bind, .execute, .sync, .query)
        exchange.receive("12CEZICZI")
        #expect(exchange.seen == "12CEZCZ")
        #expect(exchange.session.isReleasable)
    }

    @Test func syncsThatCopyInSwallowsAreNotWaitedFor() {
        var exchange = Exchange()
        exchange.send(.parse, .bind, .execute, .sync)
        exchange.receive("12G")
        exchange.send(.copyEnd, .sync)
        exchange.receive("CZI")
        #expect(exchange.seen == "12GCZ")
        #expect(exchange.session.isReleasable)
    }

    @Test func copyInThatWasSentBlindlyIsUnderstoodToo() {
        var exchange = Exchange()
        exchange.send(.parse, .bind, .execute, .sync, .copyEnd, .sync, .query)
        exchange.receive("12GCZITDCZI")
        #expect(exchange.seen == "12GCZTDCZ")
        #expect(exchange.session.isReleasable)
    }

    @Test func anInjectedQuerysAnswerIsSwallowedWhole() {
        var exchange = Exchange()
        exchange.send(.injectedQuery, .injectedQuery)
        exchange.receive("TDCZIEZI")
        #expect(exchange.seen == "")
        #expect(exchange.session.isReleasable)
    }

    @Test func answersThatNobodyAskedForBreakTheConnection() {
        var exchange = Exchange()
        exchange.receive("NSA")
        exchange.receive("ZI")
        exchange.send(.bind)
        exchange.receive("1")
        #expect(exchange.seen == "NSAZ?1?")
    }

    @Test func replicationStreamsUntilItsEnd() {
        var exchange = Exchange()
        exchange.send(.query)
        exchange.receive("Wdd")
        #expect(!exchange.session.isReleasable)
        exchange.receive("cCZI")
        #expect(exchange.seen == "WddcCZ")
        #expect(exchange.session.isReleasable)
    }

    @Test func aLongPipelineGrowsTheQueue() {
        var exchange = Exchange()
        for _ in 0..<1000 { exchange.send(.bind, .execute, .sync) }
        exchange.receive(String(repeating: "2CZI", count: 1000))
        #expect(exchange.session.isReleasable)
    }
}
