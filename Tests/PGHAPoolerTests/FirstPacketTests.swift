import Glibc
import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

@Suite(
    "First packets are judged before anybody is trusted", .serialized,
    .enabled(if: ScratchPostgres.unavailable == nil))
struct FirstPacketTests {
    private static let sslRequest: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]
    private static let gssRequest: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x30]

    private static func startup(_ version: UInt32 = 0x3_0000, _ settings: [(String, String)] = []) -> [UInt8] {
        var buffer = WireBuffer()
        buffer.untypedMessage { buffer in
            buffer.append(version)
            for (name, value) in [("user", "postgres"), ("database", "postgres")] + settings {
                buffer.appendString(name)
                buffer.appendString(value)
            }
            buffer.append(UInt8(0))
        }
        return buffer.array
    }

    @Test func unknownMinorsAndOptionsAreNegotiatedNotRefused() async throws {
        let rig = try await PoolerRig.start()
        let client = try RawClient(port: rig.port)
        client.send(Self.startup(0x3_270F, [("_pq_.grease", "1")]))
        let messages = try client.readToReady()
        let negotiation = try #require(messages.first { $0.type == "v" })
        #expect(negotiation.body[..<8] == [0, 3, 0, 2, 0, 0, 0, 1])
        #expect(negotiation.text == "_pq_.grease")
        #expect(messages.first?.type == "v" && messages.last?.type == "Z")
    }

    @Test func encryptionMayBeAskedForOnceInEitherWay() async throws {
        let rig = try await PoolerRig.start()
        for order in [[Self.sslRequest, Self.gssRequest], [Self.gssRequest, Self.sslRequest]] {
            let client = try RawClient(port: rig.port)
            for request in order {
                client.send(request)
                #expect(try client.readByte() == UInt8(ascii: "N"))
            }
            client.send(Self.startup())
            #expect(try client.readToReady().last?.type == "Z")
        }
        let client = try RawClient(port: rig.port)
        client.send(Self.sslRequest)
        #expect(try client.readByte() == UInt8(ascii: "N"))
        client.send(Self.sslRequest)
        #expect(try client.read().map(RawClient.summary) == "E:08P01")
        #expect(try client.read() == nil)
    }

    @Test func whatLiesBehindARequestForEncryptionEndsTheConnection() async throws {
        let rig = try await PoolerRig.start()
        for request in [Self.sslRequest, Self.gssRequest] {
            let client = try RawClient(port: rig.port)
            client.send(request + Self.startup())
            #expect(try client.read().map(RawClient.summary) == "E:08P01")
            #expect(try client.read() == nil)
        }
    }

    @Test func aStartupPacketMayComeByteByByteAndBeLong() async throws {
        let rig = try await PoolerRig.start()
        let client = try RawClient(port: rig.port)
        let name = String(repeating: "long ", count: 1500)
        let options = "-c statement_timeout=5s --work-mem=5MB -c application_name=a\\ b"
        let packet = Self.startup(0x3_0000, [("options", options), ("pgha.note", name)])
        for byte in packet.prefix(60) { client.send([byte]) }
        client.send(Array(packet.dropFirst(60)))
        #expect(try client.readToReady().last?.type == "Z")
        #expect(try client.value("SHOW statement_timeout") == "5s")
        #expect(try client.value("SHOW work_mem") == "5MB")
        #expect(try client.value("SHOW application_name") == "a b")
        #expect(try client.value("SELECT length(current_setting('pgha.note'))") == "\(name.count)")
    }

    @Test(
        arguments: [
            [0, 0, 0, 7, 0, 0, 0], [0xFF, 0xFF, 0xFF, 0xFF], [0, 0, 0x27, 0x11, 0, 3, 0, 0], [0, 0, 0, 0],
            Array("GET / HTTP/1.1\r\n\r\n".utf8),
            [0, 0, 0, 9, 0, 3, 0, 0, 0], [0, 0, 0, 14, 0, 3, 0, 0, 0x75, 0x73, 0x65, 0x72, 0, 0x61],
        ] as [[UInt8]])
    func aLengthOrAPacketThatCannotBeEndsTheConnection(packet: [UInt8]) async throws {
        let rig = try await PoolerRig.start()
        let client = try RawClient(port: rig.port)
        client.send(packet)
        let message = try client.read()
        #expect(message?.type == "E")
        #expect(try client.read() == nil)
        #expect(try rig.client().value("SELECT 1") == "1")
    }

    @Test func whoDoesNotLogInIsClosedInTime() async throws {
        let rig = try await PoolerRig.start { $0.timeouts.clientLogIn = .milliseconds(300) }
        let client = try RawClient(port: rig.port)
        client.send(Array(Self.startup().prefix(20)))
        #expect(try client.read() == nil)
    }

    @Test func anAddressCannotHoldMoreThanItsShareOfLogIns() async throws {
        let rig = try await PoolerRig.start { $0.limits.maximumLoggingInPerAddress = 3 }
        let slow = try (0..<3).map { _ in try RawClient(port: rig.port) }
        for client in slow { client.send([0, 0]) }
        // Accepted in order: once the fourth is turned away, the three were counted.
        #expect(try RawClient(port: rig.port).read() == nil)
        for client in slow {
            client.send(Array(Self.startup().dropFirst(2)))
            #expect(try client.readToReady().last?.type == "Z")
        }
        #expect(try rig.client().value("SELECT 1") == "1")
    }

    @Test(arguments: [
        ("synchronous_commit", "off"), ("synchronous_commit", "local"), ("client_min_messages", "error"),
        ("options", "-c synchronous_commit=remote_write"),
    ])
    func aSessionThatLowersWhatACommitMeansIsRefused(name: String, value: String) async throws {
        let rig = try await PoolerRig.start()
        let client = try RawClient(port: rig.port)
        client.send(Self.startup(0x3_0000, [(name, value)]))
        #expect(try client.read().map(RawClient.summary) == "E:42501")
        #expect(try client.read() == nil)
        let other = try await PoolerRig.start { $0.authentication.allowsRiskySettings = true }
        #expect(try other.client([(name, value)]).value("SELECT 1") == "1")
    }
}

