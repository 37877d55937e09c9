/// A WAL position, printed by PostgreSQL as `16/B374D848`.
///
/// Positions compare only within one timeline's ancestry; see ``TimelineHistory``.
/// Source: PostgreSQL manual, "pg_lsn Type".
package struct LSN: Hashable, Comparable, Sendable, Codable {
    /// Bytes since the start of the WAL stream.
    package let byteOffset: UInt64

    package static let zero = LSN(0)

    package init(_ byteOffset: UInt64) { self.byteOffset = byteOffset }

    /// Parses `XXXXXXXX/XXXXXXXX` (each half one to eight hexadecimal digits); nil for anything else.
    package init?(_ text: some StringProtocol) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2,
            halves.allSatisfy({ (1...8).contains($0.utf8.count) && $0.utf8.allSatisfy(Self.isHexDigit) }),
            let high = UInt64(halves[0], radix: 16), let low = UInt64(halves[1], radix: 16)
        else { return nil }
        self.byteOffset = high << 32 | low
    }

    package static func < (a: LSN, b: LSN) -> Bool { a.byteOffset < b.byteOffset }

    /// Bytes of WAL in `self` that `other` lacks; 0 when `other` is ahead.
    package func bytesAhead(of other: LSN) -> UInt64 {
        self.byteOffset > other.byteOffset ? self.byteOffset - other.byteOffset : 0
    }

    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let lsn = LSN(text) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "not a WAL position: \(text)"))
        }
        self = lsn
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.description)
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
    }
}

extension LSN: CustomStringConvertible {
    package var description: String {
        let high = String(self.byteOffset >> 32, radix: 16, uppercase: true)
        let low = String(self.byteOffset & 0xFFFF_FFFF, radix: 16, uppercase: true)
        return "\(high)/\(low)"
    }
}
