/// What PostgreSQL keeps of a password in `pg_authid.rolpassword`: enough to check a proof, not to make one.
package struct SCRAMVerifier: Sendable, CustomStringConvertible {
    /// PostgreSQL's default (`scram_iterations`, fixed up to 15).
    package static let defaultIterations = 4_096
    /// Bytes; PostgreSQL's choice.
    package static let saltLength = 16

    package let iterations: Int
    package let salt: [UInt8]
    /// SHA-256 of the ClientKey.
    package let storedKey: Secret
    package let serverKey: Secret
    /// Made up for a user that does not exist or has no such password: no proof is ever right.
    package let isMock: Bool

    init(iterations: Int, salt: [UInt8], storedKey: Secret, serverKey: Secret, isMock: Bool = false) {
        self.iterations = iterations
        self.salt = salt
        self.storedKey = storedKey
        self.serverKey = serverKey
        self.isMock = isMock
    }

    /// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`; nil for anything else.
    package init?(_ text: some Collection<UInt8>) {
        let parts = text.split(separator: UInt8(ascii: "$"), omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].elementsEqual("SCRAM-SHA-256".utf8) else { return nil }
        let costs = parts[1].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        let keys = parts[2].split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard costs.count == 2, keys.count == 2, let iterations = DecimalText.value(of: costs[0]), iterations > 0,
            iterations <= Int(Int32.max), let salt = Base64.decode(costs[1]),
            let storedKey = Base64.decode(keys[0]), storedKey.count == Hashing.keyLength,
            let serverKey = Base64.decode(keys[1]), serverKey.count == Hashing.keyLength
        else { return nil }
        self.init(
            iterations: iterations, salt: salt, storedKey: Secret(storedKey), serverKey: Secret(serverKey))
    }

    /// Of a password: costs `iterations` rounds.
    package init(password: Secret, salt: [UInt8], iterations: Int = Self.defaultIterations) {
        let keys = SCRAMKeys(password: password, salt: salt, iterations: iterations)
        self.init(
            iterations: iterations, salt: salt, storedKey: Hashing.sha256(keys.clientKey), serverKey: keys.serverKey)
    }

    /// One that cannot be told from a real one before the proof has failed: for one user it is always the same.
    ///
    /// `secret` must outlive restarts and be shared by poolers of one address: else the salt that changes tells who
    /// does not exist. `iterations` should be what the real verifiers have.
    package static func mock(user: WireText, secret: Secret, iterations: Int = Self.defaultIterations) -> Self {
        func derived(_ label: String) -> Secret { Hashing.hmac(secret, Array(label.utf8) + [0] + user.bytes) }
        return SCRAMVerifier(
            iterations: iterations, salt: derived("salt").withBytes { Array($0.prefix(Self.saltLength)) },
            storedKey: derived("stored"), serverKey: derived("server"), isMock: true)
    }

    /// The `secret` of ``mock(user:secret:iterations:)`` from another secret, of which it gives nothing away.
    package static func mockSecret(of secret: Secret) -> Secret {
        Hashing.hmac(secret, Array("pgha users that do not exist".utf8))
    }

    /// As `pg_authid` has it. It is as good as a secret: whoever has it can play the server.
    package var text: Secret {
        let salt = String(decoding: Base64.encode(self.salt), as: UTF8.self)
        let stored = self.storedKey.withBytes { Base64.encode($0) }
        let server = self.serverKey.withBytes { Base64.encode($0) }
        return Secret(
            Array("SCRAM-SHA-256$\(self.iterations):\(salt)$".utf8) + stored + [UInt8(ascii: ":")] + server)
    }

    package var description: String { "SCRAM-SHA-256 verifier ***" }

    /// Whether this is the verifier of `password`.
    package func matches(password: Secret) -> Bool {
        let keys = SCRAMKeys(password: password, salt: self.salt, iterations: self.iterations)
        return keys.serverKey.isEqual(to: self.serverKey) && !self.isMock
    }
}

/// What a client needs to log in as a user without knowing the password.
package struct SCRAMKeys: Sendable, CustomStringConvertible {
    package let clientKey: Secret
    package let serverKey: Secret
    /// What the keys were derived with; another verifier of the same password has others.
    package let salt: [UInt8]
    package let iterations: Int

    /// From the proof of a client whom ``SCRAMServer`` let in.
    package init(clientKey: Secret, verifier: SCRAMVerifier) {
        self.clientKey = clientKey
        self.serverKey = verifier.serverKey
        self.salt = verifier.salt
        self.iterations = verifier.iterations
    }

    /// RFC 5802, section 3. The password is prepared first.
    package init(password: Secret, salt: [UInt8], iterations: Int) {
        let salted = Hashing.pbkdf2(SASLprep.prepared(password), salt: salt, iterations: iterations)
        self.clientKey = Hashing.hmac(salted, Array("Client Key".utf8))
        self.serverKey = Hashing.hmac(salted, Array("Server Key".utf8))
        self.salt = salt
        self.iterations = iterations
    }

    package var description: String { "SCRAM keys ***" }
}

/// Whole numbers without a sign.
enum DecimalText {
    /// nil unless all are digits and the number is below 10 ^ 18.
    static func value(of text: some Collection<UInt8>) -> Int? {
        guard 1...18 ~= text.count else { return nil }
        var value = 0
        for byte in text {
            guard byte &- 0x30 < 10 else { return nil }
            value = value * 10 + Int(byte - 0x30)
        }
        return value
    }
}
