/// A DataRow of one value, `742 16/B374D848`: a transaction's id and a WAL position.
package struct TransactionAnswer: Hashable, Sendable {
    /// With the epoch.
    package let id: UInt64
    /// Bytes since the start of the WAL stream.
    package let position: UInt64

    /// Nil for NULL and for everything else.
    package init?(_ row: UnsafeRawBufferPointer) {
        var reader = ByteReader(row)
        guard reader.integer(UInt16.self) == 1, let count = reader.integer(UInt32.self), count == reader.remaining
        else { return nil }
        var text = reader.rest
        guard let id = Self.number(&text, base: 10, upTo: UInt8(ascii: " "), .max),
            let high = Self.number(&text, base: 16, upTo: UInt8(ascii: "/"), UInt64(UInt32.max)),
            let low = Self.number(&text, base: 16, upTo: nil, UInt64(UInt32.max))
        else { return nil }
        self.id = id
        self.position = high << 32 | low
    }

    /// Takes digits and what ends them from the front.
    private static func number(
        _ text: inout UnsafeRawBufferPointer, base: UInt64, upTo end: UInt8?, _ limit: UInt64
    ) -> UInt64? {
        var value: UInt64 = 0
        var count = 0
        while count < text.count, text[count] != end {
            guard let digit = Self.digit(text[count]), digit < base else { return nil }
            let (product, isLarge) = value.multipliedReportingOverflow(by: base)
            let (sum, isLarger) = product.addingReportingOverflow(digit)
            guard !isLarge, !isLarger, sum <= limit else { return nil }
            value = sum
            count += 1
        }
        guard count > 0, end == nil || count < text.count else { return nil }
        text = UnsafeRawBufferPointer(rebasing: text[(end == nil ? count : count + 1)...])
        return value
    }

    private static func digit(_ byte: UInt8) -> UInt64? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A")) + 10
        default: nil
        }
    }
}
