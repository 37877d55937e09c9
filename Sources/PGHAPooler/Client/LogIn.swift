internal import PGHAWire

/// A client's log-in, as far as it has come. Gone once the client is in.
final class LogIn {
    enum Step {
        /// Startup packets: encryption requests, then the startup message.
        case startup
        /// TLS.
        case handshaking
        /// A server is asked for the user's verifier.
        case lookingUp
        /// The authentication exchange.
        case authenticating
        /// Authenticated; waits for a server of its pool to say what sessions there look like.
        case welcoming
    }

    /// Where an exchange of proofs is.
    enum Exchange {
        /// Mechanisms were offered.
        case offered(SCRAMVerifier)
        case challenged(SCRAMServer)
        case md5(stored: Secret, salt: UInt32)
        case cleartext
    }

    var step = Step.startup
    var policy: StartupPolicy
    var input = WireBuffer(capacity: 512)
    var message: StartupMessage?
    /// nil on a Unix socket.
    let address: IPAddress?
    /// Its first byte may begin a TLS handshake and has not been looked at.
    var mayBeDirectTLS: Bool
    /// The handshake came without a request, so that ALPN has to say for which protocol it is.
    var isDirectTLS = false
    /// In ``LogInCount``.
    var isCounted = false
    var rule: HBARule?
    /// nil: no such user is known.
    var credential: RoleCredential?
    /// How many questions about users had been sent when this one was to be looked up, and which of them gave the
    /// credential. An answer to an earlier one may be older than the password.
    var questionsBefore: UInt64 = 0
    var question = UInt64.max
    /// It was asked for its proof while the answer about it was still to come.
    var wasAsked = false
    /// What it sent last: checked again against a new answer, because the one at hand was from before the log-in.
    var doubted: Secret?
    var exchange: Exchange?
    /// Of SCRAM: goes out in one piece with the greeting.
    var lastProof: [UInt8]?
    /// The settings that the client asked for and that its first server has to confirm.
    var wanted: Unmanaged<ParameterSet>?

    /// A statement of the console is being answered.
    var isAnswering = false

    init(address: IPAddress?, offersTLS: Bool) {
        self.address = address
        self.policy = StartupPolicy(offersTLS: offersTLS)
        self.mayBeDirectTLS = offersTLS
    }

    /// Cancel keys are as long as protocol 3.2 lets them be.
    var speaksLongKeys: Bool { (self.message?.spokenVersion ?? .original) >= .newest }

    /// What rules go by.
    var origin: HBALogin.Origin {
        self.address.map { .network($0, isEncrypted: self.policy.isEncrypted) } ?? .unixSocket
    }
}

/// Connections that nobody has authenticated for: whoever opens many of them must not keep others out.
struct LogInCount {
    private var all = 0
    private var byAddress: [IPAddress: Int] = [:]

    /// False when there are too many. Unix sockets count together only.
    mutating func add(_ address: IPAddress?, _ limits: PoolerConfiguration.Limits) -> Bool {
        if limits.maximumLoggingIn > 0, self.all >= limits.maximumLoggingIn { return false }
        if let address {
            let count = self.byAddress[address, default: 0]
            if limits.maximumLoggingInPerAddress > 0, count >= limits.maximumLoggingInPerAddress { return false }
            self.byAddress[address] = count + 1
        }
        self.all += 1
        return true
    }

    mutating func remove(_ address: IPAddress?) {
        self.all -= 1
        guard let address, let count = self.byAddress[address] else { return }
        self.byAddress[address] = count > 1 ? count - 1 : nil
    }
}
