// What strangers can send: startup packets, message bodies, SQL, SCRAM messages; and files of rules.
//
// `make fuzz-wire` compiles this together with Sources/PGHAWire into one module, so that everything is in reach. The
// first byte of an input chooses the reader.

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzWire(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    guard let choice = bytes.first else { return 0 }
    let input = UnsafeRawBufferPointer(rebasing: bytes[1...])
    switch choice % 6 {
    case 0: WireFuzz.startup(input)
    case 1: WireFuzz.messages(input)
    case 2: WireFuzz.statements(input)
    case 3: WireFuzz.rules(input)
    case 4: WireFuzz.scram(input)
    default: WireFuzz.framing(input)
    }
    return 0
}

enum WireFuzz {
    static func startup(_ input: UnsafeRawBufferPointer) {
        var policy = StartupPolicy(offersTLS: true)
        var rest = input
        // Each kind of request once, then a log-in or a refusal: never more than four steps.
        for _ in 0..<5 {
            let (step, consumed) = policy.next(rest)
            precondition(consumed <= rest.count)
            switch step {
            case .needsMore(let total): return precondition((total ?? 4) > rest.count)
            case .acceptTLS: policy.tlsEstablished()
            case .declineEncryption: break
            case .logIn(let message):
                precondition(!message.user.isEmpty && !message.database.isEmpty)
                return Self.rebuild(message)
            case .acceptDirectTLS, .cancel, .refuse: return
            }
            // Nothing may have been behind the request; what follows is taken for the client's next packet.
            precondition(consumed == rest.count)
            rest = UnsafeRawBufferPointer(rebasing: input[min(8, input.count)...])
        }
        preconditionFailure("an endless negotiation")
    }

    /// What was read, written and read again is the same.
    private static func rebuild(_ message: StartupMessage) {
        var buffer = WireBuffer()
        buffer.startupMessage(
            version: message.version,
            parameters: [.init("user", message.user), .init("database", message.database)] + message.parameters
                + (message.options.map { [.init("options", $0)] } ?? []))
        guard case .startup(let again)? = try? StartupParser.parse(buffer.bytes) else { preconditionFailure("lost") }
        precondition(again.user == message.user && again.parameters == message.parameters)
        precondition(again.optionSettings == message.optionSettings)
        _ = SettingRisk.of(again)
    }

    static func messages(_ input: UnsafeRawBufferPointer) {
        _ = ErrorView(input)?.isFatal
        _ = ParameterStatusView(input)
        _ = AuthenticationRequest(input)
        _ = BackendKeyDataView(input)
        _ = NegotiationView(input)
        _ = NotificationView(input)
        _ = DataRowView(input)
        _ = QueryView(input)
        if let view = ParseView(input) {
            var buffer = WireBuffer()
            buffer.parse(name: view.name, text: view.text, parameterTypes: view.parameterTypes)
            precondition(UnsafeRawBufferPointer(rebasing: buffer.bytes[5...]).elementsEqual(input))
        }
        _ = BindView(input)
        _ = DescribeView(input)
        _ = ExecuteView(input)
        _ = PasswordView(input)
        _ = SASLInitialResponseView(input)
    }

    private static let classifier = StatementClassifier(volatileFunctions: ["f"])

    static func statements(_ input: UnsafeRawBufferPointer) {
        for strings in [StringSyntax.standard, .escaping, .unknown] {
            let whole = Self.classifier.classify(input, strings: strings)
            precondition(whole.name.upperBound <= input.count && whole.value.upperBound <= input.count)
            _ = whole.name(in: input)
            var count = 0
            var position = 0
            while position < input.count {
                let (one, end) = Self.classifier.statement(in: input, from: position, strings: strings)
                precondition(end > position && end <= input.count)
                count += one.count
                position = end
            }
            precondition(count == whole.count)
            let risks = StatementEffects.sessionBound.union([.lowersDurability, .hidesWarnings])
            if strings != .unknown, !whole.effects.isDisjoint(with: risks) {
                precondition(AttentionTest.needsAttention(input), "overlooked")
            }
        }
        _ = ClientEncoding.hidesASCII(input)
    }

    static func rules(_ input: UnsafeRawBufferPointer) {
        let text = String(decoding: input, as: UTF8.self)
        if let rules = try? HBARules(text) {
            let login = HBALogin(
                StartupMessage(user: "a", database: "b"), from: .network(IPAddress(v4: 1), isEncrypted: true))
            _ = rules.rule(for: login)
        }
        if let maps = try? IdentityMap(text) { _ = IdentityMap.allows(system: text, as: "a", by: "m", in: maps) }
        _ = IPAddress(text)
    }

    private static let secret = Secret([1, 2, 3])
    private static let verifier = SCRAMVerifier(password: secret, salt: [1], iterations: 1)

    static func scram(_ input: UnsafeRawBufferPointer) {
        if let verifier = SCRAMVerifier(input) {
            precondition(verifier.text.withBytes { SCRAMVerifier($0) } != nil)
        }
        _ = SASLprep.prepared(Secret(input))
        let half = input.count / 2
        let parts = [input[..<half], input[half...]].map { UnsafeRawBufferPointer(rebasing: $0) }
        for mechanism in [SASLMechanism.scramSHA256, .scramSHA256Plus] {
            var server = SCRAMServer(verifier: Self.verifier, mechanism: mechanism, certificateHash: [1], nonce: [1])
            for part in [input] + parts {
                if case .success = server.handle(part) { preconditionFailure("let in without the password") }
            }
        }
        var client = SCRAMClient(
            credential: .password(Self.secret), binding: .none, name: "", printableNonce: [65], iterationLimit: 2)
        _ = try? client.respond(to: input)
        _ = try? client.verify(input)
        precondition(!client.isVerified)
    }

    static func framing(_ input: UnsafeRawBufferPointer) {
        var walk = MessageWalk(input)
        var walked = 0
        while true {
            switch walk.next() {
            case .message(let view):
                precondition(view.presentCount <= view.totalCount)
                walked += view.presentCount
                Self.messages(view.body)
            case .done: return precondition(walked == input.count)
            case .partialHeader(let count): return precondition(walked + count == input.count)
            case .malformed: return
            }
        }
    }
}
