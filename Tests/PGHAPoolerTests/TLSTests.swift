import Glibc
import PGHACore
import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

@Suite("TLS on both sides", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct TLSTests {
    @Test func clientsChooseByTheirSSLMode() async throws {
        let rig = try await LogInRig.start { $1.offerTLS(&$0) }
        let root = "sslrootcert=\(rig.directory.file("ca.crt"))"
        for mode in ["disable", "allow", "prefer", "require"] { #expect(rig.psql("sslmode=\(mode)") == "app") }
        for mode in ["verify-ca", "verify-full"] { #expect(rig.psql("sslmode=\(mode) \(root)") == "app") }
        for version in ["TLSv1.2", "TLSv1.3"] {
            #expect(
                rig.psql("sslmode=require ssl_min_protocol_version=\(version) ssl_max_protocol_version=\(version)")
                    == "app")
        }
        #expect(
            rig.psql("sslmode=require ssl_min_protocol_version=TLSv1 ssl_max_protocol_version=TLSv1.1")
                .contains("error:"))
    }

    @Test func withoutACertificateTLSIsDeclined() async throws {
        let rig = try await LogInRig.start()
        #expect(rig.psql("sslmode=prefer") == "app")
        #expect(rig.psql("sslmode=require").contains("server does not support SSL"))
    }

    @Test func whereTLSIsRequiredThePlainAreRefused() async throws {
        let rig = try await LogInRig.start { $1.offerTLS(&$0, .require) }
        #expect(rig.psql("sslmode=disable").contains("FATAL:  TLS is required"))
        #expect(rig.psql("sslmode=require") == "app")
    }

    @Test func channelBindingProvesThatNobodyIsInTheMiddle() async throws {
        let rig = try await LogInRig.start { $1.offerTLS(&$0) }
        #expect(rig.psql("sslmode=require channel_binding=require") == "app")
        #expect(rig.psql("sslmode=require channel_binding=disable") == "app")
        #expect(
            rig.psql("sslmode=require channel_binding=require", password: "wrong").contains(
                "FATAL:  password authentication failed"))
        #expect(rig.psql("sslmode=disable channel_binding=require").contains("channel binding required"))
    }

    @Test func aCertificateIsAPassport() async throws {
        let rig = try await LogInRig.start { configuration, directory in
            directory.offerTLS(&configuration)
            directory.makeCertificate("client", commonName: "app.example")
            directory.makeAuthority("stranger")
            directory.makeCertificate("forged", commonName: "app.example", by: "stranger")
            configuration.clientTLS.authorityFile = directory.file("ca.crt")
            configuration.authentication.rules = try HBARules(
                """
                hostssl all app all cert map=names
                hostssl all named all cert clientname=DN map=names
                hostssl all other all scram-sha-256 clientcert=verify-ca
                """)
            configuration.authentication.identities = try IdentityMap(
                "names /^(.*)\\.example$ \\1\nnames \"CN=app.example,O=pgha\" named")
            configuration.passwords["app"] = Secret(Array("secret".utf8))
            configuration.passwords["named"] = Secret(Array("secret".utf8))
        }
        try await rig.server.query("CREATE ROLE named LOGIN PASSWORD 'secret'")
        try await rig.server.query("CREATE ROLE other LOGIN PASSWORD 'secret'")
        func certificate(_ name: String) -> String {
            "sslmode=require sslcert=\(rig.directory.file(name)).crt sslkey=\(rig.directory.file(name)).key"
        }
        let expiries = await rig.pooler.statistics().certificates
        #expect(expiries.keys.sorted() == ["tls_ca_file", "tls_cert_file"])
        #expect(expiries.values.allSatisfy { $0 > time(nil) && $0 < time(nil) + 20 * 365 * 86_400 })
        #expect(rig.psql(certificate("client"), password: "") == "app")
        #expect(rig.psql(certificate("client"), user: "named", password: "") == "named")
        #expect(rig.psql(certificate("client"), user: "other") == "other")
        #expect(rig.psql("sslmode=require", password: "").contains("FATAL:  certificate authentication failed"))
        #expect(rig.psql("sslmode=require", user: "other").contains("FATAL:  certificate authentication failed"))
        #expect(rig.psql(certificate("forged"), password: "").contains("error:"))
    }

    @Test func directTLSNeedsTheProtocolsName() async throws {
        let rig = try await LogInRig.start { $1.offerTLS(&$0) }
        // A startup packet of user app, through a handshake without SSLRequest.
        rig.directory.write("packet", "")
        let packet = "printf '\\0\\0\\0\\022\\0\\003\\0\\0user\\0app\\0\\0'"
        func answer(_ options: String) -> String {
            shell(
                "(\(packet); sleep 1) | timeout 5 openssl s_client -quiet -connect 127.0.0.1:\(rig.port) \(options) "
                    + "2>/dev/null | tr -d '\\0'")
        }
        #expect(answer("-alpn postgresql").contains("SCRAM-SHA-256"))
        #expect(!answer("").contains("SCRAM"))
        #expect(!answer("-alpn http/1.1").contains("SCRAM"))
    }

    @Test func bytesBehindTheRequestForTLSAreNeverTakenForTheClients() async throws {
        let rig = try await LogInRig.start { $1.offerTLS(&$0) }
        let client = try RawClient(port: rig.port)
        client.send([0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F])
        #expect(try client.readByte() == UInt8(ascii: "S"))
        // A startup packet in the clear, where a handshake must come.
        client.sendStartup(user: "app", database: "postgres")
        var answered: [UInt8] = []
        while let byte = try? client.readByte() { answered.append(byte) }
        // An alert at most.
        #expect(answered.first == nil || answered.first == 0x15, "\(answered)")
    }

    @Test func muchDataComesThroughWholeInBothDirections() async throws {
        let rig = try await LogInRig.start { $1.offerTLS(&$0) }
        let connection = "'host=127.0.0.1 port=\(rig.port) user=app dbname=postgres sslmode=require'"
        let rows = "COPY (SELECT g, repeat(md5(g::text), 100) FROM generate_series(1, 5000) g) TO STDOUT"
        let file = rig.directory.file("rows")
        let psql = "PGPASSWORD=secret psql -XAtq \(connection)"
        // Slow to take it, so that the pooler has to wait with what OpenSSL holds.
        _ = shell("\(psql) -c \"\(rows)\" | (sleep 0.5; cat) > \(file)")
        #expect(
            shell("md5sum < \(file)")
                == shell(
                    "psql -XAtq -h \(rig.server.socketDirectory) -p \(rig.server.port) -U postgres -c \"\(rows)\" "
                        + "| md5sum", password: ScratchPostgres.superuserPassword))
        try await rig.server.query("CREATE TABLE t (g int, x text)")
        try await rig.server.query("GRANT ALL ON t TO app")
        #expect(
            shell("\(psql) -c '\\copy t from \(file)' -c 'SELECT count(*), sum(length(x)) FROM t'")
                == "5000|16000000")
    }

    @Test func aReloadedCertificateDropsNobody() async throws {
        let rig = try await LogInRig.start { $1.offerTLS(&$0) }
        func serial() -> String {
            shell(
                "openssl s_client -starttls postgres -connect 127.0.0.1:\(rig.port) </dev/null 2>/dev/null "
                    + "| openssl x509 -noout -serial")
        }
        let first = serial()
        let (before, after) = (rig.directory.file("before"), rig.directory.file("after"))
        async let output = Self.inBackground {
            rig.psql(
                "sslmode=require",
                asks:
                    "SELECT 1\" -c '\\! touch \(before); while [ ! -e \(after) ]; do sleep 0.02; done' -c \"SELECT 2")
        }
        _ = shell("while [ ! -e \(before) ]; do sleep 0.02; done")
        rig.directory.makeCertificate("pooler", commonName: "localhost", names: "IP:127.0.0.1,DNS:localhost")
        var configuration = LogInRig.configuration
        configuration.clientTLS.mode = .allow
        configuration.clientTLS.certificateFile = rig.directory.file("pooler.crt")
        configuration.clientTLS.keyFile = rig.directory.file("pooler.key")
        try rig.pooler.reload(configuration)
        let deadline = ContinuousClock.now + .seconds(5)
        while serial() == first, ContinuousClock.now < deadline {}
        #expect(serial() != first && first.hasPrefix("serial="))
        _ = shell("touch \(after)")
        #expect(await output == "1\n2")
    }

    private static func inBackground(_ work: @escaping @Sendable () -> String) async -> String {
        await Task.detached { work() }.value
    }

    @Test func aKeyThatOthersMayReadIsRefused() throws {
        let directory = TestDirectory()
        var configuration = LogInRig.configuration
        directory.offerTLS(&configuration)
        _ = shell("chmod 644 \(directory.file("pooler.key"))")
        let failure = #expect(throws: PoolerFailure.self) { try Pooler(configuration) }
        #expect(failure?.description.contains("chmod 600") == true)
    }

    // MARK: - Towards servers

    /// A server with a certificate for 127.0.0.1 of the directory's authority.
    private static func encrypted(
        _ mode: PoolerConfiguration.TLSMode, authority: String = "ca", name: String? = nil
    ) async throws -> LogInRig {
        let directory = TestDirectory()
        directory.makeAuthority()
        directory.makeAuthority("stranger")
        directory.makeCertificate("server", commonName: "localhost", names: "IP:127.0.0.1,DNS:db.example")
        let owner = shell("id -u") == "0" ? "postgres" : shell("id -un")
        _ = shell("chown \(owner) \(directory.file("server.key"))")
        let settings = [
            "ssl": "on", "ssl_cert_file": directory.file("server.crt"), "ssl_key_file": directory.file("server.key"),
        ]
        return try await LogInRig.start(server: settings, overTCP: true, directory: directory) { configuration, _ in
            configuration.serverTLS.mode = mode
            configuration.serverTLS.serverName = name
            configuration.serverTLS.authorityFile = directory.file("\(authority).crt")
        }
    }

    private static let question = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

    @Test(arguments: [PoolerConfiguration.TLSMode.prefer, .require, .verifyCA, .verifyFull])
    func serversAreSpokenToInTLS(mode: PoolerConfiguration.TLSMode) async throws {
        let rig = try await Self.encrypted(mode)
        #expect(rig.psql(asks: Self.question) == "t")
        // The client's key goes through even though the pooler's own exchange is bound to the server's certificate.
        #expect(rig.psql(asks: "SELECT repeat('x', 300000)").count == 300_000)
    }

    /// A key that was read on the way would let anybody cancel.
    @Test func cancelRequestsGoToServersInTLSToo() async throws {
        let rig = try await Self.encrypted(.require)
        let relay = try Relay(to: UInt16(rig.server.port))
        let name = try #require(NodeName("a"))
        rig.pooler.apply(
            PoolTopology(term: Term(2), leader: .init(name: name, host: "127.0.0.1", port: relay.port)))
        #expect(rig.psql(asks: Self.question) == "t")
        let before = relay.beginnings.count
        // psql cancels when it is interrupted.
        let answer = shell(
            "timeout -s INT 1 psql -XAtq 'host=127.0.0.1 port=\(rig.port) user=app dbname=postgres' "
                + "-c 'SELECT pg_sleep(60)'", password: "secret")
        #expect(answer.contains("canceling statement due to user request"))
        #expect(relay.beginnings.count > before)
        let request: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]
        #expect(relay.beginnings.allSatisfy { $0 == request })
    }

    @Test func withoutTLSServersAreSpokenToInTheClear() async throws {
        let rig = try await Self.encrypted(.disable)
        #expect(rig.psql(asks: Self.question) == "f")
    }

    @Test func aServerThatCannotProveItsNameIsNotTrusted() async throws {
        let right = try await Self.encrypted(.verifyFull, name: "db.example")
        #expect(right.psql(asks: Self.question) == "t")
        for rig in [
            try await Self.encrypted(.verifyCA, authority: "stranger"),
            try await Self.encrypted(.verifyFull, name: "other.example"),
        ] {
            // Not even the question about the user is put to it.
            #expect(rig.psql().contains("FATAL:  the pooler cannot look users up"))
        }
    }

    @Test func aServerWithoutTLSIsRefusedWhereTLSIsRequired() async throws {
        let rig = try await LogInRig.start(overTCP: true) { configuration, directory in
            configuration.serverTLS.mode = .require
            configuration.authentication.lookup = nil
            directory.write("users", "\"app\" \"secret\"")
            configuration.authentication.usersFile = directory.file("users")
        }
        #expect(rig.psql().contains("the server does not support TLS"))
    }
}
