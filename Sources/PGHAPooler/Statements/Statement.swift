internal import Glibc
internal import PGHAWire

typealias StatementPointer = UnsafeMutablePointer<Statement>

/// One prepared statement: its text and the types of its parameters, shared by all who prepared the same.
struct Statement: BitwiseCopyable {
    let hash: UInt64
    /// In the table's bucket.
    var next: StatementPointer?
    /// Clients, servers and the table itself that refer to it.
    var users: Int32 = 0
    /// How often it was prepared without a name: literals pasted into texts make statements that come only once,
    /// and these are not worth a place on the servers.
    var sightings: UInt32 = 0
    /// The name on servers, with its zero; then the body of Parse behind the name: text, zero, parameter types.
    private let memory: UnsafeMutableRawPointer
    let nameCount: Int
    let bodyCount: Int
    /// Its text might change what a session remembers.
    let needsAttention: Bool

    /// Whether a standby may run it; nil until that was asked.
    var isRead: Bool?

    /// The text alone.
    var text: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self.body[..<(self.body.firstIndex(of: 0) ?? self.bodyCount)])
    }

    /// The name on servers, with its zero.
    var name: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: self.memory, count: self.nameCount) }
    var body: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: self.memory + self.nameCount, count: self.bodyCount)
    }

    init(hash: UInt64, number: UInt64, body: UnsafeRawBufferPointer) {
        self.hash = hash
        let name = Array("pgha_\(String(number, radix: 36))".utf8) + [0]
        self.nameCount = name.count
        self.bodyCount = body.count
        self.needsAttention = AttentionTest.needsAttention(
            UnsafeRawBufferPointer(rebasing: body[..<(body.firstIndex(of: 0) ?? body.count)]))
        self.memory = .allocate(byteCount: name.count + body.count, alignment: 1)
        name.withUnsafeBytes {
            self.memory.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(self.memory), byteCount: $0.count)
        }
        if let start = body.baseAddress { (self.memory + name.count).copyMemory(from: start, byteCount: body.count) }
    }

    func deallocate() { self.memory.deallocate() }
}

/// Bytes to 64 bits, eight at a time. `seed` is random, so that nobody can make statements collide on purpose.
func hashBytes(_ bytes: UnsafeRawBufferPointer, seed: UInt64) -> UInt64 {
    var hash = seed ^ UInt64(truncatingIfNeeded: bytes.count)
    var index = 0
    while index + 8 <= bytes.count {
        hash = foldedProduct(hash ^ bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
        index += 8
    }
    var rest: UInt64 = 0
    while index < bytes.count {
        rest = rest << 8 | UInt64(bytes[index])
        index += 1
    }
    return foldedProduct(hash ^ rest)
}

/// Both halves of a wide product, folded: every bit of the input reaches every bit of the result.
@inline(__always) private func foldedProduct(_ value: UInt64) -> UInt64 {
    let product = (value ^ 0x2D35_8DCC_AA6C_78A5).multipliedFullWidth(by: 0x8BB8_4B93_962E_ACC9)
    return product.high ^ product.low
}

func sameBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
    guard left.count == right.count else { return false }
    guard let start = left.baseAddress, let other = right.baseAddress else { return true }
    return memcmp(start, other, left.count) == 0
}
