internal import PGHAWire

/// A client's log-in, as far as it has come. Gone once the client is in.
final class LogIn {
    enum Step {
        /// Startup packets: encryption requests, then the startup message.
        case startup
        /// The authentication exchange.
        case authenticating
        /// Authenticated; waits for a server of its pool to say what sessions there look like.
        case welcoming
    }

    var step = Step.startup
    var policy = StartupPolicy(offersTLS: false)
    var input = WireBuffer(capacity: 512)
    var message: StartupMessage?
    /// The settings that the client asked for and that its first server has to confirm.
    var wanted: Unmanaged<ParameterSet>?

    /// A statement of the console is being answered.
    var isAnswering = false

    init() {}
}
