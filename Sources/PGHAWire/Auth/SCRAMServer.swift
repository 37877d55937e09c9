/// The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677, RFC 5929's tls-server-end-point), one log-in long.
///
/// Intuition: the client proves that it knows the ClientKey by hiding it under a signature that only the holder of
/// StoredKey can take away. What comes out is the ClientKey itself, with which the pooler logs in at the server as
/// that user: no password is ever stored.
package struct SCRAMServer: Sendable {
    package enum Step: Sendable {
        /// Send as AuthenticationSASLContinue.
        case challenge([UInt8])
        /// Send as AuthenticationSASLFinal, then AuthenticationOk.
        case success(final: [UInt8], keys: SCRAMKeys)
        /// Send an error and close. The state after it takes no more messages.
        case failure(SCRAMFailure)
    }

    private enum State {
        /// Next: `challenged`, or `done` on a failure.
        case waiting
        /// Next: `done`.
        case challenged(firstBare: [UInt8], binding: [UInt8], nonce: [UInt8], challenge: [UInt8])
        case done
    }

    private let verifier: SCRAMVerifier
    private let mechanism: SASLMechanism
    private let certificateHash: [UInt8]?
    private let nonce: [UInt8]
    private var state = State.waiting

    /// What to offer: the bound mechanism first, where there is something to bind to.
    package static func mechanisms(certificateHash: [UInt8]?) -> [SASLMechanism] {
        certificateHash == nil ? [.scramSHA256] : [.scramSHA256Plus, .scramSHA256]
    }

    /// `certificateHash`: of the certificate that this connection was shown, by its own signature's hash function
    /// (SHA-256 for MD5 and SHA-1); nil without TLS. `nonce`: 18 random bytes.
    package init(
        verifier: SCRAMVerifier, mechanism: SASLMechanism, certificateHash: [UInt8]?, nonce: [UInt8]
    ) {
        self.init(
            verifier: verifier, mechanism: mechanism, certificateHash: certificateHash,
            printableNonce: Base64.encode(nonce))
    }

    init(
        verifier: SCRAMVerifier, mechanism: SASLMechanism, certificateHash: [UInt8]?, printableNonce: [UInt8]
    ) {
        self.verifier = verifier
        self.mechanism = mechanism
        self.certificateHash = certificateHash
        self.nonce = printableNonce
    }

    package mutating func handle(_ message: UnsafeRawBufferPointer) -> Step {
        let state = self.state
        self.state = .done
        do {
            switch state {
            case .waiting: return try self.first(Array(message))
            case .challenged(let firstBare, let binding, let nonce, let challenge):
                return try self.final(Array(message), firstBare, binding, nonce, challenge)
            case .done: return .failure(.malformed("nothing more was expected"))
            }
        } catch {
            return .failure(error)
        }
    }

    // MARK: client-first-message

    private mutating func first(_ message: [UInt8]) throws(SCRAMFailure) -> Step {
        let headerEnd = try self.headerEnd(message)
        let firstBare = Array(message[headerEnd...])
        if firstBare.starts(with: "m=".utf8) { throw .unsupported("client requires an unsupported SCRAM extension") }
        var attributes = SCRAMAttributes(firstBare)
        // The name in it is ignored, as by PostgreSQL: the startup packet's counts.
        guard attributes.value("n") != nil, let nonce = attributes.value("r") else {
            throw .malformed("client-first-message")
        }
        guard SCRAMAttributes.isNonce(nonce) else { throw .malformed("nonce") }
        while !attributes.isAtEnd {
            guard attributes.next() != nil else { throw .malformed("client-first-message") }
        }
        let whole = Array(nonce) + self.nonce
        let challenge =
            Array("r=".utf8) + whole + Array(",s=".utf8) + Base64.encode(self.verifier.salt)
            + Array(",i=\(self.verifier.iterations)".utf8)
        let binding =
            Array(message[..<headerEnd]) + (self.mechanism == .scramSHA256Plus ? self.certificateHash ?? [] : [])
        self.state = .challenged(
            firstBare: firstBare, binding: Base64.encode(binding), nonce: whole, challenge: challenge)
        return .challenge(challenge)
    }

    /// Checks `flag,authzid,` and gives where it ends.
    private func headerEnd(_ message: [UInt8]) throws(SCRAMFailure) -> Int {
        let parts = message.split(separator: UInt8(ascii: ","), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .malformed("client-first-message") }
        try self.checkFlag(parts[0])
        guard parts[1].isEmpty else {
            if parts[1].starts(with: "a=".utf8) {
                throw .unsupported("client uses authorization identity, but it is not supported")
            }
            throw .malformed("client-first-message")
        }
        return parts[2].startIndex
    }

    private func checkFlag(_ flag: ArraySlice<UInt8>) throws(SCRAMFailure) {
        if flag.elementsEqual("n".utf8) || flag.elementsEqual("y".utf8) {
            guard self.mechanism == .scramSHA256 else {
                throw .malformed("the client selected SCRAM-SHA-256-PLUS, but without channel binding")
            }
            if flag.first == UInt8(ascii: "y"), self.certificateHash != nil { throw .bindingDowngraded }
        } else if flag.starts(with: "p=".utf8) {
            guard self.mechanism == .scramSHA256Plus, self.certificateHash != nil else {
                throw .malformed("the client selected SCRAM-SHA-256, but with channel binding")
            }
            guard flag.elementsEqual("p=tls-server-end-point".utf8) else {
                throw .unsupported("unsupported SCRAM channel-binding type")
            }
        } else {
            throw .malformed("unexpected channel-binding flag")
        }
    }

    // MARK: client-final-message

    private func final(
        _ message: [UInt8], _ firstBare: [UInt8], _ binding: [UInt8], _ nonce: [UInt8], _ challenge: [UInt8]
    ) throws(SCRAMFailure) -> Step {
        var attributes = SCRAMAttributes(message)
        guard let channel = attributes.value("c"), let echoed = attributes.value("r") else {
            throw .malformed("client-final-message")
        }
        var end = 0
        var proof: [UInt8]?
        while proof == nil {
            end = attributes.position
            guard let (name, value) = attributes.next() else { throw .malformed("client-final-message") }
            if name == UInt8(ascii: "p") { proof = Base64.decode(value) ?? [] }
        }
        guard let proof, proof.count == Hashing.keyLength, attributes.isAtEnd else {
            throw .malformed("client-final-message")
        }
        guard channel.elementsEqual(binding) else { throw .bindingMismatch }
        guard echoed.elementsEqual(nonce) else { throw .malformed("nonce does not match") }
        // Without the comma in front of the proof.
        let comma = [UInt8(ascii: ",")]
        let signed = firstBare + comma + challenge + comma + Array(message[..<(end - 1)])
        return try self.judge(proof, signed)
    }

    private func judge(_ proof: [UInt8], _ signed: [UInt8]) throws(SCRAMFailure) -> Step {
        let signature = Hashing.hmac(self.verifier.storedKey, signed)
        let clientKey = signature.xor(Secret(proof))
        let isRight = Hashing.sha256(clientKey).isEqual(to: self.verifier.storedKey)
        // Computed either way, so that time does not tell a mock verifier from a wrong password.
        let answer = Hashing.hmac(self.verifier.serverKey, signed)
        guard isRight, !self.verifier.isMock else { throw .wrongProof }
        return .success(
            final: Array("v=".utf8) + answer.withBytes { Base64.encode($0) },
            keys: SCRAMKeys(clientKey: clientKey, verifier: self.verifier))
    }
}

extension Secret {
    /// Of equal length.
    func xor(_ other: Secret) -> Secret {
        Secret(count: self.count) { output in
            self.withBytes { left in
                other.withBytes { right in
                    for index in 0..<output.count { output[index] = left[index] ^ right[index] }
                }
            }
        }
    }
}
