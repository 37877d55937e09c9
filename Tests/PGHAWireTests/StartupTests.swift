import PGHAWire
import Testing

@Suite("A connection's first bytes are judged as PostgreSQL does") struct StartupTests {
    private static let version: UInt32 = 3 << 16
    private static let ssl = startupPacket(1234 << 16 | 5679, [])
    private static let gss = startupPacket(1234 << 16 | 5680, [])

    private static func parameters(_ pairs: [(String, String)]) -> [UInt8] {
        pairs.flatMap { bytes($0) + [0] + bytes($1) + [0] } + [0]
    }

    private static func login(_ pairs: [(String, String)], version: UInt32 = version) -> [UInt8] {
        startupPacket(version, Self.parameters(pairs))
    }

    private func next(_ policy: inout StartupPolicy, _ bytes: [UInt8]) -> StartupPolicy.Step {
        bytes.withExactBytes { policy.next($0).step }
    }

    private func step(_ bytes: [UInt8], tls: Bool = true) -> StartupPolicy.Step {
        var policy = StartupPolicy(offersTLS: tls)
        return self.next(&policy, bytes)
    }

    // MARK: StartupMessage

    @Test func aLoginNamesUserDatabaseAndTheRest() {
        let packet = Self.login([
            ("user", "ann"), ("database", "shop"), ("application_name", "till"), ("options", "-c a=b"),
            ("search_path", "x, y"), ("replication", "database"),
        ])
        var expected = StartupMessage(user: "ann", database: "shop")
        expected.options = "-c a=b"
        expected.optionSettings = [.init("a", "b")]
        expected.parameters = [.init("application_name", "till"), .init("search_path", "x, y")]
        expected.replication = .logical
        #expect(self.step(packet) == .logIn(expected))
    }

    @Test func theDatabaseIsTheUsersWhenNoneIsNamed() {
        #expect(self.step(Self.login([("user", "ann")])) == .logIn(StartupMessage(user: "ann", database: "ann")))
    }

    @Test func namesCompareByTheirBytes() {
        // One scalar against two, which Swift's String calls equal.
        #expect(WireText("\u{E9}") != WireText("e\u{301}"))
    }

    @Test(
        arguments: [
            ("true", .physical), ("ON", .physical), ("1", .physical), ("y", .physical), ("off", .none), ("of", .none),
            ("f", .none), ("database", .logical),
        ] as [(String, StartupMessage.Replication)])
    func replicationIsABooleanOrDatabase(_ value: String, _ replication: StartupMessage.Replication) {
        guard case .logIn(let message) = self.step(Self.login([("user", "a"), ("replication", value)])) else {
            Issue.record("refused")
            return
        }
        #expect(message.replication == replication)
    }

    @Test(arguments: ["o", "maybe", "", "2", "truer"])
    func otherReplicationIsRefused(_ value: String) {
        let step = self.step(Self.login([("user", "a"), ("replication", value)]))
        #expect(step == .refuse(.invalidReplication(WireText(value))))
    }

    @Test func everyPrefixOfALoginNeedsMore() {
        let packet = Self.login([("user", "ann"), ("database", "shop"), ("options", "-c a=b --c-d=e\\ f")])
        for count in 0..<packet.count {
            #expect(self.step(Array(packet[..<count])) == .needsMore(total: count < 4 ? nil : packet.count))
        }
    }

    @Test func everyTruncatedBodyIsRefused() {
        let body = Self.parameters([("user", "ann"), ("database", "shop")])
        for count in 0..<body.count {
            let step = self.step(startupPacket(Self.version, Array(body[..<count])))
            #expect(step == .refuse(.unterminated), "\(count) bytes")
        }
        #expect(self.step(startupPacket(Self.version, body + [0])) == .refuse(.unterminated))
        #expect(self.step(startupPacket(Self.version, [0])) == .refuse(.missingUser))
    }

