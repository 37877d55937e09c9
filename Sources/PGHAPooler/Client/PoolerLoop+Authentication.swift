internal import CPGHALoop
internal import PGHAWire

// A client proves who it is, by the method of the first rule that fits.
extension PoolerLoop {
    mutating func beginAuthentication(_ client: ClientPointer, _ logIn: LogIn, _ message: StartupMessage) {
        let rules = self.configuration.authentication.rules
        guard let rule = rules.rule(for: HBALogin(message, from: logIn.origin)) else {
            return self.refuse(client, .invalidAuthorization, "no rule for \(Self.whence(logIn, message))")
        }
        logIn.rule = rule
        if let wanted = rule.clientCertificate, !self.hasCertificate(client, rule, wanted, message.user) {
            return self.refuse(
                client, .invalidAuthorization, "certificate authentication failed for user \"\(message.user)\"")
        }
        switch rule.method {
        case .reject: self.refuse(client, .invalidAuthorization, "a rule rejects \(Self.whence(logIn, message))")
        // Of `cert` the certificate was checked above.
        case .trust, .cert: self.authenticated(client, logIn, message)
        case .peer:
            guard self.isPeer(client, rule, message.user) else {
                return self.refuse(
                    client, .invalidAuthorization, "peer authentication failed for user \"\(message.user)\"")
            }
            self.authenticated(client, logIn, message)
        case .scramSHA256, .md5, .password: self.findCredential(client, logIn, rule.method, message.user)
        }
    }

    private static func whence(_ logIn: LogIn, _ message: StartupMessage) -> String {
        let host = logIn.address.map { "host \"\($0)\"" } ?? "host \"[local]\""
        let encryption = logIn.policy.isEncrypted ? "SSL encryption" : "no encryption"
        return "\(host), user \"\(message.user)\", database \"\(message.database)\", \(encryption)"
    }

    private func hasCertificate(
        _ client: ClientPointer, _ rule: HBARule, _ wanted: HBARule.ClientCertificate, _ user: WireText
    ) -> Bool {
        guard let peer = client.pointee.transport.verifiedPeer else { return false }
        guard wanted == .verifyFull else { return true }
        let name = rule.clientName == .commonName ? peer.commonName : peer.distinguishedName
        return name.map { self.allows($0, rule, user) } ?? false
    }

    private func isPeer(_ client: ClientPointer, _ rule: HBARule, _ user: WireText) -> Bool {
        let name = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { name -> String? in
            guard let base = name.baseAddress,
                pgha_peer_user(client.pointee.transport.descriptor, base, name.count) == 0
            else { return nil }
            return String(cString: base)
        }
        return name.map { self.allows($0, rule, user) } ?? false
    }

    private func allows(_ name: String, _ rule: HBARule, _ user: WireText) -> Bool {
        IdentityMap.allows(
            system: name, as: user, by: rule.map, in: self.configuration.authentication.identities)
    }

    // MARK: - Passwords

    private mutating func findCredential(
        _ client: ClientPointer, _ logIn: LogIn, _ method: HBARule.Method, _ user: WireText
    ) {
        if let known = self.security.users[user] {
            return self.beginExchange(client, logIn, known.credential)
        }
        guard self.configuration.authentication.lookup != nil else { return self.beginExchange(client, logIn, nil) }
        // Of SCRAM the first message is the same for everybody: the question about the user takes no time of its own.
        if method == .scramSHA256 {
            guard self.offerSCRAM(client) else { return }
            logIn.wasAsked = true
        }
        self.lookUp(user, for: client, logIn)
    }

    /// False when the client was closed.
    private mutating func offerSCRAM(_ client: ClientPointer) -> Bool {
        var buffer = WireBuffer()
        let hash = client.pointee.transport.bindingHash(asServer: true)
        buffer.authenticationSASL(mechanisms: SCRAMServer.mechanisms(certificateHash: hash))
        return self.send(buffer, to: client)
    }

