/// An address of a client. An IPv4 address inside of IPv6 (`::ffff:192.0.2.1`) is the IPv4 address, because a
/// listener for both kinds reports it so.
package struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    /// The 128 bits; of IPv4 the lowest 32 of `low`.
    private let high: UInt64
    private let low: UInt64
    package let isIPv4: Bool

    package init(v4: UInt32) {
        self.high = 0
        self.low = UInt64(v4)
        self.isIPv4 = true
    }

    package init(v6 high: UInt64, _ low: UInt64) {
        self.isIPv4 = high == 0 && low >> 32 == 0xFFFF
        self.high = high
        self.low = self.isIPv4 ? low & 0xFFFF_FFFF : low
    }

    /// Numeric notation; nil for anything else, also for a zone (`%eth0`).
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        if let address = Self.v4(bytes[...]) {
            self.init(v4: address)
        } else if let (high, low) = Self.v6(bytes[...]) {
            self.init(v6: high, low)
        } else {
            return nil
        }
    }

    package var bitCount: Int { self.isIPv4 ? 32 : 128 }

    /// Whether the first `count` bits are those of `other`, which must be of the same kind.
    package func shares(_ count: Int, bitsWith other: IPAddress) -> Bool {
        guard self.isIPv4 == other.isIPv4 else { return false }
        let (high, low) = self.mask(count)
        return (self.high ^ other.high) & high == 0 && (self.low ^ other.low) & low == 0
    }

    /// Whether nothing is set behind the first `count` bits.
    func isNetwork(_ count: Int) -> Bool {
        let (high, low) = self.mask(count)
        return self.high & ~high == 0 && self.low & (self.isIPv4 ? 0xFFFF_FFFF : ~0) & ~low == 0
    }

    private func mask(_ count: Int) -> (UInt64, UInt64) {
        if self.isIPv4 { return (0, UInt64(UInt32.max) & ~(UInt64(UInt32.max) >> UInt64(count))) }
        return (Self.leading(count), Self.leading(count - 64))
    }

    private static func leading(_ count: Int) -> UInt64 { count <= 0 ? 0 : count >= 64 ? ~0 : ~(~0 >> UInt64(count)) }

    /// How many leading bits a netmask has; nil where they are not all in front.
    var maskLength: Int? {
        (0...self.bitCount).first { count in
            let (high, low) = self.mask(count)
            return self.high == high && self.low == low
        }
    }

    // MARK: Text

    private static func v4(_ text: ArraySlice<UInt8>) -> UInt32? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            // A leading zero would mean octal to some.
            guard part.count <= 3, part.count == 1 || part.first != UInt8(ascii: "0"),
                let value = DecimalText.value(of: part), value <= 255
            else { return nil }
            address = address << 8 | UInt32(value)
        }
        return address
    }

    private static func v6(_ text: ArraySlice<UInt8>) -> (UInt64, UInt64)? {
        var groups: [UInt16] = []
        var gap: Int?
        var rest = text
        if rest.starts(with: "::".utf8) {
            gap = 0
            rest = rest.dropFirst(2)
        }
        while !rest.isEmpty, groups.count < 8 {
            let part = rest.prefix { $0 != UInt8(ascii: ":") }
            rest = rest[part.endIndex...]
            if rest.isEmpty, let v4 = Self.v4(part) {
                groups += [UInt16(v4 >> 16), UInt16(truncatingIfNeeded: v4)]
                break
            }
            guard let group = Self.group(part) else { return nil }
            groups.append(group)
            guard !rest.isEmpty else { break }
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: ":") {
                guard gap == nil else { return nil }
                gap = groups.count
                rest = rest.dropFirst()
            } else if rest.isEmpty {
                return nil
            }
        }
        guard rest.isEmpty, gap == nil ? groups.count == 8 : groups.count < 8 else { return nil }
        if let gap { groups.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: gap) }
        func word(_ half: ArraySlice<UInt16>) -> UInt64 { half.reduce(0) { $0 << 16 | UInt64($1) } }
        return (word(groups[..<4]), word(groups[4...]))
    }

    private static func group(_ text: ArraySlice<UInt8>) -> UInt16? {
        guard 1...4 ~= text.count, text.allSatisfy({ $0 < 0x80 && Character(UnicodeScalar($0)).isHexDigit }) else {
            return nil
        }
        return UInt16(String(decoding: text, as: UTF8.self), radix: 16)
    }

    package var description: String {
        if self.isIPv4 {
            let bytes = [24, 16, 8, 0].map { String(self.low >> $0 & 255) }
            return bytes.joined(separator: ".")
        }
        let shifts: [UInt64] = [48, 32, 16, 0]
        let groups = [self.high, self.low].flatMap { half in shifts.map { String(half >> $0 & 0xFFFF, radix: 16) } }
        return groups.joined(separator: ":")
    }
}
