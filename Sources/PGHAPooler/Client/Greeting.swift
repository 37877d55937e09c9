internal import COpenSSL
internal import PGHAWire

/// What the sessions of a pool look like, as its servers report it.
final class Welcome {
    /// In the server's order and spelling.
    let reported: [SessionSetting]
    /// The settings of a session that asked for nothing.
    let base: ParameterSet
    /// How servers spell what clients asked for.
    private(set) var canonical: [ObjectIdentifier: ParameterSet] = [:]
    /// Keeps the keys of `canonical` alive, so that no other set gets the same identity.
    private var asked: [ParameterSet] = []

    init(reported: [SessionSetting], base: ParameterSet) {
        self.reported = reported
        self.base = base
    }

    /// Applications that make up a new name for every process must not fill the memory.
    private static let limit = 200

    func remember(_ asked: ParameterSet, as canonical: ParameterSet) {
        if self.asked.count >= Self.limit {
            self.asked = []
            self.canonical = [:]
        }
        self.asked.append(asked)
        self.canonical[ObjectIdentifier(asked)] = canonical
    }
}

/// The first messages that a client gets.
enum Greeting {
    static let inHotStandby: WireText = "in_hot_standby"

    /// AuthenticationOk, and every ParameterStatus with the values of the client's own session.
    ///
    /// `in_hot_standby` is the port's, not the server's: libpq 14 and later choose a host by it
    /// (`target_session_attrs`), and the session will see many servers.
    static func append(
        _ welcome: Welcome, _ set: ParameterSet, role: PoolerConfiguration.Role, to buffer: inout WireBuffer
    ) {
        buffer.authenticationOk()
        for setting in welcome.reported {
            let name = WireText(setting.name.bytes.map(ParameterName.lowercased))
            if name == Self.inHotStandby {
                buffer.parameterStatus(setting.name, role == .write ? "off" : "on")
            } else {
                buffer.parameterStatus(setting.name, set.value(of: name) ?? setting.value)
            }
        }
    }
}

enum SecretNumber {
    /// In one call: Swift's generator asks the kernel for every single number.
    static func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            guard RAND_bytes(buffer.baseAddress, Int32(count)) == 1 else {
                preconditionFailure("OpenSSL has no random numbers")
            }
            filled = count
        }
    }

    /// From the system's generator: whoever guesses it may cancel.
    static func next() -> UInt32 { UInt32.random(in: 0...UInt32.max) }
}
