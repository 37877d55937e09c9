import Testing

@testable import PGHAWire

@Suite("SCRAM lets in who knows the password, and nobody else") struct SCRAMTests {
    private static let password = Secret(bytes("correct horse"))
    /// Few rounds, so that the tests are quick.
    private static let verifier = SCRAMVerifier(password: password, salt: Array(1...16), iterations: 64)
    private static let hash = [UInt8](repeating: 0xAB, count: 32)

    private static func server(
        _ verifier: SCRAMVerifier = verifier, _ mechanism: SASLMechanism = .scramSHA256, hash: [UInt8]? = nil
    ) -> SCRAMServer {
        SCRAMServer(
            verifier: verifier, mechanism: mechanism, certificateHash: hash, nonce: [UInt8](repeating: 2, count: 18))
    }

    private static func client(
        _ credential: SCRAMClient.Credential = .password(password), _ binding: SCRAMClient.Binding = .none
    ) -> SCRAMClient {
        SCRAMClient(credential: credential, binding: binding, nonce: [UInt8](repeating: 1, count: 18))
    }

    private func challenge(_ step: SCRAMServer.Step) throws -> [UInt8] {
        guard case .challenge(let bytes) = step else { throw Unexpected(step: "\(step)") }
        return bytes
    }

    private func success(_ step: SCRAMServer.Step) throws -> (final: [UInt8], keys: SCRAMKeys) {
        guard case .success(let final, let keys) = step else { throw Unexpected(step: "\(step)") }
        return (final, keys)
    }

    private func failure(_ step: SCRAMServer.Step) -> SCRAMFailure? {
        if case .failure(let failure) = step { failure } else { nil }
    }

    private struct Unexpected: Error { let step: String }

    /// A whole log-in; gives what the server learned.
    @discardableResult private func logIn(_ client: SCRAMClient, _ server: SCRAMServer) throws -> SCRAMKeys {
        var (client, server) = (client, server)
        let challenge = try self.challenge(client.firstMessage.withExactBytes { server.handle($0) })
        let proof = try challenge.withUnsafeBytes { bytes throws in try client.respond(to: bytes) }
        #expect(!client.isVerified)
        let (final, keys) = try self.success(proof.withExactBytes { server.handle($0) })
        try final.withUnsafeBytes { bytes throws in try client.verify(bytes) }
        #expect(client.isVerified)
        return keys
    }

    // MARK: The example of RFC 7677, section 3

    @Test func theExampleOfTheStandardIsReproduced() throws {
        let salt = try #require(Base64.decode(bytes("W22ZaJ0SNY7soEsUEjb6gQ==")))
        let pencil = Secret(bytes("pencil"))
        var client = SCRAMClient(
            credential: .password(pencil), binding: .none, name: "user",
            printableNonce: bytes("rOprNGfwEbeRWgbNEkqO"), iterationLimit: 4096)
        var server = SCRAMServer(
            verifier: SCRAMVerifier(password: pencil, salt: salt), mechanism: .scramSHA256, certificateHash: nil,
            printableNonce: bytes("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"))
        #expect(client.firstMessage == bytes("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"))
        let challenge = try self.challenge(client.firstMessage.withUnsafeBytes { server.handle($0) })
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        #expect(challenge == bytes("r=\(nonce),s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"))
        let proof = try challenge.withUnsafeBytes { bytes throws in try client.respond(to: bytes) }
        #expect(proof == bytes("c=biws,r=\(nonce),p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
        let final = try self.success(proof.withUnsafeBytes { server.handle($0) }).final
        #expect(final == bytes("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))
        try final.withUnsafeBytes { bytes throws in try client.verify(bytes) }
    }

    // MARK: Verifiers

