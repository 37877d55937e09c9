import PGHATesting
import PGHAWire
import Testing

/// What a pooler keeps of a message cannot be more than what the sender got rid of while the receiver took nothing.
@Suite("Messages of any size need constant memory", .serialized, .enabled(if: ScratchPostgres.unavailable == nil))
struct LargeMessageTests {
    private static let size = 64 << 20

    @Test func aRowWaitsAtItsServer() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        client.wait(upTo: 60)
        client.send { $0.query("SELECT repeat('x', \(Self.size))") }
        try await rig.server.wait(until: "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'ClientWrite')")
        #expect(try client.readToReady().map(\.body.count).max() == 2 + 4 + Self.size)
        #expect(try client.value("SELECT 1") == "1")
    }

    @Test func aParameterWaitsAtItsClient() async throws {
        let rig = try await PoolerRig.start()
        let client = try rig.client()
        client.wait(upTo: 60)
        client.send {
            $0.parse("s", "SELECT length($1)")
            $0.sync()
        }
        #expect(try client.answers() == ["1", "Z:I"])
        var buffer = WireBuffer()
        buffer.bind("s", [String(repeating: "x", count: Self.size)])
        buffer.execute()
        buffer.sync()
        let bytes = buffer.array
        rig.server.freeze()
        let sent = client.sendUntilBlocked(bytes)
        rig.server.thaw()
        // Sockets hold some megabytes of it.
        #expect(sent < Self.size)
        client.send(Array(bytes[sent...]))
        #expect(try client.answers() == ["2", "D:\(Self.size)", "C:SELECT 1", "Z:I"])
    }
}
