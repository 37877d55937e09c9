import Testing

@testable import PGHAWire

@Suite("Passwords of every kind are checked as PostgreSQL checks them") struct PasswordTests {
    /// Made by PostgreSQL 15.18 for role w7.
    private static let stored = Secret(bytes("md5ebc4ce9f55801d8756869eea83e43b85"))
    private static let password = Secret(bytes("old secret"))

    @Test func md5IsMadeAsPostgreSQLMakesIt() throws {
        let made = try #require(MD5Password.stored(password: Self.password, user: "w7"))
        #expect(made.isEqual(to: Self.stored))
        #expect(MD5Password.isStored(Self.stored))
        for text in ["md5", "md5ebc4ce9f55801d8756869eea83e43b8", "md5EBC4ce9f55801d8756869eea83e43b85", "secret"] {
            #expect(!MD5Password.isStored(Secret(bytes(text))))
        }
    }

    @Test func md5AnswersAreRightForOneSaltOnly() throws {
        let answer = try #require(MD5Password.answer(stored: Self.stored, salt: 0x0102_0304))
        // Python: "md5" + md5(stored[3:] + b"\x01\x02\x03\x04").
        #expect(answer.isEqual(to: Secret(bytes("md5da5eae52bc5830bae88996c5d67f8ccb"))))
        answer.withBytes { bytes in
            #expect(MD5Password.isRight(bytes, stored: Self.stored, salt: 0x0102_0304))
            #expect(!MD5Password.isRight(bytes, stored: Self.stored, salt: 0x0102_0305))
            #expect(!MD5Password.isRight(UnsafeRawBufferPointer(rebasing: bytes[1...]), stored: Self.stored, salt: 1))
        }
    }

    @Test func cleartextIsComparedWithWhateverIsStored() throws {
        let scram = SCRAMVerifier(password: Self.password, salt: [1, 2], iterations: 16)
        for stored in [StoredPassword.scram(scram), try #require(StoredPassword(Self.stored))] {
            #expect(stored.matches(cleartext: Self.password, user: "w7"))
            #expect(!stored.matches(cleartext: Secret(bytes("other")), user: "w7"))
        }
        #expect(try !#require(StoredPassword(Self.stored)).matches(cleartext: Self.password, user: "w8"))
        #expect(StoredPassword(Self.password) == nil)
        guard case .scram = StoredPassword(scram.text) else {
            Issue.record("no verifier")
            return
        }
    }

    @Test func aPasswordCountsUntilItsMomentAndThen() {
        let role = RoleCredential(password: nil, validUntil: 1_000)
        #expect(role.isValid(at: 999))
        #expect(role.isValid(at: 1_000))
        #expect(!role.isValid(at: 1_001))
        #expect(RoleCredential(password: nil).isValid(at: .max))
    }

    @Test func whoHasNoVerifierGetsAMock() throws {
        let secret = Secret([UInt8](repeating: 1, count: 32))
        #expect(RoleCredential(password: nil).verifier(user: "a", mockSecret: secret).isMock)
        let md5 = try #require(StoredPassword(Self.stored))
        #expect(RoleCredential(password: md5).verifier(user: "a", mockSecret: secret).isMock)
    }

    @Test func theExchangeFollowsTheRuleAndWhatIsStored() throws {
        let secret = Secret([UInt8](repeating: 1, count: 32))
        let stored = try #require(StoredPassword(Self.stored))
        let md5 = RoleCredential(password: stored)
        let verifier = SCRAMVerifier(password: Self.password, salt: [1], iterations: 1)
        let scram = RoleCredential(password: .scram(verifier))
        func choice(_ method: HBARule.Method, _ role: RoleCredential?) -> String {
            switch PasswordExchange(method, credential: role, user: "a", mockSecret: secret) {
            case .scram(let verifier): verifier.isMock ? "mock" : "scram"
            case .md5: "md5"
            case .cleartext: "cleartext"
            case nil: "none"
            }
        }
        #expect([md5, scram, nil].map { choice(.md5, $0) } == ["md5", "scram", "mock"])
        #expect([md5, scram, nil].map { choice(.scramSHA256, $0) } == ["mock", "scram", "mock"])
        #expect([md5, scram, nil].map { choice(.password, $0) } == ["cleartext", "cleartext", "cleartext"])
        for method in [HBARule.Method.trust, .reject, .cert, .peer] { #expect(choice(method, scram) == "none") }
    }

    // MARK: SASLprep

    private func prepared(_ text: String) -> [UInt8] { SASLprep.prepared(Secret(bytes(text))).withBytes { Array($0) } }

    /// The examples of RFC 4013, section 3, and what PostgreSQL makes of the forbidden ones.
    private static let prepCases: [(String, String)] = [
        ("I\u{AD}X", "IX"), ("user", "user"), ("USER", "USER"), ("\u{AA}", "a"), ("\u{2168}", "IX"),
        ("\u{7}", "\u{7}"), ("\u{627}1", "\u{627}1"), ("\u{627}1\u{628}", "\u{627}1\u{628}"),
        // A control character beside one that would change.
        ("\u{7}\u{AA}", "\u{7}\u{AA}"), ("\u{AD}", "\u{AD}"), ("e\u{301}", "\u{E9}"), ("\u{FB01}", "fi"),
        ("\u{1100}\u{1161}\u{11A8}", "\u{AC01}"), ("\u{AC00}\u{11A8}", "\u{AC01}"), ("\u{1E9B}\u{323}", "\u{1E69}"),
        ("a\u{315}\u{300}\u{5AE}b", "\u{E0}\u{5AE}\u{315}b"), ("\u{10FFFF}\u{AA}", "\u{10FFFF}\u{AA}"),
        // Assigned after Unicode 3.2.
        ("\u{221}\u{AA}", "\u{221}\u{AA}"),
        (
            "\u{FDFA}",
            "\u{635}\u{644}\u{649} \u{627}\u{644}\u{644}\u{647} "
                + "\u{639}\u{644}\u{64A}\u{647} \u{648}\u{633}\u{644}\u{645}"
        ),
    ]

    @Test(arguments: Self.prepCases)
    func passwordsAreNormalized(_ text: String, _ expected: String) {
        #expect(self.prepared(text) == bytes(expected))
    }

    @Test func whatIsNotUTF8StaysAsItIs() {
        for raw in [[0xFF, 0x41], [0xC2], [0xED, 0xA0, 0x80], [0xC0, 0x80]] as [[UInt8]] {
            #expect(SASLprep.prepared(Secret(raw)).withBytes { Array($0) } == raw)
        }
    }

    // MARK: Base 64

    @Test func base64HasOneSpellingPerValue() {
        for count in 0...20 {
            let value = (0..<count).map { UInt8($0 * 37 & 255) }
            let text = Base64.encode(value)
            #expect(Base64.decode(text) == value)
        }
        #expect(Base64.encode(bytes("Man")) == bytes("TWFu"))
        #expect(Base64.encode(bytes("M")) == bytes("TQ=="))
        for text in ["TQ", "TQ=", "TR==", "T===", "====", "TQ==TQ==", "TW F", "TWF\n", "=TWF"] {
            #expect(Base64.decode(bytes(text)) == nil, "\(text)")
        }
    }
}