    /// Made by PostgreSQL 15.18 with `CREATE ROLE … PASSWORD`; the passwords need no, or every kind of, preparation.
    private static let made: [(password: String, verifier: String)] = [
        (
            "correct horse",
            "SCRAM-SHA-256$4096:gLpNAUvnmMDYDxrEcaoxsA==$5F3Ij+34DwYRb2/1hA8G2j4ar/6Ton19nxHJ5Dbdvdg="
                + ":xhtLnvI15m/lpoUrOP8H9pANHnlVEKimrTIDJOhPqpI="
        ),
        (
            "I\u{AD}X",
            "SCRAM-SHA-256$4096:mPg6/Qnh1oL1lPuuXNu+0g==$RYq4dVKD6q0guDDF5ejQS2n3GBv/ZvTy1Eviso6YU/0="
                + ":/VhXHKz6v2XHDhqVCeTxi2msK/bj8fKg4U1DVS7SGYg="
        ),
        (
            "\u{2168} cafe\u{301} \u{AA}",
            "SCRAM-SHA-256$4096:4QF34DzTWq8QPYOVqm2keg==$31N69gI7ifPOKlGXlSkXZ9KFtXKvcJk4CvSnT9PMkSc="
                + ":8Q2UEF39fvbJ/dBPuk9xzPYlnGLGlM9xKPu+lWTHSOs="
        ),
        // Right to left with a digit at its end: left as it is.
        (
            "\u{627}1",
            "SCRAM-SHA-256$4096:NY3OWN+DXP20F7IncK9YOQ==$7jjm6wC2rrXkhoW55CyfM/6LGRCPaJ5kyki/Y5z5eJk="
                + ":6ez5nivPShdsV/yW5h4lrQuWtiQNcFXvnbJMOhzN2EY="
        ),
        (
            "\u{A0}\u{1680}\u{3000}pass",
            "SCRAM-SHA-256$4096:siDTd7IDzeLfiDlPXb6r4g==$6pZdWEOqTRMs///HlvWhbQ++jRmF6woAwly0aCwlzZg="
                + ":NWw3lBt86PnNQ8cXp0pmwClXWchCwQjZ75RtOLUPRmg="
        ),
        (
            "\u{FF21}\u{FF22}\u{1E9B}\u{323}\u{AC00}",
            "SCRAM-SHA-256$4096:4+vYjSX0KqjllfSURKaFXA==$GMaa3DE2LdLCoVMTVlT1Uvy4A9lbAg8hyimH5VanSPA="
                + ":zYnqR4l6G1yMIP/TRarHXQqomrYtG8GttFgAMAvmyGM="
        ),
    ]

    @Test func verifiersOfPostgreSQLAreReadAndMadeAlike() throws {
        for (password, text) in Self.made {
            let verifier = try #require(SCRAMVerifier(bytes(text)))
            let secret = Secret(bytes(password))
            #expect(verifier.matches(password: secret))
            #expect(!verifier.matches(password: Secret(bytes(password + "!"))))
            let own = SCRAMVerifier(password: secret, salt: verifier.salt, iterations: verifier.iterations)
            #expect(own.text.isEqual(to: Secret(bytes(text))))
        }
    }

    @Test func onlyASecretThatWasGeneratedGetsOneRound() {
        let generated = "5ba1f00dc0ffee5ba1f00dc0ffee1234"
        for (password, iterations) in [
            (generated, 1), (generated.uppercased(), 1), (String(generated.dropLast()), 4_096),
            (String(repeating: "0123456", count: 5), 4_096), ("correct horse battery staple 1234567", 4_096),
            ("", 4_096),
        ] {
            let secret = Secret(bytes(password))
            let verifier = SCRAMVerifier.ofRole(password: secret)
            #expect(verifier.iterations == iterations, "\(password)")
            #expect(verifier.matches(password: secret) && !verifier.matches(password: Secret(bytes(password + "!"))))
            #expect(verifier.salt != SCRAMVerifier.ofRole(password: secret).salt)
        }
    }

