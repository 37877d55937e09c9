/// Names what a readiness report is about: kind, generation (a closed connection's reports are told by it), place.
struct Token: BitwiseCopyable, Equatable {
    enum Kind: UInt8 {
        case client = 1
        case server
        case listener
        case mailbox
        case lookup
        case probe
        case side
    }

    let bits: UInt64

    init(bits: UInt64) { self.bits = bits }

    init(_ kind: Kind, index: UInt32, generation: UInt32 = 0) {
        self.bits = UInt64(kind.rawValue) << 56 | UInt64(generation & 0xFF_FFFF) << 32 | UInt64(index)
    }

    @inline(__always) var kind: UInt8 { UInt8(truncatingIfNeeded: self.bits >> 56) }
    @inline(__always) var generation: UInt32 { UInt32(truncatingIfNeeded: self.bits >> 32) & 0xFF_FFFF }
    @inline(__always) var index: UInt32 { UInt32(truncatingIfNeeded: self.bits) }
}
