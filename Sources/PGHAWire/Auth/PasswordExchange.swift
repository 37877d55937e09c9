/// How a client is asked for its password.
package enum PasswordExchange: Sendable {
    case scram(SCRAMVerifier)
    /// `md5` and 32 digits.
    case md5(Secret)
    /// Compared by ``StoredPassword/matches(cleartext:user:)``.
    case cleartext

    /// As PostgreSQL chooses: a rule `md5` takes SCRAM for roles that have a verifier; who has no password, or no such
    /// one, is asked all the same and fails at the end. nil for methods without a password.
    package init?(
        _ method: HBARule.Method, credential: RoleCredential?, user: WireText, mockSecret: Secret
    ) {
        switch (method, credential?.password) {
        case (.password, _): self = .cleartext
        case (.md5, .md5(let stored)?): self = .md5(stored)
        case (.md5, _), (.scramSHA256, _):
            let none = RoleCredential(password: nil)
            self = .scram((credential ?? none).verifier(user: user, mockSecret: mockSecret))
        case (.trust, _), (.reject, _), (.cert, _), (.peer, _): return nil
        }
    }
}