    @Test func everyTruncatedVerifierIsRefused() {
        let text = bytes(Self.made[0].verifier)
        for count in 0..<text.count { #expect(SCRAMVerifier(text[..<count]) == nil) }
        #expect(SCRAMVerifier(text + [61]) == nil)
        #expect(SCRAMVerifier(bytes("SCRAM-SHA-256$0:AA==$\(String(repeating: "A", count: 43))=:AA==")) == nil)
    }

    // MARK: Whole log-ins

    @Test func theLearnedKeyLogsInElsewhere() throws {
        let keys = try self.logIn(Self.client(), Self.server())
        try self.logIn(Self.client(.keys(keys)), Self.server())
        let other = SCRAMVerifier(password: Self.password, salt: Array(2...17), iterations: 64)
        #expect(throws: SCRAMFailure.keysOutdated) { try self.logIn(Self.client(.keys(keys)), Self.server(other)) }
    }

    @Test func aBoundLogInNeedsTheSameCertificateOnBothEnds() throws {
        let client = Self.client(.password(Self.password), .certificate(Self.hash))
        #expect(client.mechanism == .scramSHA256Plus)
        try self.logIn(client, Self.server(Self.verifier, .scramSHA256Plus, hash: Self.hash))
        var server = Self.server(Self.verifier, .scramSHA256Plus, hash: [UInt8](repeating: 0, count: 32))
        var deceived = client
        let challenge = try self.challenge(client.firstMessage.withUnsafeBytes { server.handle($0) })
        let proof = try challenge.withUnsafeBytes { bytes throws in try deceived.respond(to: bytes) }
        #expect(self.failure(proof.withUnsafeBytes { server.handle($0) }) == .bindingMismatch)
    }

    @Test func aRemovedOfferIsNoticed() throws {
        // Without TLS on the server's side the client's "y" is the truth.
        try self.logIn(Self.client(.password(Self.password), .notOffered), Self.server())
        var server = Self.server(hash: Self.hash)
        let first = Self.client(.password(Self.password), .notOffered).firstMessage
        #expect(self.failure(first.withUnsafeBytes { server.handle($0) }) == .bindingDowngraded)
    }

    @Test func whatIsOfferedDependsOnTheCertificate() {
        #expect(SCRAMServer.mechanisms(certificateHash: nil) == [.scramSHA256])
        #expect(SCRAMServer.mechanisms(certificateHash: Self.hash) == [.scramSHA256Plus, .scramSHA256])
    }

    @Test func aWrongPasswordAndAnUnknownUserFailAlike() throws {
        let secret = Secret([UInt8](repeating: 9, count: 32))
        let mock = SCRAMVerifier.mock(user: "nobody", secret: secret, iterations: 64)
        let wrong = SCRAMClient.Credential.password(Secret(bytes("wrong")))
        for verifier in [Self.verifier, mock] {
            var (client, server) = (Self.client(wrong), Self.server(verifier))
            let challenge = try self.challenge(client.firstMessage.withUnsafeBytes { server.handle($0) })
            let proof = try challenge.withUnsafeBytes { bytes throws in try client.respond(to: bytes) }
            #expect(self.failure(proof.withUnsafeBytes { server.handle($0) }) == .wrongProof)
        }
        #expect(mock.salt == SCRAMVerifier.mock(user: "nobody", secret: secret).salt)
        #expect(mock.salt != SCRAMVerifier.mock(user: "other", secret: secret).salt)
        #expect(mock.salt.count == SCRAMVerifier.saltLength)
    }

    // MARK: Messages that are wrong

    private static let firstCases: [(String, SCRAMFailure?)] = [
        ("n,,n=,r=abc", nil), ("y,,n=,r=abc", nil), ("n,,n=x,r=abc,x=1", nil),
        ("n,a=x,n=,r=abc", .unsupported("client uses authorization identity, but it is not supported")),
        ("n,,m=x,n=,r=abc", .unsupported("client requires an unsupported SCRAM extension")),
        ("n,,n=,r=", .malformed("nonce")), ("n,,n=,r=a b", .malformed("nonce")),
        ("n,,r=abc", .malformed("client-first-message")), ("n,,n=,r=abc,", .malformed("client-first-message")),
        ("x,,n=,r=abc", .malformed("unexpected channel-binding flag")),
        (
            "p=tls-unique,,n=,r=abc",
            .malformed("the client selected SCRAM-SHA-256, but with channel binding")
        ),
        ("", .malformed("client-first-message")), ("n", .malformed("client-first-message")),
    ]

    @Test(arguments: Self.firstCases)
    func firstMessagesAreChecked(_ text: String, _ failure: SCRAMFailure?) {
        var server = Self.server()
        #expect(self.failure(bytes(text).withExactBytes { server.handle($0) }) == failure)
    }

    @Test func theBoundMechanismWantsItsFlag() {
        for flag in ["n", "y", "p=tls-unique"] {
            var server = Self.server(Self.verifier, .scramSHA256Plus, hash: Self.hash)
            #expect(self.failure(bytes("\(flag),,n=,r=a").withExactBytes { server.handle($0) }) != nil)
        }
    }

    @Test func everyTruncationAndEveryChangedByteOfAProofFails() throws {
        var (client, fresh) = (Self.client(), Self.server())
        let challenge = try self.challenge(client.firstMessage.withUnsafeBytes { fresh.handle($0) })
        let proof = try challenge.withUnsafeBytes { bytes throws in try client.respond(to: bytes) }
        for count in 0..<proof.count {
            var server = fresh
            #expect(self.failure(Array(proof[..<count]).withExactBytes { server.handle($0) }) != nil)
            var changed = proof
            changed[count] ^= 1
            server = fresh
            #expect(self.failure(changed.withExactBytes { server.handle($0) }) != nil, "byte \(count)")
        }
        // The machine is spent after a failure, and after a success.
        var server = fresh
        _ = try self.success(proof.withUnsafeBytes { server.handle($0) })
        #expect(self.failure(proof.withUnsafeBytes { server.handle($0) }) == .malformed("nothing more was expected"))
    }

    private static let challengeCases: [(String, SCRAMFailure)] = [
        ("r=@,s=AAAA,i=64", .wrongNonce), ("r=other,s=AAAA,i=64", .wrongNonce), ("r=@x,s=AAAA", Self.malformed),
        ("r=@x,s=A,i=64", Self.malformed), ("r=@x,s=AAAA,i=0", Self.malformed), ("r=@x,s=AAAA,i=-1", Self.malformed),
        ("r=@x,s=AAAA,i=64,x=1", Self.malformed), ("r=@x,s=AAAA,i=100001", .tooManyIterations(100_001)),
        ("m=x,r=@x,s=AAAA,i=64", .unsupported("server requires an unsupported SCRAM extension")), ("", Self.malformed),
    ]
    private static let malformed = SCRAMFailure.malformed("server-first-message")

    @Test(arguments: Self.challengeCases)
    func challengesAreChecked(_ text: String, _ failure: SCRAMFailure) {
        let nonce = String(decoding: Base64.encode([UInt8](repeating: 1, count: 18)), as: UTF8.self)
        let challenge = bytes(text.split(separator: "@", omittingEmptySubsequences: false).joined(separator: nonce))
        #expect(throws: failure) {
            var client = Self.client()
            _ = try challenge.withUnsafeBytes { bytes throws in try client.respond(to: bytes) }
        }
    }

