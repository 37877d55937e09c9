import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHATesting
import PGHAWire
import Testing

@Suite("Clients prove who they are", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct LogInTests {
    private static let refused = "FATAL:  password authentication failed for user"

    @Test func aPasswordPassesThroughWithoutBeingStored() async throws {
        let rig = try await LogInRig.start()
        #expect(rig.psql() == "app")
        // The session on the server is the client's own role, and nobody gave the pooler its password.
        #expect(rig.psql(asks: "SELECT session_user || current_database()") == "apppostgres")
    }

    @Test func aWrongPasswordAnUnknownUserAndASuperuserGetTheSameAnswer() async throws {
        let rig = try await LogInRig.start()
        for (user, password) in [("app", "wrong"), ("nobody", "secret"), ("postgres", "scratch-superuser")] {
            let answer = rig.psql(user: user, password: password)
            #expect(answer.contains("FATAL:  password authentication failed for user \"\(user)\""), "\(answer)")
        }
        #expect(rig.psql() == "app")
    }

    @Test func anUnknownUserIsAskedLikeARealOne() async throws {
        let rig = try await LogInRig.start()
        func challenge(_ user: String) throws -> [String] {
            let client = try RawClient(port: rig.port)
            client.sendStartup(user: user, database: "postgres")
            let offer = try client.read()
            client.send { $0.saslInitialResponse(.scramSHA256, Array("n,,n=,r=abcdefghijklmnopqrstuvwx".utf8)) }
            let challenge = try client.read()
            let proof = "c=biws,r=\(Self.attribute("r", challenge)),p=\(String(repeating: "A", count: 43))="
            client.send { $0.saslResponse(Array(proof.utf8)) }
            #expect(try client.read().map(RawClient.summary) == "E:28P01")
            #expect(try client.read() == nil)
            let parts = (challenge?.text ?? "").split(separator: ",").map(String.init)
            #expect(offer?.text == "SCRAM-SHA-256" && parts.count == 3, "\(String(describing: challenge))")
            return Array(parts.dropFirst())
        }
        let (known, unknown) = (try challenge("app"), try challenge("nobody"))
        #expect(known[0].count == unknown[0].count && known[1] == unknown[1])
        // A salt that changed would give it away.
        #expect(try challenge("nobody") == unknown)
        #expect(try challenge("somebody") != unknown)
    }

    private static func attribute(_ name: String, _ message: RawClient.Message?) -> String {
        let text = (message?.text ?? "").split(separator: ",").first { $0.hasPrefix("\(name)=") } ?? ""
        return String(text.dropFirst(2))
    }

    @Test func anExpiredPasswordIsRefusedThoughItIsRight() async throws {
        let rig = try await LogInRig.start()
        try await rig.server.query("CREATE ROLE old LOGIN PASSWORD 'secret' VALID UNTIL '2020-01-01'")
        try await rig.server.query("CREATE ROLE young LOGIN PASSWORD 'secret' VALID UNTIL '2120-01-01'")
        try await rig.server.query("CREATE ROLE ever LOGIN PASSWORD 'secret' VALID UNTIL 'infinity'")
        try await rig.server.query("CREATE ROLE never LOGIN PASSWORD 'secret' VALID UNTIL '-infinity'")
        for user in ["old", "never"] {
            #expect(rig.psql(user: user).contains(Self.refused))
        }
        for user in ["young", "ever"] { #expect(rig.psql(user: user) == user) }
    }

    /// A pooler that has read what there is to know about `app` and counts on it for the rest of the test.
    private static func remembering(_ method: String = "scram-sha-256") async throws -> LogInRig {
        let rig = try await LogInRig.start { configuration, _ in
            configuration.authentication.rules = try HBARules("host all all all \(method)")
            configuration.authentication.lookup?.cacheTime = .seconds(3600)
        }
        #expect(rig.psql() == "app")
        return rig
    }

    @Test func aChangedPasswordCountsAtOnce() async throws {
        let rig = try await LogInRig.start()
        #expect(rig.psql() == "app")
        try await rig.server.query("ALTER ROLE app PASSWORD 'other'")
        #expect(rig.psql(password: "other") == "app")
        #expect(rig.psql().contains(Self.refused))
    }

    @Test func anAnswerThatIsRememberedIsNotAskedForAgain() async throws {
        let rig = try await Self.remembering()
        func lastQuestion() async throws -> String {
            let sessions = "pg_stat_activity WHERE application_name = 'pgha pooler'"
            return try await rig.server.query("SELECT max(query_start)::text AS at FROM \(sessions)")[0].string("at")
        }
        let before = try await lastQuestion()
        #expect(rig.psql() == "app")
        #expect(try await lastQuestion() == before)
        // Nobody is refused from memory.
        #expect(rig.psql(password: "wrong").contains(Self.refused))
        #expect(try await lastQuestion() != before)
    }

    @Test func aRememberedPasswordThatWasChangedFailsOnceAtMost() async throws {
        let rig = try await Self.remembering()
        try await rig.server.query("ALTER ROLE app PASSWORD 'other'")
        // The proof was made for the old one's salt.
        #expect(rig.psql(password: "other").contains(Self.refused))
        #expect(rig.psql(password: "other") == "app")
        #expect(rig.psql().contains(Self.refused))
    }

    @Test func aPasswordInTheClearIsCheckedAgainstTheNewOne() async throws {
        let rig = try await Self.remembering("password")
        try await rig.server.query("ALTER ROLE app PASSWORD 'other'")
        #expect(rig.psql(password: "other") == "app")
        #expect(rig.psql().contains(Self.refused))
    }

    @Test func anMD5AnswerIsCheckedAgainstTheNewPassword() async throws {
        let rig = try await LogInRig.start { configuration, _ in
            configuration.authentication.rules = try HBARules("host all all all md5")
            configuration.authentication.lookup?.cacheTime = .seconds(3600)
        }
        try rig.server.write(
            "pg_hba.conf", "local all all md5\nhost all all 127.0.0.1/32 md5\n")
        try await rig.server.query("SELECT pg_reload_conf()")
        try await rig.server.query("CREATE ROLE aged LOGIN PASSWORD 'md5\(Self.hash("secretaged"))'")
        #expect(rig.psql(user: "aged") == "aged")
        try await rig.server.query("ALTER ROLE aged PASSWORD 'md5\(Self.hash("otheraged"))'")
        #expect(rig.psql(user: "aged", password: "other") == "aged")
        #expect(rig.psql(user: "aged").contains(Self.refused))
    }

    @Test func howLongAPasswordCountsIsKeptWhateverIsRemembered() async throws {
        let rig = try await Self.remembering()
        try await rig.server.query("ALTER ROLE app VALID UNTIL '2020-01-01'")
        #expect(rig.psql(password: "wrong").contains(Self.refused))
        // Known from the log-in that failed.
        #expect(rig.psql().contains(Self.refused))
        try await rig.server.query("ALTER ROLE app VALID UNTIL 'infinity'")
        // The proof is right, and the password counts again: no second attempt is needed.
        #expect(rig.psql() == "app")
        let end = try await rig.server.query("SELECT (clock_timestamp() + interval '1 s')::text AS t")[0].string("t")
        try await rig.server.query("ALTER ROLE app VALID UNTIL '\(end)'")
        #expect(rig.psql(password: "wrong").contains(Self.refused))
        try await rig.server.wait(until: "clock_timestamp() > '\(end)'")
        #expect(rig.psql().contains(Self.refused))
    }

    @Test func anotherLookupBeginsWithoutMemories() async throws {
        let rig = try await Self.remembering()
        try await rig.server.query("ALTER ROLE app PASSWORD 'other'")
        var configuration = LogInRig.configuration
        configuration.authentication.lookup?.cacheTime = .seconds(1800)
        try rig.pooler.reload(configuration)
        #expect(rig.psql(password: "other") == "app")
    }

    @Test func whileNoServerCanBeAskedTheLastAnswerCounts() async throws {
        let rig = try await LogInRig.start()
        #expect(rig.psql() == "app")
        try await rig.server.stop(.immediate)
        // The log-in itself succeeds; the first query waits for a server.
        let client = try RawClient(port: rig.port)
        client.sendStartup(user: "app", database: "postgres")
        #expect(try client.read()?.text == "SCRAM-SHA-256")
        client.send { $0.saslInitialResponse(.scramSHA256, Array("n,,n=,r=abcdefghijklmnopqrstuvwx".utf8)) }
        #expect(try client.read()?.text.hasPrefix("r=abcdefghijklmnopqrstuvwx") == true)
    }

    @Test func aUsersFileKnowsVerifiersAndPasswords() async throws {
        let rig = try await LogInRig.start { configuration, directory in
            configuration.authentication.lookup = nil
            directory.write("users", "; comment\n\"app\" \"secret\"\n\"we\"\"ird\" \"a\"\"b\" rest\n")
            configuration.authentication.usersFile = directory.file("users")
        }
        try await rig.server.query("CREATE ROLE \"we\"\"ird\" LOGIN PASSWORD 'a\"b'")
        #expect(rig.psql() == "app")
        #expect(rig.psql(user: "we\"ird", password: "a\"b") == "we\"ird")
        #expect(rig.psql(password: "wrong").contains(Self.refused))
    }

    @Test func aUsersFileThatOthersMayReadIsRefused() throws {
        let directory = TestDirectory()
        directory.write("users", "\"app\" \"secret\"", mode: 0o644)
        var configuration = LogInRig.configuration
        configuration.authentication.usersFile = directory.file("users")
        let failure = #expect(throws: PoolerFailure.self) { try Pooler(configuration) }
        guard case .unusableFile = failure else { return #expect(Bool(false), "\(String(describing: failure))") }
        directory.write("users", "\"app\" secret")
        #expect(
            throws: PoolerFailure.unusableFile(directory.file("users"), reason: "line 1 is not \"user\" \"secret\"")
        ) { try Pooler(configuration) }
    }

    @Test func rulesDecideFirstMatchFirst() async throws {
        let rig = try await LogInRig.start { configuration, _ in
            configuration.authentication.rules = try HBARules(
                """
                host app app 127.0.0.0/8 reject
                host all app 127.0.0.1/32 scram-sha-256
                host all ghost 127.0.0.1/32 trust
                """)
        }
        #expect(rig.psql() == "app")
        #expect(rig.psql("dbname=app").contains("FATAL:  a rule rejects host \"127.0.0.1\", user \"app\""))
        #expect(rig.psql(user: "other").contains("FATAL:  no rule for host \"127.0.0.1\", user \"other\""))
        // Trusted by the pooler, not by the server.
        #expect(rig.psql(user: "ghost").contains("the server asks for SCRAM-SHA-256 of user \"ghost\""))
    }

    @Test func anMD5UserLogsInOnBothSides() async throws {
        let rig = try await LogInRig.start { configuration, _ in
            configuration.authentication.rules = try HBARules("host all all all md5")
        }
        // The hash of "secretaged".
        try await rig.server.query("CREATE ROLE aged LOGIN PASSWORD 'md5\(Self.hash("secretaged"))'")
        try rig.server.write("pg_hba.conf", "local all all md5\nhost all all 127.0.0.1/32 md5\n")
        try await rig.server.query("SELECT pg_reload_conf()")
        #expect(rig.psql(user: "aged") == "aged")
        #expect(rig.psql(user: "aged", password: "wrong").contains(Self.refused))
        #expect(rig.psql() == "app")
    }

    private static func hash(_ text: String) -> String { String(shell("printf \(text) | md5sum").prefix(32)) }

    @Test func aCleartextPasswordIsCheckedAgainstItsVerifier() async throws {
        let rig = try await LogInRig.start { configuration, _ in
            configuration.authentication.rules = try HBARules("host all all all password")
        }
        #expect(rig.psql() == "app")
        #expect(rig.psql(password: "wrong").contains(Self.refused))
        #expect(rig.psql(user: "nobody").contains(Self.refused))
    }

    @Test func aPeerIsWhoTheSystemSays() async throws {
        let directory = TestDirectory()
        let rig = try await LogInRig.start(directory: directory) { configuration, directory in
            configuration.listeners = [.init(host: directory.path, port: 6432)]
            let rules = "local all app peer map=people\nlocal all all peer"
            configuration.authentication.rules = try HBARules(rules)
            configuration.authentication.identities = try IdentityMap("people \(shell("id -un")) app")
            configuration.passwords["app"] = PGHAWire.Secret(Array("secret".utf8))
        }
        #expect(rig.psql("host=\(directory.path)", password: "") == "app")
        #expect(rig.psql("host=\(directory.path)", user: "other").contains("FATAL:  peer authentication failed"))
    }

    @Test func aReloadThatCannotBeChangesNothing() async throws {
        let rig = try await LogInRig.start()
        #expect(rig.psql() == "app")
        var configuration = LogInRig.configuration
        configuration.authentication.rules = .trust
        configuration.authentication.usersFile = "/nowhere"
        #expect(throws: PoolerFailure.self) { try rig.pooler.reload(configuration) }
        #expect(rig.psql(password: "wrong").contains(Self.refused))
    }
}
