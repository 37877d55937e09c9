/// The client's side of SCRAM-SHA-256, one log-in long.
package struct SCRAMClient: Sendable {
    /// How to prove who one is.
    package enum Credential: Sendable {
        /// Costs the server's iterations.
        case password(Secret)
        /// Learned by ``SCRAMServer``; costs nothing.
        case keys(SCRAMKeys)
    }

    /// What the connection offers to bind to.
    package enum Binding: Equatable, Sendable {
        /// No TLS.
        case none
        /// TLS, but the server did not offer SCRAM-SHA-256-PLUS: it will notice if it did.
        case notOffered
        /// The hash of the server's certificate (RFC 5929, tls-server-end-point).
        case certificate([UInt8])

        var header: [UInt8] {
            switch self {
            case .none: Array("n,,".utf8)
            case .notOffered: Array("y,,".utf8)
            case .certificate: Array("p=tls-server-end-point,,".utf8)
            }
        }

        var data: [UInt8] { if case .certificate(let hash) = self { hash } else { [] } }
    }

    private enum State {
        /// Next: `proved`, or `done` on a failure.
        case started
        /// Next: `done`.
        case proved(serverSignature: Secret)
        case done
    }

    /// 25 ms of computing.
    package static let defaultIterationLimit = 100_000

    private let credential: Credential
    private let binding: Binding
    private let firstBare: [UInt8]
    private let nonce: [UInt8]
    private let iterationLimit: Int
    private var state = State.started

    /// `nonce`: 18 random bytes.
    package init(
        credential: Credential, binding: Binding, nonce: [UInt8],
        iterationLimit: Int = Self.defaultIterationLimit
    ) {
        // No name: the startup packet's counts.
        self.init(
            credential: credential, binding: binding, name: "", printableNonce: Base64.encode(nonce),
            iterationLimit: iterationLimit)
    }

    init(credential: Credential, binding: Binding, name: String, printableNonce: [UInt8], iterationLimit: Int) {
        self.credential = credential
        self.binding = binding
        self.nonce = printableNonce
        self.firstBare = Array("n=\(name),r=".utf8) + printableNonce
        self.iterationLimit = iterationLimit
    }

    package var mechanism: SASLMechanism {
        if case .certificate = self.binding { .scramSHA256Plus } else { .scramSHA256 }
    }

    /// Send it in SASLInitialResponse.
    package var firstMessage: [UInt8] { self.binding.header + self.firstBare }

    /// Takes AuthenticationSASLContinue; gives what to send in SASLResponse.
    package mutating func respond(to challenge: UnsafeRawBufferPointer) throws(SCRAMFailure) -> [UInt8] {
        guard case .started = self.state else { throw .malformed("unexpected challenge") }
        self.state = .done
        let challenge = Array(challenge)
        if challenge.starts(with: "m=".utf8) { throw .unsupported("server requires an unsupported SCRAM extension") }
        var attributes = SCRAMAttributes(challenge)
        guard let nonce = attributes.value("r"), let saltText = attributes.value("s"),
            let count = attributes.value("i"), attributes.isAtEnd, let salt = Base64.decode(saltText),
            let iterations = DecimalText.value(of: count), iterations > 0
        else { throw .malformed("server-first-message") }
        guard nonce.starts(with: self.nonce), nonce.count > self.nonce.count, SCRAMAttributes.isNonce(nonce) else {
            throw .wrongNonce
        }
        let keys = try self.keys(salt, iterations)
        let channel = Base64.encode(self.binding.header + self.binding.data)
        let withoutProof = Array("c=".utf8) + channel + Array(",r=".utf8) + nonce
        let comma = [UInt8(ascii: ",")]
        let signed = self.firstBare + comma + challenge + comma + withoutProof
        let signature = Hashing.hmac(Hashing.sha256(keys.clientKey), signed)
        let proof = keys.clientKey.xor(signature).withBytes { Base64.encode($0) }
        self.state = .proved(serverSignature: Hashing.hmac(keys.serverKey, signed))
        return withoutProof + Array(",p=".utf8) + proof
    }

    private func keys(_ salt: [UInt8], _ iterations: Int) throws(SCRAMFailure) -> SCRAMKeys {
        switch self.credential {
        case .keys(let keys):
            guard keys.salt == salt, keys.iterations == iterations else { throw .keysOutdated }
            return keys
        case .password(let password):
            guard iterations <= self.iterationLimit else { throw .tooManyIterations(iterations) }
            return SCRAMKeys(password: password, salt: salt, iterations: iterations)
        }
    }

    /// Takes AuthenticationSASLFinal. Until it returns, the server has proved nothing: AuthenticationOk before it, or
    /// without it, must be refused.
    package mutating func verify(_ final: UnsafeRawBufferPointer) throws(SCRAMFailure) {
        guard case .proved(let expected) = self.state else { throw .malformed("unexpected server-final-message") }
        self.state = .done
        var attributes = SCRAMAttributes(Array(final))
        guard let (name, value) = attributes.next(), attributes.isAtEnd else {
            throw .malformed("server-final-message")
        }
        if name == UInt8(ascii: "e") { throw .refused(String(decoding: value, as: UTF8.self)) }
        guard name == UInt8(ascii: "v"), let signature = Base64.decode(value) else {
            throw .malformed("server-final-message")
        }
        guard signature.withUnsafeBytes({ expected.isEqual(to: $0) }) else { throw .wrongServerSignature }
        self.isVerified = true
    }

    /// Whether the server has proved that it knows the verifier.
    package private(set) var isVerified = false
}