    private static let finalCases: [(String, SCRAMFailure)] = [
        ("v=\(String(repeating: "A", count: 43))=", .wrongServerSignature), ("v=AAAA", .wrongServerSignature),
        ("v=?", .malformed("server-final-message")), ("", .malformed("server-final-message")),
        ("e=other-error", .refused("other-error")),
    ]

    @Test(arguments: Self.finalCases)
    func theServerMustProveItselfToo(_ text: String, _ failure: SCRAMFailure) throws {
        var (client, server) = (Self.client(), Self.server())
        let challenge = try self.challenge(client.firstMessage.withUnsafeBytes { server.handle($0) })
        _ = try challenge.withUnsafeBytes { bytes throws in try client.respond(to: bytes) }
        #expect(throws: failure) {
            try bytes(text).withUnsafeBytes { bytes throws in try client.verify(bytes) }
        }
        #expect(!client.isVerified)
    }

    // MARK: Secrets

    @Test func secretsAreNotPrinted() {
        let password = "correct horse"
        let values: [Any] = [
            Self.password, Self.verifier, Self.verifier.storedKey, Self.client(), Self.server(),
            StoredPassword.scram(Self.verifier), RoleCredential(password: .md5(Self.password)),
        ]
        for value in values {
            var dumped = ""
            dump(value, to: &dumped)
            let texts = ["\(value)", String(reflecting: value), dumped]
            for text in texts {
                #expect(!text.contains(password))
                #expect(!text.contains("memory"))
            }
        }
    }
}
