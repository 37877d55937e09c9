/// A value that never shows in logs, errors or debuggers: it prints as `***`.
package struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The secret itself; only for the call that needs it.
    package let revealed: String

    package init(_ text: String) { self.revealed = text }

    package var description: String { "***" }
    package var debugDescription: String { "***" }
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// Where and how to open a session. Source of names and meaning: PostgreSQL manual, "Parameter Key Words".
package struct ConnectionParameters: Sendable, Hashable {
    /// libpq's `sslmode`.
    package enum SSLMode: String, Sendable, Hashable, CaseIterable {
        case disable, allow, prefer, require
        case verifyCA = "verify-ca"
        case verifyFull = "verify-full"
    }

    /// A name, an address, or the absolute directory of a Unix socket.
    package var host: String
    package var port: Int
    package var user: String
    package var database: String
    /// A file in `.pgpass` format; nil: libpq's default place.
    package var passfile: String?
    package var password: Secret?
    package var sslMode: SSLMode
    /// A file with the certificates to trust; nil: libpq's default place.
    package var sslRootCert: String?
    package var applicationName: String
    /// From the first packet (name look-up included) to a session that can be used.
    package var connectTimeout: Duration
    /// Worst case before a vanished peer is noticed while nothing is being sent: 5 s idle + 3 × 2 s = 11 s.
    /// Source: tcp(7). libpq takes whole seconds.
    package var keepaliveIdle = Duration.seconds(5)
    package var keepaliveInterval = Duration.seconds(2)
    package var keepaliveProbes = 3
    /// How long sent bytes may stay unacknowledged before the kernel gives the connection up. Source: tcp(7).
    package var tcpUserTimeout = Duration.seconds(5)
    /// Server settings that hold from the first statement on (sent as `options` in the startup packet, so that
    /// they cost no round trip).
    package var settings: [String: String] = [:]

    package init(
        host: String, port: Int, user: String, database: String = "postgres", passfile: String? = nil,
        password: Secret? = nil, sslMode: SSLMode = .prefer, sslRootCert: String? = nil,
        applicationName: String = "pgha", connectTimeout: Duration = .seconds(1)
    ) {
        self.host = host
        self.port = port
        self.user = user
        self.database = database
        self.passfile = passfile
        self.password = password
        self.sslMode = sslMode
        self.sslRootCert = sslRootCert
        self.applicationName = applicationName
        self.connectTimeout = connectTimeout
    }

    /// Whether `host` is the directory of a Unix socket.
    package var isLocalSocket: Bool { self.host.hasPrefix("/") }

    /// libpq's keywords and values. `addresses` are the numeric addresses of `host`: without them libpq would
    /// look the name up itself, and block.
    func keywords(addresses: [String]) -> [(String, String)] {
        var pairs = [
            // libpq pairs the n-th host with the n-th address; the name still serves TLS and the passfile.
            ("host", addresses.isEmpty ? self.host : addresses.map { _ in self.host }.joined(separator: ",")),
            ("port", "\(self.port)"), ("user", self.user), ("dbname", self.database),
            ("application_name", self.applicationName), ("client_encoding", "UTF8"),
            ("sslmode", self.sslMode.rawValue), ("gssencmode", "disable"), ("target_session_attrs", "any"),
            ("keepalives", "1"), ("keepalives_idle", Self.wholeSeconds(self.keepaliveIdle)),
            ("keepalives_interval", Self.wholeSeconds(self.keepaliveInterval)),
            ("keepalives_count", "\(self.keepaliveProbes)"),
            ("tcp_user_timeout", "\(self.tcpUserTimeout.wholeMilliseconds)"),
            ("options", self.startupOptions),
        ]
        if !addresses.isEmpty { pairs.append(("hostaddr", addresses.joined(separator: ","))) }
        if let passfile = self.passfile { pairs.append(("passfile", passfile)) }
        if let password = self.password { pairs.append(("password", password.revealed)) }
        if let sslRootCert = self.sslRootCert { pairs.append(("sslrootcert", sslRootCert)) }
        return pairs
    }

    /// `-c name=value …`; blanks and backslashes escaped as PostgreSQL's `pg_split_opts` reads them.
    private var startupOptions: String {
        self.settings.sorted { $0.key < $1.key }
            .map { "-c \(escaping(" ", "\\", with: "\\", in: "\($0.key)=\($0.value)"))" }
            .joined(separator: " ")
    }

    private static func wholeSeconds(_ duration: Duration) -> String { "\(max(1, duration.components.seconds))" }
}

extension Duration {
    /// Rounded up, so that a wait never ends before its time.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    }
}