    /// `credential` is nil for users that nobody knows: they are asked all the same.
    mutating func beginExchange(_ client: ClientPointer, _ logIn: LogIn, _ credential: RoleCredential?) {
        guard let rule = logIn.rule, let user = logIn.message?.user,
            let exchange = PasswordExchange(
                rule.method, credential: credential, user: user, mockSecret: self.security.mockSecret)
        else { return self.closeClient(client) }
        logIn.step = .authenticating
        logIn.credential = credential
        guard self.ask(client, logIn, exchange) else { return }
        if !logIn.input.isEmpty { self.advanceAuthentication(client, logIn) }
    }

    /// False when the client was closed.
    private mutating func ask(_ client: ClientPointer, _ logIn: LogIn, _ exchange: PasswordExchange) -> Bool {
        var buffer = WireBuffer()
        switch exchange {
        case .scram(let verifier):
            logIn.exchange = .offered(verifier)
            return logIn.wasAsked || self.offerSCRAM(client)
        case .md5(let stored):
            let salt = UInt32.random(in: 0...UInt32.max)
            buffer.authenticationMD5Password(salt: salt)
            logIn.exchange = .md5(stored: stored, salt: salt)
        case .cleartext:
            buffer.authenticationCleartextPassword()
            logIn.exchange = .cleartext
        }
        return self.send(buffer, to: client)
    }

    private mutating func send(_ buffer: borrowing WireBuffer, to client: ClientPointer) -> Bool {
        self.out.removeAll()
        self.append(buffer)
        return self.flush(to: client)
    }

    /// Works off the client's answers in `logIn.input`.
    mutating func advanceAuthentication(_ client: ClientPointer, _ logIn: LogIn) {
        while client.pointee.phase == .loggingIn, logIn.step == .authenticating {
            let input = logIn.input.array
            var used = 0
            var problem: String?
            input.withUnsafeBytes { bytes in
                var walk = MessageWalk(bytes)
                switch walk.next() {
                case .message(let message) where message.totalCount > Int(StartupParser.maximumLength):
                    problem = "password message is too long"
                case .message(let message) where message.type != FrontendMessage.password:
                    problem = "expected password response, got message type \(message.type)"
                case .message(let message) where message.isComplete: used = message.totalCount
                case .message, .done, .partialHeader: break
                case .malformed: problem = "invalid message length"
                }
            }
            if let problem { return self.refuse(client, .protocolViolation, problem) }
            guard used > 0 else { return }
            logIn.input.removeFirst(used)
            input.withUnsafeBytes { bytes in
                self.takePassword(client, logIn, UnsafeRawBufferPointer(rebasing: bytes[5..<used]))
            }
        }
    }

    private mutating func takePassword(_ client: ClientPointer, _ logIn: LogIn, _ body: UnsafeRawBufferPointer) {
        guard let message = logIn.message, let exchange = logIn.exchange else { return self.closeClient(client) }
        switch exchange {
        case .offered(let verifier): self.takeFirst(client, logIn, verifier, body)
        case .challenged(var server):
            switch server.handle(body) {
            case .challenge: self.closeClient(client)
            case .failure(.wrongProof): self.refusePassword(client, logIn, body)
            case .failure(let failure): self.refuseProof(client, failure)
            case .success(let final, let keys):
                guard self.isValid(logIn) else { return self.refusePassword(client, logIn, body) }
                logIn.lastProof = final
                self.learned[message.user, default: ServerProof()].keys = keys
                self.authenticated(client, logIn, message)
            }
        case .md5(let stored, let salt):
            guard let view = PasswordView(body), MD5Password.isRight(view.password, stored: stored, salt: salt),
                self.isValid(logIn)
            else { return self.refusePassword(client, logIn, body) }
            self.learned[message.user, default: ServerProof()].md5 = stored
            self.authenticated(client, logIn, message)
        case .cleartext: self.takeCleartext(client, logIn, message, body)
        }
    }

