internal import PGHAWire

/// The pooler's side of a log-in to a server, as far as it has come: encryption, proof, greeting.
final class ServerLogIn {
    enum Outcome {
        /// Something was done: call again.
        case more
        /// Waits for the server.
        case blocked
        /// The server said no, or is not what it should be: an ErrorResponse.
        case refused([UInt8])
        /// What it says is not the protocol.
        case broken
        /// The keys that a client's log-in has left are of another password than the server has now.
        case keysOutdated
        case ready
    }

    /// Whom to reach, and how.
    struct Target {
        let user: WireText
        let database: WireText
        /// Where TCP is another way.
        var socketUse: SocketUse?
        /// Over a Unix socket: nobody listens, nothing is encrypted.
        let isLocal: Bool
        /// The server's address in the topology.
        let address: String
        let settings: PoolerConfiguration.ServerTLS
        /// nil: no TLS.
        let context: TLSContext?
        /// Sent in place of a startup message; the server closes in answer.
        var cancels: CancelRequest?
        /// Beyond user and database.
        var parameters: [StartupMessage.Parameter] = []
    }

    private enum Step {
        /// SSLRequest was sent. Exactly one byte is read: what came behind it in the clear is nobody's (CVE-2021-23222).
        case askedForTLS
        case handshaking
        case authenticating
    }

    private let target: Target
    private let proof: ServerProof
    private var step = Step.authenticating
    private var scram: SCRAMClient?
    private var input = MessageInput()
    private(set) var processID: UInt32 = 0
    private(set) var key: [UInt8] = []
    /// What the server reported, in its order and spelling.
    private(set) var reported: [SessionSetting] = []

    init(_ target: Target, proof: ServerProof) {
        self.target = target
        self.proof = proof
    }

    var socketUse: SocketUse? { self.target.socketUse }

    /// In recovery. PostgreSQL 14 and later say so.
    var isStandby: Bool { self.reported.contains { $0.name == "in_hot_standby" && $0.value == "on" } }

    /// Reported, but no session can set them.
    private static let fixed: Set<WireText> = [
        "in_hot_standby", "integer_datetimes", "is_superuser", "server_encoding", "server_version",
        "session_authorization",
    ]

    /// The reported settings in which sessions may differ.
    var sessionSettings: [SessionSetting] {
        self.reported.map {
            SessionSetting(name: WireText($0.name.bytes.map(ParameterName.lowercased)), value: $0.value)
        }.filter { !Self.fixed.contains($0.name) }
    }

    static func isFixed(_ name: WireText) -> Bool { Self.fixed.contains(name) }

    // MARK: - Encryption

    /// The first packet.
    func begin(_ out: inout Outgoing) {
        guard self.target.context != nil, !self.target.isLocal else { return self.sendStartup(&out) }
        self.step = .askedForTLS
        var buffer = WireBuffer()
        buffer.sslRequest()
        out.append(copyOf: buffer)
    }

    private func sendStartup(_ out: inout Outgoing) {
        self.step = .authenticating
        var buffer = WireBuffer()
        if let request = self.target.cancels {
            buffer.cancelRequest(request)
            return out.append(copyOf: buffer)
        }
        // Servers before PostgreSQL 18 say that they speak 3.0, and go on with that.
        buffer.startupMessage(
            version: .newest,
            parameters: [.init("user", self.target.user), .init("database", self.target.database)]
                + self.target.parameters)
        out.append(copyOf: buffer)
    }

    /// Reads what is there and goes one step on; `base` is room for `capacity` bytes. Send `out` after each call.
    func proceed(
        _ transport: inout Transport, _ base: UnsafeMutableRawPointer, _ capacity: Int, _ out: inout Outgoing
    ) -> Outcome {
        switch self.step {
        case .askedForTLS: return self.readVerdict(&transport, base, &out)
        case .handshaking: return self.shakeHands(transport, &out)
        case .authenticating: break
        }
        let count = transport.receive(base, capacity)
        if count == Transport.wouldBlock { return .blocked }
        guard count > 0 else { return .broken }
        self.input.append(base, count)
        // A server that has not logged us in has no business sending this much.
        guard self.input.count < 1 << 20 else { return .broken }
        // Works off the complete messages; replies go to `out`.
        let connection = transport
        return self.input.walk(more: .more, malformed: .broken) { self.take($0, connection, &out) }
    }

    private func readVerdict(
        _ transport: inout Transport, _ base: UnsafeMutableRawPointer, _ out: inout Outgoing
    ) -> Outcome {
        let count = transport.receive(base, 1)
        if count == Transport.wouldBlock { return .blocked }
        guard count == 1 else { return .broken }
        switch base.load(as: UInt8.self) {
        case UInt8(ascii: "S"):
            guard let context = self.target.context, transport.beginTLS(context, asServer: false) else {
                return .broken
            }
            if self.target.settings.mode == .verifyFull,
                !transport.expectServer(self.target.settings.serverName ?? self.target.address)
            {
                return .broken
            }
            self.step = .handshaking
            return .more
        case UInt8(ascii: "N"):
            guard !self.target.settings.mode.isCompulsory else {
                return Self.refusal("the server does not support TLS, which the pooler requires")
            }
            self.sendStartup(&out)
            return .more
        default: return .broken
        }
    }