    @Test(arguments: [0, 3, 4, 7, 10_001, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x4745_5420] as [UInt32])
    func lengthsOutsideOfTheCapAreRefusedAtOnce(_ length: UInt32) {
        let word = built { $0.append(length) }
        #expect(self.step(word) == .refuse(.invalidLength(length)))
    }

    @Test func severalKilobytesOfParametersAreFine() {
        let long = String(repeating: "x", count: 8_000)
        guard case .logIn(let message) = self.step(Self.login([("user", "a"), ("my.thing", long)])) else {
            Issue.record("refused")
            return
        }
        #expect(message.parameters == [.init("my.thing", WireText(long))])
    }

    // MARK: Versions

    @Test func unknownMinorVersionsAndOptionsAreNegotiated() throws {
        let greased = Self.login([("user", "a"), ("_pq_.grease", "1")], version: 3 << 16 | 9999)
        guard case .logIn(let message) = self.step(greased) else { throw Refused() }
        #expect(message.spokenVersion == .newest)
        #expect(message.negotiation == ProtocolNegotiation(newestMinor: 2, unknownOptions: ["_pq_.grease"]))
        #expect(message.parameters.isEmpty)
    }

    private struct Refused: Error {}

    @Test func knownVersionsNeedNoNegotiation() throws {
        for minor in 0...2 as ClosedRange<UInt32> {
            guard case .logIn(let message) = self.step(Self.login([("user", "a")], version: 3 << 16 | minor)) else {
                throw Refused()
            }
            #expect(message.negotiation == nil)
            #expect(message.spokenVersion.minor == UInt16(minor))
        }
    }

    @Test func anOptionOfAnOldClientIsAnsweredWithItsOwnVersion() throws {
        guard case .logIn(let message) = self.step(Self.login([("user", "a"), ("_pq_.x", "")])) else { throw Refused() }
        #expect(message.negotiation == ProtocolNegotiation(newestMinor: 0, unknownOptions: ["_pq_.x"]))
    }

    @Test(arguments: [2 << 16, 4 << 16, 1234 << 16 | 5681] as [UInt32])
    func otherMajorVersionsAreRefused(_ word: UInt32) {
        guard case .refuse(let problem) = self.step(startupPacket(word, [0])) else {
            Issue.record("let in")
            return
        }
        #expect(problem.sqlState == .featureNotSupported)
    }

    // MARK: Encryption

    @Test func encryptionMayBeAskedForInEitherOrder() {
        for first in [Self.ssl, Self.gss] {
            var policy = StartupPolicy(offersTLS: false)
            #expect(self.next(&policy, first) == .declineEncryption)
            #expect(self.next(&policy, first == Self.ssl ? Self.gss : Self.ssl) == .declineEncryption)
            #expect(self.next(&policy, first) == .refuse(.repeatedNegotiation))
        }
    }

    @Test func nothingMayLieBehindAnEncryptionRequest() {
        for tls in [true, false] {
            #expect(self.step(Self.ssl + [0], tls: tls) == .refuse(.bytesBehindRequest))
            #expect(self.step(Self.gss + Self.login([("user", "a")]), tls: tls) == .refuse(.bytesBehindRequest))
        }
    }

    @Test func insideOfTLSNoEncryptionIsNegotiated() {
        for request in [Self.ssl, Self.gss] {
            var policy = StartupPolicy(offersTLS: true)
            #expect(self.next(&policy, Self.ssl) == .acceptTLS)
            policy.tlsEstablished()
            #expect(self.next(&policy, request) == .refuse(.repeatedNegotiation))
        }
    }

    @Test func aRequestHasNoBody() {
        #expect(self.step(startupPacket(1234 << 16 | 5679, [0])) == .refuse(.invalidRequest))
    }

