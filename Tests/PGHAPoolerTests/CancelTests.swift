import PGHACore
import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

/// Cancel requests, wherever the kernel or a load balancer takes them.
@Suite(.serialized, .enabled(if: ScratchPostgres.unavailable == nil, "PostgreSQL is needed"))
struct CancelTests {
    private static let sleeping = "(SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep') = "

    /// Sends `request` to a pooler and waits until that has closed the connection.
    private func send(_ request: CancelRequest, to port: UInt16) throws {
        let connection = try RawClient(port: port)
        connection.send { $0.cancelRequest(request) }
        #expect(try connection.read() == nil)
    }

    /// Begins a long query and cancels it by a request to each of `ports`.
    private func cancelSleep(
        of client: RawClient, on server: ScratchPostgres, _ ports: [UInt16]
    ) async throws {
        client.send { $0.query("SELECT pg_sleep(60)") }
        try await server.wait(until: Self.sleeping + "1")
        for port in ports {
            try self.send(CancelRequest(processID: client.processID, key: client.key), to: port)
        }
        #expect(try client.answers().contains("E:57014"))
    }

    @Test func clientsOfProtocol32GetLongKeys() async throws {
        let rig = try await PoolerRig.start()
        let client = try RawClient.logIn(port: rig.port, version: .newest)
        #expect(client.key.count == 32)
        var wrong = client.key
        wrong[31] ^= 1
        client.send { $0.query("SELECT pg_sleep(60)") }
        try await rig.server.wait(until: Self.sleeping + "1")
        try self.send(CancelRequest(processID: client.processID, key: wrong), to: rig.port)
        try self.send(CancelRequest(processID: client.processID, key: Array(client.key[4..<8])), to: rig.port)
        #expect(try await rig.sessions("state = 'active'") == "1")
        try self.send(CancelRequest(processID: client.processID, key: client.key), to: rig.port)
        #expect(try client.answers().contains("E:57014"))
    }

    @Test func aVersionThatDoesNotExistIsNegotiatedDownTo32() async throws {
        let rig = try await PoolerRig.start()
        let client = try RawClient(port: rig.port)
        client.sendStartup(
            user: "postgres", database: "postgres", [("_pq_.grease", "1")], version: .init(major: 3, minor: 9999))
        let messages = try client.readToReady()
        #expect(messages.contains { $0.type == "v" })
        #expect(client.key.count == 32)
    }

    /// In transaction mode it is the pooler's, and no process has it.
    @Test func theNumberOfAClientEndsNothing() async throws {
        let rig = try await PoolerRig.start(poolSize: 2)
        let (client, other) = (try rig.client(), try rig.client())
        try client.query("BEGIN")
        for function in ["pg_terminate_backend", "pg_cancel_backend"] {
            other.send { $0.query("SELECT \(function)(\(client.processID))") }
            let messages = try other.readToReady()
            #expect(messages.map(RawClient.summary) == ["T", "N", "D:f", "C:SELECT 1", "Z:I"])
            #expect(messages[1].text.contains("\(client.processID)"))
        }
        #expect(try client.query("COMMIT") == ["C:COMMIT", "Z:I"])
    }

    @Test func inSessionModeTheGreetingNamesTheServersProcess() async throws {
        let rig = try await PoolerRig.start(poolSize: 2) { $0.mode = .session }
        let (first, second) = (try rig.client(), try rig.client())
        #expect(try first.value("SELECT pg_backend_pid()") == "\(first.processID)")
        #expect(try second.value("SELECT pg_backend_pid()") == "\(second.processID)")
        try await self.cancelSleep(of: first, on: rig.server, [rig.port])
        #expect(try second.value("SELECT 1") == "1")
    }

    @Test func aClientThatNotifiesItselfKnowsItsOwnNumber() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        try client.query("LISTEN news")
        client.send { $0.query("NOTIFY news, 'x'") }
        let message = try client.readToReady().first { $0.type == "A" }
        let number = try #require(message).body.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        #expect(number == client.processID)
    }

    @Test(arguments: [PoolerConfiguration.Mode.transaction, .session])
    func anyThreadFindsTheClient(mode: PoolerConfiguration.Mode) async throws {
        let rig = try await PoolerRig.start(poolSize: 8) {
            $0.threads = 3
            $0.mode = mode
        }
        let client = try rig.client()
        // The kernel spreads these over the threads.
        for _ in 0..<4 { try await self.cancelSleep(of: client, on: rig.server, [rig.port]) }
    }

    /// Two poolers on one port, as during a restart: the kernel gives the request to either.
    @Test(arguments: [PoolerConfiguration.Mode.transaction, .session])
    func poolersOnOnePortFindEachOthersClients(mode: PoolerConfiguration.Mode) async throws {
        let first = try await PoolerRig.start(poolSize: 8) {
            $0.sharesPorts = true
            $0.mode = mode
        }
        let second = try await PoolerRig.start(server: first.server, poolSize: 8) {
            $0.sharesPorts = true
            $0.mode = mode
            $0.listeners = [.init(host: "127.0.0.1", port: first.port)]
        }
        // Whichever of the two has the client, of eight requests some come to the other.
        for _ in 0..<8 {
            let client = try RawClient.logIn(port: second.port)
            try await self.cancelSleep(of: client, on: first.server, [second.port])
        }
    }

    @Test func poolersOnOtherHostsAreAsked() async throws {
        let second = try await PoolerRig.start()
        let first = try await PoolerRig.start(server: second.server) {
            $0.cancelPeers = [.init(host: "127.0.0.1", port: second.port)]
        }
        try await self.cancelSleep(of: try second.client(), on: second.server, [first.port])
        let client = try RawClient.logIn(port: second.port, version: .newest)
        try await self.cancelSleep(of: client, on: second.server, [first.port])
    }
}
