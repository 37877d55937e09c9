internal import COpenSSL
internal import Glibc
internal import PGHAWire

/// Whose client a cancel request means: the process that BackendKeyData names, in 31 bits, because some drivers print it
/// as a signed number.
///
/// From the top: a 1, so that no process of any host has the number (Linux: 2^22 at most, proc(5), `pid_max`); 5 bits of
/// process, as many of loop as there are loops, the rest of generation and place, so that clients that come and go do
/// not all have the same number. Other hosts are not in it: what nobody here knows is passed to every
/// one of them (`cancelPeers`), and the secret decides.
struct CancelAddress: Equatable {
    static let processes: UInt32 = 32
    private static let placeBits: UInt32 = 16
    private static let processShift: UInt32 = 25
    private static let mark: UInt32 = 1 << 30

    let number: UInt32

    init(number: UInt32) { self.number = number }

    init(process: UInt32, loop: Int, of loops: Int, index: UInt32, generation: UInt32) {
        let shift = Self.loopShift(loops)
        let place = (generation << Self.placeBits &+ index) & (1 << shift - 1)
        self.number = Self.mark | process << Self.processShift | UInt32(loop) << shift | place
    }

    private static func loopShift(_ loops: Int) -> UInt32 {
        Self.processShift - UInt32(Int.bitWidth - max(loops - 1, 0).leadingZeroBitCount)
    }

    var process: UInt32 { self.number >> Self.processShift & (Self.processes - 1) }

    func loop(of loops: Int) -> Int {
        Int(self.number >> Self.loopShift(loops)) & (1 << Int(Self.processShift - Self.loopShift(loops)) - 1)
    }

    /// The places that it may mean, of `count`.
    func places(below count: UInt32) -> StrideTo<UInt32> {
        stride(from: self.number & (1 << Self.placeBits - 1), to: count, by: 1 << Self.placeBits)
    }
}

/// A cancel request that may be for a client of this pooler.
struct CancelCall: Sendable, Equatable {
    /// Who passed it on; nobody passes it on the way it came.
    enum Origin: Sendable {
        case client
        /// A pooler on another host.
        case host
        /// A pooler on the same ports.
        case process
    }

    let request: CancelRequest
    let origin: Origin
    /// In session mode this is the server's process, and the key has to say the rest.
    var processID: UInt32 { self.request.processID }
    let address: CancelAddress
    let secret: UInt32
    /// The key is one of those that clients of protocol 3.2 get.
    let isLong: Bool

    /// Of a key for protocol 3.0; longer ones are an address, a secret, and a seal in place of 24 more random bytes
    /// that would have to be kept for every client.
    private static let shortLength = 4
    private static let longLength = 32
    /// Behind a key that was passed on by another host.
    private static let hostMark: UInt8 = 0x68

    /// Nil: no pooler made this key.
    init?(_ request: CancelRequest, origin: Origin = .client) {
        var key = request.key
        var origin = origin
        if key.count == Self.shortLength + 1 || key.count == Self.longLength + 1 {
            guard key.removeLast() == Self.hostMark else { return nil }
            if origin == .client { origin = .host }
        }
        guard key.count == Self.shortLength || key.count == Self.longLength else { return nil }
        self.isLong = key.count == Self.longLength
        func word(_ offset: Int) -> UInt32 { key[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) } }
        self.address = CancelAddress(number: self.isLong ? word(0) : request.processID)
        self.secret = word(self.isLong ? 4 : 0)
        self.request = CancelRequest(processID: request.processID, key: key)
        self.origin = origin
    }

    /// Whether a long key is the one that this process made.
    var hasSeal: Bool {
        let expected = Self.longKey(self.address, secret: self.secret)
        return CRYPTO_memcmp(expected, self.request.key, min(expected.count, self.request.key.count)) == 0
    }

    /// For other hosts.
    var marked: CancelRequest { CancelRequest(processID: self.processID, key: self.request.key + [Self.hostMark]) }

    static func shortKey(secret: UInt32) -> [UInt8] { withUnsafeBytes(of: secret.bigEndian) { Array($0) } }

    static func longKey(_ address: CancelAddress, secret: UInt32) -> [UInt8] {
        let front = withUnsafeBytes(of: address.number.bigEndian) { Array($0) } + Self.shortKey(secret: secret)
        var seal = [UInt8](repeating: 0, count: 32)
        let result = HMAC(EVP_sha256(), Self.sealKey, Int32(Self.sealKey.count), front, front.count, &seal, nil)
        precondition(result != nil, "OpenSSL cannot compute SHA-256")
        return front + seal.prefix(Self.longLength - front.count)
    }

    /// Of this process.
    private static let sealKey = SecretNumber.bytes(32)
}
