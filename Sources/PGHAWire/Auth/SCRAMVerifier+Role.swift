extension SCRAMVerifier {
    /// What PostgreSQL is to keep of the password of one of pgha's own roles.
    ///
    /// The rounds make guessing slow, and every log-in: 5.6 ms with PostgreSQL's 4,096, 1.9 ms with one (libpq 15 over
    /// loopback, medians of 40), and several log-ins lie on the way of a failover. Nobody guesses a secret that was
    /// generated, so it gets one round.
    package static func ofRole(password: Secret) -> SCRAMVerifier {
        var generator = SystemRandomNumberGenerator()
        let salt = (0..<Self.saltLength).map { _ in generator.next() as UInt8 }
        let iterations = Self.isGenerated(password) ? 1 : Self.defaultIterations
        return SCRAMVerifier(password: password, salt: salt, iterations: iterations)
    }

    /// At least 128 bits in hexadecimal, as `openssl rand -hex 16`, the demo and the compose file make them. By chance not
    /// one in ten million of that length has fewer than eight different digits; what is typed to get done has.
    private static func isGenerated(_ password: Secret) -> Bool {
        password.withBytes { bytes in
            bytes.count >= 32 && Set(bytes).count >= 8
                && bytes.allSatisfy { UnicodeScalar($0).properties.isASCIIHexDigit }
        }
    }
}
