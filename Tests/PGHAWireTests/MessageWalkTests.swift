import PGHAWire
import Testing

@Suite("Framing finds the same messages wherever the bytes are split") struct MessageWalkTests {
    /// What a caller does between runs: holds a partial header, skips the rest of a long message.
    private struct Follower {
        var held: [UInt8] = []
        var missing = 0
        var seen: [String] = []
        var isMalformed = false

        mutating func take(_ run: [UInt8]) {
            let skipped = min(self.missing, run.count)
            self.missing -= skipped
            let bytes = self.held + run[skipped...]
            self.held = []
            bytes.withUnsafeBytes { bytes in
                var walk = MessageWalk(bytes)
                while true {
                    switch walk.next() {
                    case .message(let message):
                        self.seen.append("\(Character(UnicodeScalar(message.type)))\(message.totalCount)")
                        self.missing = message.totalCount - message.presentCount
                    case .done: return
                    case .partialHeader(let count):
                        self.held = Array(bytes.suffix(count))
                        return
                    case .malformed:
                        self.isMalformed = true
                        return
                    }
                }
            }
        }
    }

    private static func stream() -> [UInt8] {
        var buffer = WireBuffer()
        buffer.message(FrontendMessage.query) { $0.appendString("SELECT 1") }
        buffer.emptyMessage(FrontendMessage.sync)
        buffer.message(FrontendMessage.copyData) { $0.append([UInt8](repeating: 7, count: 40)) }
        buffer.emptyMessage(FrontendMessage.terminate)
        return buffer.array
    }

    @Test func everyPairOfSplitPointsGivesTheSameMessages() {
        let stream = Self.stream()
        for first in 0...stream.count {
            for second in first...stream.count {
                var follower = Follower()
                follower.take(Array(stream[..<first]))
                follower.take(Array(stream[first..<second]))
                follower.take(Array(stream[second...]))
                #expect(follower.seen == ["Q14", "S5", "d45", "X5"], "split at \(first) and \(second)")
                #expect(follower.held.isEmpty && follower.missing == 0)
            }
        }
    }

    @Test(arguments: [0, 3, 0x4000_0000, 0x7FFF_FFFF, 0xFFFF_FFFF] as [UInt32])
    func aLengthThatCannotBeIsRefused(length: UInt32) {
        var follower = Follower()
        follower.take([0x51] + withUnsafeBytes(of: length.bigEndian) { Array($0) })
        #expect(follower.isMalformed)
        #expect(follower.seen.isEmpty)
    }

    @Test func aMessageOfOneGigabyteNeedsNoMemory() {
        var follower = Follower()
        follower.take([0x64, 0x3F, 0xFF, 0xFF, 0xFF, 1, 2, 3])
        #expect(follower.missing == 0x4000_0000 - 8)
        #expect(follower.held.isEmpty)
    }
}