@Suite("Sessions keep what a commit means", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct SettingRefusalTests {
    @Test(arguments: [PoolerConfiguration.Mode.transaction, .session])
    func aStatementThatLowersItFailsLikeAnyOther(mode: PoolerConfiguration.Mode) async throws {
        let rig = try await PoolerRig.start { $0.mode = mode }
        let client = try rig.client()
        for statement in [
            "SET synchronous_commit = off", "SELECT set_config('synchronous_commit', 'local', false)",
            "SET LOCAL client_min_messages TO error",
        ] {
            #expect(try client.query(statement) == ["E:42501", "Z:I"], "\(statement)")
        }
        #expect(try client.value("SHOW synchronous_commit") == "on")
        #expect(try client.query("SET synchronous_commit = on") == ["C:SET", "Z:I"])
        // Inside of a transaction it fails the transaction.
        #expect(try client.query("BEGIN") == ["C:BEGIN", "Z:T"])
        #expect(try client.query("SET LOCAL synchronous_commit = off") == ["E:42501", "Z:E"])
        #expect(try client.query("ROLLBACK") == ["C:ROLLBACK", "Z:I"])
    }

    @Test(arguments: [PoolerConfiguration.Mode.transaction, .session], ["", "name"])
    func soItDoesInAPipeline(mode: PoolerConfiguration.Mode, name: String) async throws {
        let rig = try await PoolerRig.start { $0.mode = mode }
        let client = try rig.client()
        client.send { buffer in
            buffer.parse(name, "SET synchronous_commit = off")
            buffer.bind(name)
            buffer.execute()
            buffer.sync()
            buffer.query("SHOW synchronous_commit")
        }
        #expect(try client.answers(ready: 2) == ["1", "2", "E:42501", "Z:I", "T", "D:on", "C:SHOW", "Z:I"])
    }

    @Test func theOperatorMayAllowIt() async throws {
        let rig = try await PoolerRig.start { $0.authentication.allowsRiskySettings = true }
        #expect(try rig.client().query("SET synchronous_commit = off") == ["C:SET", "Z:I"])
    }
}
