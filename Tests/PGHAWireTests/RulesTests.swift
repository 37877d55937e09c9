import PGHAWire
import Testing

@Suite("Rules let in whom their first fitting line lets in") struct RulesTests {
    private static let inside = HBALogin.Origin.network(IPAddress(v4: 0x0A00_0007), isEncrypted: false)
    private static let insideTLS = HBALogin.Origin.network(IPAddress(v4: 0x0A00_0007), isEncrypted: true)
    private static let v6 = HBALogin.Origin.network(IPAddress(v6: 0x2001_0DB8_0000_0000, 1), isEncrypted: false)

    private func line(
        _ text: String, _ user: WireText = "ann", _ database: WireText = "shop", _ origin: HBALogin.Origin = inside,
        replication: StartupMessage.Replication = .none
    ) throws -> Int? {
        var message = StartupMessage(user: user, database: database)
        message.replication = replication
        return try HBARules(text).rule(for: HBALogin(message, from: origin))?.line
    }

    // MARK: Matching

    @Test func theFirstLineThatFitsDecides() throws {
        let text = """
            # comment
            local   all         all                       peer

            host    shop,"a b"  ann, "Bob"  10.0.0.0/8    scram-sha-256  # who
            hostssl sameuser    all         all           cert map=m
            host    all         all         2001:db8::/32 md5
            host    all         eve \\
                    10.0.0.7/32 reject
            host    all         all         10.0.0.0 255.0.0.0 trust
            """
        #expect(try self.line(text) == 4)
        #expect(try self.line(text, "Bob", "a b") == 4)
        #expect(try self.line(text, "bob") == 9)
        #expect(try self.line(text, "eve") == 7)
        #expect(try self.line(text, "zoe", "zoe", Self.insideTLS) == 5)
        #expect(try self.line(text, "zoe", "zoe", Self.v6) == 6)
        #expect(try self.line(text, "zoe", "zoe", .unixSocket) == 2)
        let outside = HBALogin.Origin.network(IPAddress(v4: 0x0B00_0001), isEncrypted: false)
        #expect(try self.line(text, "ann", "shop", outside) == nil)
    }

    @Test func encryptionIsPartOfTheType() throws {
        #expect(try self.line("hostssl all all all trust") == nil)
        #expect(try self.line("hostssl all all all trust", "a", "a", Self.insideTLS) == 1)
        #expect(try self.line("hostnossl all all all trust", "a", "a", Self.insideTLS) == nil)
        #expect(try self.line("hostnossl all all all trust") == 1)
        #expect(try self.line("host all all all trust", "a", "a", .unixSocket) == nil)
        #expect(try self.line("local all all trust") == nil)
    }

    @Test func quotesTakeAKeywordsMeaningAway() throws {
        #expect(try self.line("host \"all\" all all trust") == nil)
        #expect(try self.line("host \"all\" all all trust", "a", "all") == 1)
        #expect(try self.line("host all \"a\"\"b\" all trust", "a\"b") == 1)
        #expect(try self.line("host all \"+a\" all trust", "+a") == 1)
    }

    @Test func physicalReplicationIsMeantByItsKeywordOnly() throws {
        #expect(try self.line("host all all all trust", replication: .physical) == nil)
        #expect(try self.line("host replication all all trust", replication: .physical) == 1)
        #expect(try self.line("host replication all all trust", "a", "replication") == nil)
        #expect(try self.line("host \"replication\" all all trust", "a", "replication") == 1)
        #expect(try self.line("host shop all all trust", replication: .logical) == 1)
    }

    @Test func optionsAreKept() throws {
        let rules = try HBARules(
            """
            hostssl all all all scram-sha-256 clientcert=verify-ca
            hostssl all all all cert clientname=DN map=people
            """)
        #expect(rules.rules[0].clientCertificate == .verifyCA)
        #expect(rules.rules[0].clientName == .commonName)
        #expect(rules.rules[1].clientCertificate == .verifyFull)
        #expect(rules.rules[1].clientName == .distinguishedName)
        #expect(rules.rules[1].map == "people")
    }

