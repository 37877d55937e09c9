import Glibc
import PGHACore
import PGHAPooler
import PGHAPostgres
import PGHASchema
import PGHATesting
import PGHAWire

/// A server that wants passwords, with pgha's scripts, and a pooler in front that looks users up there.
final class LogInRig: Sendable {
    let server: ScratchPostgres
    let pooler: Pooler
    let directory: TestDirectory
    let node: PoolTopology.Node
    var port: UInt16 { self.pooler.ports[0] }

    /// The role `app` has the password `secret`.
    static func start(
        server options: [String: String] = [:], overTCP: Bool = false, directory: TestDirectory = TestDirectory(),
        _ configure: (inout PoolerConfiguration, TestDirectory) throws -> Void = { _, _ in }
    ) async throws -> LogInRig {
        var scratch = ScratchPostgres.Options()
        scratch.authentication = "scram-sha-256"
        scratch.fsync = false
        scratch.settings = options
        let server = try await ScratchPostgres.start(scratch)
        let session = try await server.connect()
        for script in PGHASchema.scripts { try await session.script(script.transaction) }
        try await session.script(
            "ALTER ROLE pgha_pooler PASSWORD 'asks'; CREATE ROLE app LOGIN PASSWORD 'secret'")
        await session.close()
        var configuration = Self.configuration
        try configure(&configuration, directory)
        let rig = LogInRig(server, try Pooler(configuration), directory, overTCP: overTCP)
        rig.pooler.apply(PoolTopology(term: Term(1), leader: rig.node))
        return rig
    }

    static var configuration: PoolerConfiguration {
        var configuration = PoolerConfiguration()
        configuration.listeners = [.init(host: "127.0.0.1", port: 0)]
        configuration.limits.poolSize = 2
        configuration.authentication.lookup = .init()
        configuration.passwords["pgha_pooler"] = Secret(Array("asks".utf8))
        return configuration
    }

    private init(_ server: ScratchPostgres, _ pooler: Pooler, _ directory: TestDirectory, overTCP: Bool) {
        self.server = server
        self.pooler = pooler
        self.directory = directory
        self.node = PoolTopology.Node(
            name: NodeName("a")!, host: overTCP ? "127.0.0.1" : server.socketDirectory, port: UInt16(server.port))
    }

    deinit { self.pooler.stop() }

    /// What psql prints for one statement, errors included.
    func psql(
        _ connection: String = "", user: String = "app", password: String = "secret",
        asks statement: String = "SELECT current_user"
    ) -> String {
        shell(
            "PGPASSWORD='\(password)' psql -XAtq -v VERBOSITY=verbose "
                + "'host=127.0.0.1 port=\(self.port) user=\(user) dbname=postgres connect_timeout=10 \(connection)' "
                + "-c \"\(statement)\"")
    }
}

/// The output of a shell's command line, without white space at its ends.
func shell(_ line: String, password: String = "") -> String {
    // Swift's threads block signals, and a child would inherit that: `timeout` could not end what it watches.
    var none = sigset_t()
    var before = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, &before)
    let started = popen("exec 2>&1; export PGPASSWORD='\(password)'; \(line)", "r")
    pthread_sigmask(SIG_SETMASK, &before, nil)
    guard let pipe = started else { return "popen: errno \(errno)" }
    defer { pclose(pipe) }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = fread(&buffer, 1, buffer.count, pipe)
        if count == 0 { break }
        text += buffer[..<count]
    }
    while let last = text.last, last == 0x0A || last == 0x20 { text.removeLast() }
    return String(decoding: text, as: UTF8.self)
}

/// A directory that is gone after the test, and an authority that signs certificates in it.
final class TestDirectory: Sendable {
    let path: String

    init() {
        self.path = shell("mktemp -d /tmp/pgha-login.XXXXXXXX")
        _ = shell("chmod 755 \(self.path)")
    }

    deinit { _ = shell("rm -rf \(self.path)") }

    func file(_ name: String) -> String { "\(self.path)/\(name)" }

    func write(_ name: String, _ text: String, mode: mode_t = 0o600) {
        let descriptor = open(self.file(name), O_WRONLY | O_CREAT | O_TRUNC, mode)
        _ = text.withCString { Glibc.write(descriptor, $0, strlen($0)) }
        fchmod(descriptor, mode)
        close(descriptor)
    }

    /// `ca.crt` of a new authority.
    func makeAuthority(_ name: String = "ca") {
        _ = shell(
            "cd \(self.path) && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
                + "-subj '/CN=\(name)' -keyout \(name).key -out \(name).crt")
    }

    /// `name.crt` and `name.key`, for the common name and the addresses given.
    func makeCertificate(_ name: String, commonName: String, names: String = "", by authority: String = "ca") {
        let extensions = names.isEmpty ? "" : "-addext 'subjectAltName=\(names)'"
        _ = shell(
            "cd \(self.path) && openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
                + "-subj '/O=pgha/CN=\(commonName)' \(extensions) -keyout \(name).key -out \(name).csr && "
                + "openssl x509 -req -in \(name).csr -CA \(authority).crt -CAkey \(authority).key -CAcreateserial "
                + "-days 2 -copy_extensions copy -out \(name).crt && chmod 600 \(name).key")
    }

    /// Offers TLS with `pooler.crt`, which `ca.crt` signed for 127.0.0.1.
    func offerTLS(_ configuration: inout PoolerConfiguration, _ mode: PoolerConfiguration.TLSMode = .allow) {
        self.makeAuthority()
        self.makeCertificate("pooler", commonName: "localhost", names: "IP:127.0.0.1,DNS:localhost")
        configuration.clientTLS.mode = mode
        configuration.clientTLS.certificateFile = self.file("pooler.crt")
        configuration.clientTLS.keyFile = self.file("pooler.key")
    }
}