    private mutating func takeFirst(
        _ client: ClientPointer, _ logIn: LogIn, _ verifier: SCRAMVerifier, _ body: UnsafeRawBufferPointer
    ) {
        guard let response = SASLInitialResponseView(body), let mechanism = response.mechanism else {
            return self.refuse(client, .protocolViolation, "client selected an invalid SASL authentication mechanism")
        }
        var server = SCRAMServer(
            verifier: verifier, mechanism: mechanism,
            certificateHash: client.pointee.transport.bindingHash(asServer: true), nonce: SecretNumber.bytes(18))
        switch server.handle(response.data) {
        case .challenge(let challenge):
            logIn.exchange = .challenged(server)
            var buffer = WireBuffer()
            buffer.authenticationSASLContinue(challenge)
            _ = self.send(buffer, to: client)
        case .failure(let failure): self.refuseProof(client, failure)
        case .success: self.closeClient(client)
        }
    }

    private mutating func takeCleartext(
        _ client: ClientPointer, _ logIn: LogIn, _ message: StartupMessage, _ body: UnsafeRawBufferPointer
    ) {
        guard let view = PasswordView(body) else { return self.refusePassword(client, logIn, body) }
        let password = Secret(view.password)
        // Who does not exist costs the same time.
        let stored =
            logIn.credential?.password ?? .scram(.mock(user: message.user, secret: self.security.mockSecret))
        guard stored.matches(cleartext: password, user: message.user), self.isValid(logIn) else {
            return self.refusePassword(client, logIn, body)
        }
        switch stored {
        case .scram(let verifier):
            // The password itself is not kept.
            self.learned[message.user, default: ServerProof()].keys = SCRAMKeys(
                password: password, salt: verifier.salt, iterations: verifier.iterations)
        case .md5(let hash): self.learned[message.user, default: ServerProof()].md5 = hash
        }
        self.authenticated(client, logIn, message)
    }

    /// Whether the password has not expired. Asked only after the proof: to others it is a wrong password.
    private func isValid(_ logIn: LogIn) -> Bool { logIn.credential?.isValid(at: pgha_wall_clock()) ?? false }

    private mutating func refuseProof(_ client: ClientPointer, _ failure: SCRAMFailure) {
        switch failure {
        case .malformed(let detail), .unsupported(let detail):
            self.refuse(client, WireError(.fatal, failure.sqlState, "malformed SCRAM message", detail: detail))
        case .bindingDowngraded:
            self.refuse(client, failure.sqlState, "SCRAM channel binding negotiation error")
        default: self.refuse(client, failure.sqlState, "SCRAM channel binding check failed")
        }
    }

    // MARK: - Refused

    /// Wrong, expired or unknown: one answer for all, and to none of them from memory alone. The role may have been
    /// made or altered since it was looked up.
    private mutating func refusePassword(_ client: ClientPointer, _ logIn: LogIn, _ body: UnsafeRawBufferPointer) {
        guard let user = logIn.message?.user else { return self.closeClient(client) }
        if logIn.doubted == nil, logIn.question <= logIn.questionsBefore {
            logIn.doubted = Secret(body)
            return self.lookUp(user, for: client, logIn)
        }
        self.refuse(client, .invalidPassword, "password authentication failed for user \"\(user)\"")
    }

    /// What the client has sent, against a new answer. A proof by SCRAM was made with the salt of the old one: where
    /// that has changed, the client has to log in again.
    mutating func checkAgain(_ client: ClientPointer, _ logIn: LogIn, _ credential: RoleCredential?) {
        guard let proof = logIn.doubted, let exchange = logIn.exchange else { return self.closeClient(client) }
        logIn.step = .authenticating
        switch (exchange, logIn.credential?.password, credential?.password) {
        case (.md5(_, let salt), _, .md5(let stored)?): logIn.exchange = .md5(stored: stored, salt: salt)
        case (.cleartext, _, _): break
        case (.challenged, let old?, let new?) where old.isEqual(to: new): break
        case (.challenged, _, _), (.offered, _, _), (.md5, _, _):
            return proof.withBytes { self.refusePassword(client, logIn, $0) }
        }
        logIn.credential = credential
        proof.withBytes { self.takePassword(client, logIn, $0) }
    }
}
