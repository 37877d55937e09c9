import COpenSSL

/// Prepares a password as PostgreSQL does (RFC 4013, `pg_saslprep`): what looks the same becomes the same, and what
/// must not be is left as it came.
///
/// As in PostgreSQL, and unlike in the RFC, a password that is not UTF-8 or has a forbidden character is no error: its
/// bytes are used. What is forbidden is looked for before normalization.
enum SASLprep {
    static func prepared(_ password: Secret) -> Secret {
        password.withBytes { bytes in
            guard bytes.contains(where: { $0 >= 0x80 }),
                let text = String(validating: bytes, as: UTF8.self)
            else { return password }
            var mapped = text.unicodeScalars.map(\.value).filter { !Self.removed.contains($0) }
            defer { Self.wipe(&mapped) }
            for index in mapped.indices where Self.spaces.contains(mapped[index]) { mapped[index] = 0x20 }
            guard Self.isAllowed(mapped) else { return password }
            var normal = Normalization.composed(Normalization.ordered(Normalization.decomposed(mapped)))
            defer { Self.wipe(&normal) }
            var result: [UInt8] = []
            for code in normal {
                if let scalar = Unicode.Scalar(code) { result.append(contentsOf: UTF8.encode(scalar) ?? .init()) }
            }
            defer { result.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) } }
            return Secret(result)
        }
    }

    /// RFC 3454, sections 5 and 6.
    private static func isAllowed(_ codes: [UInt32]) -> Bool {
        guard let first = codes.first, let last = codes.last, !codes.contains(where: Self.prohibited.contains) else {
            return false
        }
        guard codes.contains(where: Self.rightToLeft.contains) else { return true }
        return !codes.contains(where: Self.leftToRight.contains) && Self.rightToLeft.contains(first)
            && Self.rightToLeft.contains(last)
    }

    private static func wipe(_ codes: inout [UInt32]) {
        codes.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
    }

    private static let spaces = CodeRanges(SASLprepTables.spaces)
    private static let removed = CodeRanges(SASLprepTables.removed)
    private static let prohibited = CodeRanges(SASLprepTables.prohibited)
    private static let rightToLeft = CodeRanges(SASLprepTables.rightToLeft)
    private static let leftToRight = CodeRanges(SASLprepTables.leftToRight)
}

/// Unicode's form NFKC, for the characters of Unicode 3.2.
enum Normalization {
    // Hangul is computed (Unicode standard, section 3.12).
    private static let syllables: UInt32 = 0xAC00
    private static let leading: UInt32 = 0x1100
    private static let vowels: UInt32 = 0x1161
    private static let trailing: UInt32 = 0x11A7
    private static let vowelCount: UInt32 = 21
    private static let trailingCount: UInt32 = 28
    private static let leadingCount: UInt32 = 19
    private static let syllableCount = leadingCount * vowelCount * trailingCount

    static func decomposed(_ codes: [UInt32]) -> [UInt32] {
        codes.flatMap { code -> [UInt32] in
            let index = code &- Self.syllables
            guard index < Self.syllableCount else { return Self.decompositions[code] ?? [code] }
            let last = index % Self.trailingCount
            let pair = [
                Self.leading + index / (Self.vowelCount * Self.trailingCount),
                Self.vowels + index % (Self.vowelCount * Self.trailingCount) / Self.trailingCount,
            ]
            return last == 0 ? pair : pair + [Self.trailing + last]
        }
    }

    /// Runs of combining marks by their class, equal ones as they were.
    static func ordered(_ codes: [UInt32]) -> [UInt32] {
        var codes = codes
        for index in codes.indices {
            let mark = codes[index]
            let order = Self.combiningClass(mark)
            var place = index
            while order > 0, place > 0, Self.combiningClass(codes[place - 1]) > order {
                codes[place] = codes[place - 1]
                place -= 1
            }
            codes[place] = mark
        }
        return codes
    }

    static func composed(_ codes: [UInt32]) -> [UInt32] {
        var result: [UInt32] = []
        var starter: Int?
        var lastClass: UInt8 = 0
        for code in codes {
            let order = Self.combiningClass(code)
            // Blocked when a mark of the same or a higher class, or another starter, lies between.
            if let place = starter, place == result.count - 1 || (lastClass < order && lastClass > 0),
                let joined = Self.joined(result[place], code)
            {
                result[place] = joined
                continue
            }
            if order == 0 { starter = result.count }
            lastClass = order
            result.append(code)
        }
        return result
    }

    private static func joined(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if first &- Self.leading < Self.leadingCount, second &- Self.vowels < Self.vowelCount {
            return Self.syllables
                + ((first - Self.leading) * Self.vowelCount + second - Self.vowels) * Self.trailingCount
        }
        let syllable = first &- Self.syllables
        if syllable < Self.syllableCount, syllable % Self.trailingCount == 0, second > Self.trailing,
            second - Self.trailing < Self.trailingCount
        {
            return first + second - Self.trailing
        }
        return Self.compositions[UInt64(first) << 32 | UInt64(second)]
    }

    private static func combiningClass(_ code: UInt32) -> UInt8 {
        Unicode.Scalar(code)?.properties.canonicalCombiningClass.rawValue ?? 0
    }

    private static let decompositions: [UInt32: [UInt32]] = {
        var reader = TableReader(SASLprepTables.decompositions)
        var result: [UInt32: [UInt32]] = [:]
        var code: UInt32 = 0
        var target: Int32 = 0
        while !reader.isAtEnd {
            code += reader.number()
            let count = reader.number()
            let length = count == 0 ? reader.number() : 1
            let targets = (0..<max(count, 1)).map { _ in
                target += reader.difference()
                return UInt32(target)
            }
            for offset in 0..<length { result[code + offset] = length > 1 ? [targets[0] + offset] : targets }
        }
        return result
    }()

    private static let compositions: [UInt64: UInt32] = {
        var reader = TableReader(SASLprepTables.compositions)
        var result: [UInt64: UInt32] = [:]
        var code: UInt32 = 0
        var second: Int32 = 0
        while !reader.isAtEnd {
            code += reader.number()
            let first = UInt64(Int64(code) + Int64(reader.difference()))
            second += reader.difference()
            result[first << 32 | UInt64(second)] = code
        }
        return result
    }()
}

/// Code points by their ranges.
struct CodeRanges {
    /// In order.
    private var ranges: [Range<UInt32>] = []

    init(_ table: String) {
        var reader = TableReader(table)
        var start: UInt32 = 0
        while !reader.isAtEnd {
            start += reader.number()
            self.ranges.append(start..<start + reader.number())
        }
    }

    func contains(_ code: UInt32) -> Bool {
        var low = 0
        var high = self.ranges.count
        while low < high {
            let middle = (low + high) / 2
            if self.ranges[middle].upperBound <= code { low = middle + 1 } else { high = middle }
        }
        return low < self.ranges.count && self.ranges[low].contains(code)
    }
}

/// Reads the numbers of ``SASLprepTables``.
private struct TableReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ table: String) { self.bytes = Base64.decode(Array(table.utf8)) ?? [] }

    var isAtEnd: Bool { self.position >= self.bytes.count }

    mutating func number() -> UInt32 {
        var value: UInt32 = 0
        var shift: UInt32 = 0
        while self.position < self.bytes.count {
            let byte = self.bytes[self.position]
            self.position += 1
            value |= UInt32(byte & 127) << shift
            if byte < 128 { break }
            shift += 7
        }
        return value
    }

    mutating func difference() -> Int32 {
        let number = self.number()
        return number & 1 == 0 ? Int32(number >> 1) : -Int32(number >> 1) - 1
    }
}
