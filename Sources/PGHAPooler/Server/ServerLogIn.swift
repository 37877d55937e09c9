internal import PGHAWire

/// The pooler's side of a log-in to a server, as far as it has come.
final class ServerLogIn {
    enum Outcome {
        /// Waits for the server.
        case more
        /// The server said no: its ErrorResponse.
        case refused([UInt8])
        /// What it says is not the protocol, or asks for something that is not at hand.
        case broken
        case ready
    }

    let user: WireText
    /// How to prove who the pooler is; nil where servers trust it.
    private let credential: SCRAMClient.Credential?
    private var scram: SCRAMClient?
    var input = WireBuffer()
    private(set) var processID: UInt32 = 0
    private(set) var key: [UInt8] = []
    /// What the server reported, in its order and spelling.
    private(set) var reported: [SessionSetting] = []

    init(user: WireText, credential: SCRAMClient.Credential?) {
        self.user = user
        self.credential = credential
    }

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

    /// Works off the complete messages in `input`; replies go to `out`.
    func advance(_ out: inout Outgoing) -> Outcome {
        var used = 0
        defer { self.input.removeFirst(used) }
        let bytes = self.input.bytes
        var walk = MessageWalk(bytes)
        while true {
            switch walk.next() {
            case .message(let message):
                guard message.isComplete else { return .more }
                used += message.totalCount
                if let outcome = self.take(message, &out) { return outcome }
            case .done, .partialHeader: return .more
            case .malformed: return .broken
            }
        }
    }

    private func take(_ message: MessageView, _ out: inout Outgoing) -> Outcome? {
        var reader = ByteReader(message.body)
        switch message.type {
        case BackendMessage.authentication:
            guard let request = AuthenticationRequest(message.body) else { return .broken }
            return self.answer(request, &out) ? nil : .broken
        case BackendMessage.parameterStatus:
            guard let name = reader.string(), let value = reader.string() else { return .broken }
            self.reported.append(SessionSetting(name: WireText(name), value: WireText(value)))
            return nil
        case BackendMessage.backendKeyData:
            guard let processID = reader.integer(UInt32.self) else { return .broken }
            self.processID = processID
            self.key = Array(reader.rest)
            return nil
        case BackendMessage.errorResponse:
            return .refused(Array(UnsafeRawBufferPointer(start: message.start, count: message.totalCount)))
        case BackendMessage.noticeResponse, BackendMessage.negotiateProtocolVersion: return nil
        case BackendMessage.readyForQuery: return .ready
        default: return .broken
        }
    }

    /// Adds the answer to `out`; false when there is none to give.
    private func answer(_ request: AuthenticationRequest, _ out: inout Outgoing) -> Bool {
        var buffer = WireBuffer()
        switch request {
        case .ok:
            // A server that was asked for SCRAM has to prove itself too.
            return self.scram?.isVerified ?? true
        case .md5Password(let salt):
            guard case .password(let password)? = self.credential,
                let stored = MD5Password.stored(password: password, user: self.user),
                let answer = MD5Password.answer(stored: stored, salt: salt)
            else { return false }
            buffer.passwordMessage(answer.withBytes { Array($0) })
        case .sasl(let mechanisms):
            guard mechanisms.contains(.scramSHA256), let credential = self.credential else { return false }
            let scram = SCRAMClient(credential: credential, binding: .none, nonce: SecretNumber.bytes(18))
            buffer.saslInitialResponse(scram.mechanism, scram.firstMessage)
            self.scram = scram
        case .saslContinue(let challenge):
            guard let response = try? self.scram?.respond(to: challenge) else { return false }
            buffer.saslResponse(response)
        case .saslFinal(let final): return (try? self.scram?.verify(final)) != nil
        // In clear only over TLS, which is not there yet.
        case .cleartextPassword, .unsupported: return false
        }
        if let start = buffer.bytes.baseAddress { out.appendCopy(start, buffer.count) }
        return true
    }
}

enum ParameterName {
    /// PostgreSQL folds names of settings in ASCII only.
    static func lowercased(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
}