    @Test func noRulesLetNobodyIn() throws { #expect(try self.line("# nothing\n\n") == nil) }

    // MARK: Mistakes

    private static let mistakes: [(String, RuleError.Problem)] = [
        ("hosst all all all trust", .unknownType("hosst", nearest: "host")),
        ("frobnicate", .unknownType("frobnicate", nearest: nil)), ("host", .missing("database")),
        ("host all", .missing("user")), ("host all all", .missing("address")), ("host all all all", .missing("method")),
        ("local all all", .missing("method")),
        ("host all all 10.0.0.1 ", .missing("mask (write 10.0.0.1/32 for one address)")),
        ("host all all 10.0.0.1 trust", .invalidMask("trust")), ("host all all 10.0.0.0/33 trust", .invalidMask("33")),
        ("host all all 10.0.0.1/8 trust", .invalidMask("8")), ("host all all ::1/129 trust", .invalidMask("129")),
        ("host all all 10.0.0.0 255.0.255.0 trust", .invalidMask("255.0.255.0")),
        ("host all all al trust", .invalidAddress("al", nearest: "all")),
        ("host all all 10.0.0 trust", .invalidAddress("10.0.0", nearest: nil)),
        ("host all all .example.com trust", .unsupportedAddress(".example.com")),
        ("host all all samenet trust", .unsupportedAddress("samenet")),
        ("host all +staff all trust", .membership("+staff")), ("host samerole all all trust", .membership("samerole")),
        ("host @dbs all all trust", .inclusion("@dbs")), ("include other.conf", .inclusion("include")),
        ("host /^a all all trust", .expression("/^a")),
        ("host all all all scram-sha256", .unknownMethod("scram-sha256", nearest: "scram-sha-256")),
        ("host all all all ldap", .unsupportedMethod("ldap")),
        ("host all all all cert", .methodNeedsType("cert", "hostssl")),
        ("host all all all peer", .methodNeedsType("peer", "local")),
        ("host all all all trust mapp=a", .unknownOption("mapp=a", nearest: "map")),
        ("host all all all trust map=", .unknownOption("map=", nearest: "map")),
        (
            "hostssl all all all trust clientcert=verify-ful",
            .invalidOption(name: "clientcert", value: "verify-ful", nearest: "verify-full")
        ),
        ("host all all all trust clientcert=verify-ca", .methodNeedsType("option clientcert", "hostssl")),
        ("host all all all,all trust", .tooManyWords("address")), ("host \"all all all trust", .unterminatedQuote),
    ]

    @Test(arguments: Self.mistakes)
    func mistakesNameTheirLineAndWhatWasMeant(_ text: String, _ problem: RuleError.Problem) {
        do throws(RuleError) {
            _ = try HBARules("# first\n\nlocal all all trust\n" + text)
            Issue.record("taken")
        } catch {
            #expect(error.line == 4)
            #expect(error.problem == problem)
            #expect(error.description.hasPrefix("line 4: "))
        }
    }

    // MARK: Addresses

    private static let addresses: [(String, String?)] = [
        ("10.1.2.3", "10.1.2.3"), ("0.0.0.0", "0.0.0.0"), ("010.1.2.3", nil), ("1.2.3", nil), ("1.2.3.256", nil),
        ("::", "0:0:0:0:0:0:0:0"), ("::1", "0:0:0:0:0:0:0:1"), ("1::", "1:0:0:0:0:0:0:0"),
        ("2001:DB8::a:0", "2001:db8:0:0:0:0:a:0"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("::ffff:10.0.0.1", "10.0.0.1"), ("1:2:3:4:5:6:7", nil), ("1:2:3:4:5:6:7:8:9", nil), ("1::2::3", nil),
        (":1", nil), ("1:", nil), ("::12345", nil), ("::g", nil), ("fe80::1%eth0", nil), ("", nil), (":::", nil),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("1.2.3.4::", nil), ("::1.2.3.4:5", nil),
    ]

    @Test(arguments: Self.addresses)
    func addressesAreReadInNumbersOnly(_ text: String, _ expected: String?) {
        #expect(IPAddress(text)?.description == expected)
    }

    @Test func networksShareTheirFirstBits() throws {
        let network = try #require(IPAddress("192.168.128.0"))
        let inside = try #require(IPAddress("192.168.255.1"))
        #expect(inside.shares(17, bitsWith: network))
        #expect(!inside.shares(18, bitsWith: network))
        #expect(inside.shares(0, bitsWith: IPAddress(v4: 1)))
        let (a, b) = (IPAddress(v6: 1, 0), IPAddress(v6: 1, 1 << 63))
        #expect(a.shares(64, bitsWith: b))
        #expect(!a.shares(65, bitsWith: b))
        #expect(!IPAddress(v4: 0).shares(0, bitsWith: a))
    }

    // MARK: Identities

    @Test func mapsSayWhoMayBeWhom() throws {
        let maps = try IdentityMap(
            """
            m  ann@example.com             ann
            m  /^(.*)@example\\.com$       \\1
            m  "/^CN=(.*),O=Shop Inc$"     app_\\1
            m  root                        all
            n  root                        "all"
            """)
        func allows(_ system: String, _ user: WireText, _ map: String? = "m") -> Bool {
            IdentityMap.allows(system: system, as: user, by: map, in: maps)
        }
        #expect(allows("ann@example.com", "ann"))
        #expect(allows("bob@example.com", "bob"))
        #expect(!allows("bob@example.com", "ann"))
        #expect(!allows("bob@exampleXcom", "bob"))
        #expect(!allows("bob@example.com.evil", "bob"))
        #expect(allows("CN=till,O=Shop Inc", "app_till"))
        #expect(allows("root", "anybody"))
        #expect(!allows("root", "anybody", "n"))
        #expect(allows("root", "all", "n"))
        #expect(!allows("ann", "ann", "unknown"))
        #expect(allows("ann", "ann", nil))
        #expect(!allows("ann", "bob", nil))
        #expect(!IdentityMap.allows(system: "a", as: "a", by: "m", in: nil))
    }

    private static let mapMistakes: [(String, RuleError.Problem)] = [
        ("m a", .missing("database user")), ("m a b c", .tooManyWords("database user")),
        ("m /abc b", .unsupportedExpression("/abc")), ("m /^a.b$ b", .unsupportedExpression("/^a.b$")),
        ("m /^(.*)(.*)$ b", .unsupportedExpression("/^(.*)(.*)$")), ("m /^\\d$ b", .unsupportedExpression("/^\\d$")),
        ("m /^a$ \\1", .unsupportedExpression("/^a$")), ("m a +b", .membership("+b")), ("m a /b", .expression("/b")),
        ("include x y", .inclusion("include")),
    ]

    @Test(arguments: Self.mapMistakes)
    func mapsOutsideOfTheSubsetAreRefused(_ text: String, _ problem: RuleError.Problem) {
        do throws(RuleError) {
            _ = try IdentityMap("\n" + text)
            Issue.record("taken")
        } catch {
            #expect(error.line == 2)
            #expect(error.problem == problem)
        }
    }

    @Test(arguments: UInt64(0)..<50) func anyTextIsReadOrRefusedWithItsLine(seed: UInt64) {
        let pieces = [
            "host", "local", "hostssl", "all", "\"", ",", " ", "\t", "\n", "\\", "\\\n", "#", "10.0.0.0/8", "::1/128",
            "trust", "cert", "map=", "=", "/^(.*)$", "\\1", "é", "\r\n", "+", "@",
        ]
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            let text = (0..<12).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
            let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).count
            do throws(RuleError) { _ = try HBARules(text) } catch { #expect(1...lines ~= error.line) }
            do throws(RuleError) { _ = try IdentityMap(text) } catch { #expect(1...lines ~= error.line) }
        }
    }
}
