import PGHAWire
import Testing

@Suite("What a server says of its transaction is read or left") struct TransactionAnswerTests {
    private func answer(_ text: String?) -> [UInt64]? {
        let value = text.map { Array($0.utf8) } ?? []
        let count = text == nil ? UInt32.max : UInt32(value.count)
        let row = [0, 1] + (0..<4).map { UInt8(truncatingIfNeeded: count >> (24 - 8 * $0)) } + value
        return row.withExactBytes { TransactionAnswer($0) }.map { [$0.id, $0.position] }
    }

    @Test func anIdAndAPosition() {
        #expect(self.answer("742 16/B374D848") == [742, 0x16_B374_D848])
        #expect(self.answer("18446744073709551615 FFFFFFFF/0") == [.max, 0xFFFF_FFFF_0000_0000])
    }

    @Test func andNothingElse() {
        for text in [
            "", " ", "742", "742 ", "742 16", "742 16/", "742 /1", " 16/1", "x 16/1", "7A 16/1", "742 16/G",
            "742 1/2/3", "18446744073709551616 0/0", "1 100000000/0", "1 0/100000000", "1 0/1 ", "1  0/1",
        ] { #expect(self.answer(text) == nil, "\(text)") }
        #expect(self.answer(nil) == nil)
    }
}
