import PGHAWire

/// Numbers that are the same in every run (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        self.state = seed
        self.state = self.next()
    }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var z = self.state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: self.next()) } }
}

/// What `body` builds.
func built(_ body: (inout WireBuffer) -> Void) -> [UInt8] {
    var buffer = WireBuffer()
    body(&buffer)
    return buffer.array
}

/// Bytes of `text` followed by nothing; `\0` stands for itself.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

extension [UInt8] {
    /// A copy whose last byte is the last of its allocation, so that a sanitizer sees what reads beyond it.
    func withExactBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: self.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: self)
        return body(UnsafeRawBufferPointer(copy))
    }
}

/// A startup packet: length word, code, body.
func startupPacket(_ code: UInt32, _ body: [UInt8]) -> [UInt8] {
    built { buffer in
        buffer.untypedMessage { buffer in
            buffer.append(code)
            buffer.append(body)
        }
    }
}
