/// A protocol version as the wire has it: 3.2 is `0x0003_0002`.
package struct ProtocolVersion: Hashable, Comparable, Sendable {
    package let major: UInt16
    package let minor: UInt16

    package init(major: UInt16, minor: UInt16) {
        self.major = major
        self.minor = minor
    }

    package var word: UInt32 { UInt32(self.major) << 16 | UInt32(self.minor) }

    /// What every server since 7.4 speaks.
    package static let original = ProtocolVersion(major: 3, minor: 0)
    /// PostgreSQL 18: cancel keys of up to 256 bytes. There never was a 3.1.
    package static let newest = ProtocolVersion(major: 3, minor: 2)

    package static func < (left: Self, right: Self) -> Bool { left.word < right.word }
}

/// What a client asks for when it logs in.
package struct StartupMessage: Hashable, Sendable {
    /// A name and a value, in the client's order.
    package struct Parameter: Hashable, Sendable {
        package var name: WireText
        package var value: WireText

        package init(_ name: WireText, _ value: WireText) {
            self.name = name
            self.value = value
        }
    }

    /// Whether the connection speaks the replication protocol.
    package enum Replication: Hashable, Sendable {
        case none
        /// `replication=true`: no database.
        case physical
        /// `replication=database`: walsender commands and SQL.
        case logical
    }

    /// As the client asked; see ``spokenVersion``.
    package var version = ProtocolVersion.original
    package var user: WireText
    /// The user's name where the client named none.
    package var database: WireText
    package var replication = Replication.none
    /// `options` as it came, for connections that are passed on one to one.
    package var options: WireText?
    /// What `options` sets, in order. Applied before `parameters`, as PostgreSQL does.
    package var optionSettings: [Parameter] = []
    /// Everything else: settings such as `application_name`. Names are as the client wrote them.
    package var parameters: [Parameter] = []
    /// `_pq_.…`: extensions of the protocol, none of which is known yet.
    package var protocolOptions: [WireText] = []

    package init(user: WireText, database: WireText) {
        self.user = user
        self.database = database
    }

    /// The version that both sides speak: never above 3.2.
    package var spokenVersion: ProtocolVersion { min(self.version, .newest) }

    /// What to say in NegotiateProtocolVersion; nil when everything asked for is known.
    ///
    /// PostgreSQL 18's libpq can ask for a version that does not exist ("grease") to see that servers do this.
    package var negotiation: ProtocolNegotiation? {
        guard self.version > .newest || !self.protocolOptions.isEmpty else { return nil }
        return ProtocolNegotiation(newestMinor: self.spokenVersion.minor, unknownOptions: self.protocolOptions)
    }
}

/// The content of NegotiateProtocolVersion.
package struct ProtocolNegotiation: Hashable, Sendable {
    /// The newest minor version of 3 that this connection will speak.
    package let newestMinor: UInt16
    package let unknownOptions: [WireText]

    package init(newestMinor: UInt16, unknownOptions: [WireText]) {
        self.newestMinor = newestMinor
        self.unknownOptions = unknownOptions
    }
}

/// Whose query to cancel.
package struct CancelRequest: Hashable, Sendable, CustomStringConvertible {
    package let processID: UInt32
    /// 4 bytes up to protocol 3.0, up to 256 since 3.2. Whoever knows it may cancel.
    package let key: [UInt8]

    package init(processID: UInt32, key: [UInt8]) {
        self.processID = processID
        self.key = key
    }

    package var description: String { "CancelRequest(processID: \(self.processID), key: ***)" }
}

/// One packet without a type byte.
package enum StartupPacket: Hashable, Sendable {
    case sslRequest
    case gssEncryptionRequest
    case cancel(CancelRequest)
    case startup(StartupMessage)
}