    @Test func tlsMayBeginAtOnceButOnlyThere() {
        #expect(self.step([0x16]) == .acceptDirectTLS)
        #expect(self.step([0x16, 3, 1, 0, 200], tls: false) == .refuse(.unexpectedTLS))
        var direct = StartupPolicy(offersTLS: true)
        #expect(self.next(&direct, [0x16, 3, 1]) == .acceptDirectTLS)
        direct.tlsEstablished()
        #expect(self.next(&direct, [0x16, 3, 1, 0]) == .refuse(.invalidLength(0x1603_0100)))
        var policy = StartupPolicy(offersTLS: true)
        #expect(self.next(&policy, Self.gss) == .declineEncryption)
        #expect(self.next(&policy, [0x16, 3, 1, 0]) == .refuse(.invalidLength(0x1603_0100)))
    }

    // MARK: CancelRequest

    @Test func cancelKeysHaveFourToTwoHundredAndFiftySixBytes() {
        for count in 0...300 {
            let key = [UInt8](repeating: 7, count: count)
            let step = self.step(startupPacket(1234 << 16 | 5678, [0, 0, 1, 0] + key))
            let isLawful = (4...256).contains(count)
            #expect(
                step
                    == (isLawful
                        ? .cancel(CancelRequest(processID: 256, key: key)) : .refuse(.invalidCancelKeyLength(count))))
        }
        #expect(!"\(CancelRequest(processID: 1, key: [42, 42, 42, 42]))".contains("42"))
    }

    // MARK: options

    private func settings(_ options: String) -> StartupPolicy.Step {
        self.step(Self.login([("user", "a"), ("options", options)]))
    }

    @Test(
        arguments: [
            ("", []), ("  ", []), ("-c a=b", ["a=b"]), ("-ca=b", ["a=b"]), ("--a=b", ["a=b"]),
            ("--a-b.c-d=e-f", ["a_b.c_d=e-f"]),
            ("-c search_path=a,\\ b  --x=1", ["search_path=a, b", "x=1"]), ("-c a=\\\\", ["a=\\"]), ("-c a=", ["a="]),
            ("-c\ta=b=c", ["a=b=c"]), ("-c a=b\\", ["a=b"]), ("--a=b --a=c", ["a=b", "a=c"]),
        ] as [(String, [String])])
    func optionsAreReadAsPostgreSQLReadsThem(_ options: String, _ expected: [String]) {
        guard case .logIn(let message) = self.settings(options) else {
            Issue.record("refused")
            return
        }
        #expect(message.optionSettings.map { "\($0.name)=\($0.value)" } == expected)
        #expect(message.options == WireText(options))
    }

    @Test(
        arguments: [
            ("-c", .missingArgument), ("-c a", .missingValue("-c a")), ("--a", .missingValue("--a")),
            ("--=b", .missingValue("--=b")), ("-F", .unsupportedSwitch("-F")), ("a=b", .unexpectedWord("a=b")),
            ("-", .unexpectedWord("-")), ("--", .missingValue("--")),
        ] as [(String, OptionsProblem)])
    func otherOptionsAreRefusedByName(_ options: String, _ problem: OptionsProblem) {
        #expect(self.settings(options) == .refuse(.options(problem)))
    }

    // MARK: Building

    @Test func whatTheBuilderWritesTheParserReads() {
        let packet = built {
            $0.startupMessage(
                version: .newest, parameters: [.init("user", "ann"), .init("database", "d"), .init("", "lost")])
        }
        var expected = StartupMessage(user: "ann", database: "d")
        expected.version = .newest
        #expect(self.step(packet) == .logIn(expected))
        #expect(built { $0.sslRequest() } == Self.ssl)
        let cancel = CancelRequest(processID: 9, key: [1, 2, 3, 4, 5])
        #expect(self.step(built { $0.cancelRequest(cancel) }) == .cancel(cancel))
    }

    @Test(arguments: UInt64(0)..<100) func randomBytesNeverLogIn(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let body = generator.bytes(Int.random(in: 0...60, using: &generator))
            let step = self.step(startupPacket(generator.next() % 2 == 0 ? Self.version : 1234 << 16 | 5678, body))
            if case .logIn(let message) = step { #expect(!message.user.isEmpty) }
        }
    }
}
