/// What `rolpassword` holds.
package enum StoredPassword: Sendable, CustomStringConvertible {
    case scram(SCRAMVerifier)
    /// `md5` and 32 digits.
    case md5(Secret)

    /// nil for a password in the clear, which PostgreSQL has not stored since version 10.
    package init?(_ text: Secret) {
        if MD5Password.isStored(text) {
            self = .md5(text)
        } else if let verifier = text.withBytes({ SCRAMVerifier($0) }) {
            self = .scram(verifier)
        } else {
            return nil
        }
    }

    package func matches(cleartext: Secret, user: WireText) -> Bool {
        switch self {
        case .scram(let verifier): verifier.matches(password: cleartext)
        case .md5(let stored):
            MD5Password.stored(password: cleartext, user: user).map { $0.isEqual(to: stored) } ?? false
        }
    }

    /// Whether the same proofs are right.
    package func isEqual(to other: StoredPassword) -> Bool {
        switch (self, other) {
        case (.scram(let own), .scram(let other)):
            own.iterations == other.iterations && own.salt == other.salt && own.isMock == other.isMock
                && own.storedKey.isEqual(to: other.storedKey) && own.serverKey.isEqual(to: other.serverKey)
        case (.md5(let own), .md5(let other)): own.isEqual(to: other)
        case (.scram, .md5), (.md5, .scram): false
        }
    }

    package var description: String { "***" }
}

/// A role's password and how long it counts (`VALID UNTIL`; CVE-2025-2291 is a pooler that forgot).
package struct RoleCredential: Sendable {
    /// nil: the role has none, or the pooler knows no such role.
    package let password: StoredPassword?
    /// Microseconds since 1970; nil: always (NULL or infinity).
    package let validUntil: Int64?

    package init(password: StoredPassword?, validUntil: Int64? = nil) {
        self.password = password
        self.validUntil = validUntil
    }

    /// Whether the password counts `at` that time, in microseconds since 1970. PostgreSQL refuses what lies before
    /// now and lets in at the very moment.
    package func isValid(at now: Int64) -> Bool { self.validUntil.map { $0 >= now } ?? true }

    /// The verifier to run SCRAM with: the role's own, or a mock when there is none. An expired one is still run,
    /// because its owner alone may learn that it has expired; the caller refuses after the proof.
    package func verifier(user: WireText, mockSecret: Secret) -> SCRAMVerifier {
        if case .scram(let verifier) = self.password { return verifier }
        return .mock(user: user, secret: mockSecret)
    }
}