    private func shakeHands(_ transport: Transport, _ out: inout Outgoing) -> Outcome {
        switch transport.handshake() {
        case .wouldBlock: return .blocked
        case .failed(let reason): return Self.refusal("TLS with the server failed: \(reason)")
        case .done:
            self.sendStartup(&out)
            return .more
        }
    }

    private static func refusal(_ message: String) -> Outcome {
        var buffer = WireBuffer()
        buffer.errorResponse(WireError(.fatal, .connectionFailure, message))
        return .refused(buffer.array)
    }

    // MARK: - Messages

    private func take(_ message: MessageView, _ transport: Transport, _ out: inout Outgoing) -> Outcome? {
        switch message.type {
        case BackendMessage.authentication:
            guard let request = AuthenticationRequest(message.body) else { return .broken }
            return self.answer(request, transport, &out)
        case BackendMessage.parameterStatus:
            guard let report = ParameterStatusView(message.body) else { return .broken }
            self.reported.append(SessionSetting(name: WireText(report.name), value: WireText(report.value)))
            return nil
        case BackendMessage.backendKeyData:
            guard let data = BackendKeyDataView(message.body) else { return .broken }
            self.processID = data.processID
            self.key = Array(data.key)
            return nil
        case BackendMessage.errorResponse:
            return .refused(Array(UnsafeRawBufferPointer(start: message.start, count: message.totalCount)))
        case BackendMessage.noticeResponse, BackendMessage.negotiateProtocolVersion: return nil
        case BackendMessage.readyForQuery: return .ready
        default: return .broken
        }
    }

    /// Adds the answer to `out`; nil is going on.
    private func answer(
        _ request: AuthenticationRequest, _ transport: Transport, _ out: inout Outgoing
    ) -> Outcome? {
        var buffer = WireBuffer()
        switch request {
        case .ok:
            // A server that was asked for SCRAM has to prove itself too.
            return self.scram?.isVerified ?? true ? nil : .broken
        case .cleartextPassword:
            // Only where nobody listens.
            guard transport.tls != nil || self.target.isLocal, let password = self.proof.password else {
                return self.cannotProve("a password in clear")
            }
            buffer.passwordMessage(password.withBytes { Array($0) })
        case .md5Password(let salt):
            guard let stored = self.proof.stored(for: self.target.user),
                let answer = MD5Password.answer(stored: stored, salt: salt)
            else { return self.cannotProve("an MD5 password") }
            buffer.passwordMessage(answer.withBytes { Array($0) })
        case .sasl(let mechanisms): return self.beginSCRAM(mechanisms, transport, &out)
        case .saslContinue(let challenge):
            do {
                guard let response = try self.scram?.respond(to: challenge) else { return .broken }
                buffer.saslResponse(response)
            } catch {
                return error == .keysOutdated ? .keysOutdated : .broken
            }
        case .saslFinal(let final): return (try? self.scram?.verify(final)) != nil ? nil : .broken
        case .unsupported(let code): return self.cannotProve("authentication method \(code)")
        }
        out.append(copyOf: buffer)
        return nil
    }

    private func beginSCRAM(
        _ mechanisms: [SASLMechanism], _ transport: Transport, _ out: inout Outgoing
    ) -> Outcome? {
        guard let credential = self.proof.scram, !mechanisms.isEmpty else { return self.cannotProve("SCRAM-SHA-256") }
        var binding = SCRAMClient.Binding.none
        if transport.tls != nil {
            let hash = mechanisms.contains(.scramSHA256Plus) ? transport.bindingHash(asServer: false) : nil
            // `notOffered` would be a lie where it was, and the server would take it for an attack.
            binding = hash.map { .certificate($0) } ?? (mechanisms.contains(.scramSHA256Plus) ? .none : .notOffered)
        }
        let scram = SCRAMClient(credential: credential, binding: binding, nonce: SecretNumber.bytes(18))
        guard mechanisms.contains(scram.mechanism) else { return self.cannotProve(scram.mechanism.rawValue) }
        var buffer = WireBuffer()
        buffer.saslInitialResponse(scram.mechanism, scram.firstMessage)
        out.append(copyOf: buffer)
        self.scram = scram
        return nil
    }

    private func cannotProve(_ what: String) -> Outcome {
        Self.refusal("the server asks for \(what) of user \"\(self.target.user)\", which the pooler does not have")
    }
}

extension Outgoing {
    mutating func append(copyOf buffer: borrowing WireBuffer) {
        if let start = buffer.bytes.baseAddress { self.appendCopy(start, buffer.count) }
    }
}

enum ParameterName {
    /// PostgreSQL folds names of settings in ASCII only.
    static func lowercased(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
}
