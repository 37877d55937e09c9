import Glibc
import PGHACore
import PGHAPooler
import PGHATesting
import PGHAWire
import Testing

/// Clients that mean harm, or are broken: whatever they do, others do not notice.
@Suite(.serialized, .enabled(if: ScratchPostgres.unavailable == nil, "PostgreSQL is needed"))
struct HostileTests {
    /// A well-behaved client goes on before, while and after others run `attack`, and nothing of them is left.
    private func bystand(
        _ rig: PoolerRig, _ attack: (_ turn: Int) throws -> Void, turns: Int
    ) async throws {
        let bystander = try rig.client()
        for turn in 0..<turns {
            try attack(turn)
            if turn % 16 == 0 { #expect(try bystander.value("SELECT \(turn)") == "\(turn)") }
        }
        #expect(try bystander.value("SELECT 'still here'") == "still here")
        let deadline = ContinuousClock.now + .seconds(30)
        while await rig.pooler.statistics().clients > 1 {
            guard ContinuousClock.now < deadline else {
                Issue.record("clients are left")
                return
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// The same in every run.
    private struct Noise {
        var generator: SeededGenerator
        mutating func bytes(_ count: Int) -> [UInt8] {
            (0..<count).map { _ in UInt8(truncatingIfNeeded: self.generator.next()) }
        }
    }

    @Test func noiseInPlaceOfAStartupPacketEndsTheConnection() async throws {
        let rig = try await PoolerRig.start()
        var noise = Noise(generator: SeededGenerator(seed: 1))
        try await self.bystand(
            rig,
            { turn in
                let client = try RawClient(port: rig.port)
                client.send(noise.bytes(1 + turn * 7))
                client.finishSending()
                while try client.read() != nil {}
            }, turns: 128)
    }

    @Test func noiseBehindALogInEndsTheConnection() async throws {
        let rig = try await PoolerRig.start(poolSize: 4)
        var noise = Noise(generator: SeededGenerator(seed: 2))
        let types = Array("QPBDESCHFdcfpX?".utf8)
        try await self.bystand(
            rig,
            { turn in
                let client = try rig.client()
                // A header that might be one, so that more than the first check is reached.
                client.send([types[turn % types.count], 0, 0, 0, UInt8(4 + turn % 60)] + noise.bytes(200))
                client.finishSending()
                while (try? client.read()) ?? nil != nil {}
            }, turns: 128)
    }

    @Test(arguments: Array("QPBDECHFdp".utf8))
    func alengthOfGigabytesCostsNoMemory(type: UInt8) async throws {
        let rig = try await PoolerRig.start(poolSize: 4)
        try await self.bystand(
            rig,
            { turn in
                let client = try rig.client()
                client.send([type, 0x7F, 0xFF, 0xFF, 0xF0] + [UInt8](repeating: 0x41, count: 4096))
                client.finishSending()
                while (try? client.read()) ?? nil != nil {}
            }, turns: 8)
    }

    @Test func clientsThatVanishAnywhereInALogInLeaveNothing() async throws {
        let rig = try await LogInRig.start()
        var buffer = WireBuffer()
        buffer.startupMessage(version: .newest, parameters: [.init("user", "app"), .init("database", "postgres")])
        let startup = buffer.array
        for turn in 0..<96 {
            let client = try RawClient(port: rig.port)
            client.send(Array(startup.prefix(turn * 2)))
            // Half of them wait for the answer, and answer it with nonsense.
            if turn * 2 >= startup.count, turn % 2 == 0 {
                _ = try client.read()
                client.send([0x70, 0, 0, 0, UInt8(4 + turn % 32)] + [UInt8](repeating: UInt8(turn), count: turn % 32))
            }
            if turn % 3 == 0 { client.resetOnClose() }
        }
        #expect(rig.psql() == "app")
        let deadline = ContinuousClock.now + .seconds(30)
        while await rig.pooler.statistics().clients > 0, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(10))
        }
        #expect(await rig.pooler.statistics().clients == 0)
    }

    @Test func aFloodOfCancelRequestsCancelsNothing() async throws {
        let rig = try await PoolerRig.start {
            // Nobody listens there.
            $0.cancelPeers = [.init(host: "127.0.0.1", port: 1)]
        }
        let victim = try rig.client()
        victim.send { $0.query("SELECT pg_sleep(2), 'done'") }
        var noise = Noise(generator: SeededGenerator(seed: 3))
        for turn in 0..<500 {
            let client = try RawClient(port: rig.port)
            let key = noise.bytes(turn % 3 == 0 ? 32 : 4)
            client.send { $0.cancelRequest(CancelRequest(processID: victim.processID, key: key)) }
            #expect(try client.read() == nil)
        }
        #expect(try victim.answers().contains { $0.hasPrefix("D:") })
    }
}
