import Glibc
import PGHAClient
import PGHACore
import PGHATesting
import Synchronization
import Testing

@testable import PGHAAgent

/// A real agent, the built executable, with a directory and ports of its own. Ends with all that it started.
final class AgentRig: Sendable {
    static let token = "test-token-0123456789"
    static let replicationPassword = "pa:ss\\word"
    static let controlPassword = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
    static let unavailable: String? = ScratchPostgres.unavailable

    let name: NodeName
    let base: String
    let httpPort: Int
    let postgresPort: Int
    let client: AgentClient
    private let process = Mutex<ProcessHandle?>(nil)
    private let gate = Mutex<ProcessHandle?>(nil)
    /// More flags of the agent.
    let flags: [String]

    var directory: String { self.base + "/node" }
    var data: String { self.directory + "/data" }
    var executable: String { self.base + "/pgha" }
    var tokenFile: String { self.base + "/token" }

    var server: ServerSetup {
        ServerSetup(
            listenAddresses: ["127.0.0.1"], port: self.postgresPort,
            settings: ["shared_buffers": "16MB"],
            trustedNetworks: ["127.0.0.1/32"], replicationPassword: WireSecret(Self.replicationPassword))
    }

    var upstream: AgentUpstream { AgentUpstream(name: self.name, host: "127.0.0.1", port: self.postgresPort) }

    private init(_ name: NodeName, base: String, httpPort: Int, postgresPort: Int, flags: [String]) {
        self.flags = flags
        self.name = name
        self.base = base
        self.httpPort = httpPort
        self.postgresPort = postgresPort
        self.client = AgentClient(
            baseURL: "http://127.0.0.1:\(httpPort)", token: WireSecret(Self.token))
    }

    /// Prepares the directory; `launch()` starts the agent.
    static func make(_ name: String, flags: [String] = []) async throws -> AgentRig {
        let base = "/tmp/pgha-agent-test.\(String(UInt64.random(in: 0 ... .max), radix: 36))"
        let rig = AgentRig(
            try #require(NodeName(name)), base: base, httpPort: try freePort(), postgresPort: try freePort(),
            flags: flags)
        try DurableFile.makeDirectory(base, mode: 0o755)
        try DurableFile.write(Self.token + "\n", to: rig.tokenFile)
        // The tests may run as root, the agent may not, and the build may lie where others cannot look.
        try await rig.shell(["/bin/cp", try Self.builtExecutable(), rig.executable])
        if geteuid() == 0 { try await rig.shell(["/bin/chown", "-R", "postgres:postgres", base]) }
        return rig
    }

    static func builtExecutable() throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes {
            readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        return DurableFile.parent(String(decoding: buffer[..<max(0, count)], as: UTF8.self)) + "/pgha"
    }

    private func shell(_ words: [String]) async throws {
        let output = try await Program.run(words[0], Array(words.dropFirst()))
        guard output.status == 0 else { throw RigError(text: "\(words): \(output.complaint)") }
    }

    /// As root, for what the server must write to.
    func giveToServerUser(_ path: String) async throws {
        try await self.shell(["/bin/chown", "-R", "postgres:postgres", path])
    }

    /// The words before a command that must run as the servers' user.
    static var asServerUser: [String] {
        geteuid() == 0 ? ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] : []
    }

    var agentArguments: [String] {
        [
            self.executable, "agent", "--node", self.name.text, "--dir", self.directory, "--listen",
            "127.0.0.1:\(self.httpPort)", "--token-file", self.tokenFile,
        ] + self.flags
    }

    /// Starts the agent and waits until it answers.
    func launch() async throws {
        let handle = try self.start(self.agentArguments)
        self.process.withLock { $0 = handle }
        try await self.eventually("the agent answers") { (try? await self.client.facts()) != nil }
    }

    /// What another container would run: PostgreSQL behind the gate.
    func launchGate() async throws {
        let postgres = try await ServerPrograms.find(given: nil).path("postgres")
        let handle = try self.start(
            [self.executable, "agent", "gate", "--dir", self.directory, "--", postgres, "-D", self.data])
        self.gate.withLock { $0 = handle }
    }

    var gatePID: pid_t? { self.gate.withLock { $0?.pid } }

    /// Ends the gate, and only that unless the signal asks it to end the server too.
    func killGate(_ signal: Int32) async {
        let handle = self.gate.withLock { $0 }
        handle?.signal(signal)
        _ = await handle?.exit(within: .seconds(30))
        self.gate.withLock { $0 = nil }
    }

    /// As the servers' user, with the agent's log.
    private func start(_ arguments: [String]) throws -> ProcessHandle? {
        let words = Self.asServerUser + arguments
        let log = open(self.base + "/agent.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { for file in [log, null] { close(file) } }
        var environment = Spawn.environment()
        if let path = getenv("LD_LIBRARY_PATH") { environment["LD_LIBRARY_PATH"] = String(cString: path) }
        let pid = try Spawn.start(
            words[0], Array(words.dropFirst()), environment: environment, directory: "/",
            streams: .init(input: null, output: log, error: log))
        return ProcessHandle(pid: pid)
    }

    func facts() async throws -> AgentFacts { try await self.client.facts(timeout: .seconds(30)) }

    var agentPID: pid_t? { self.process.withLock { $0?.pid } }

    /// Ends the agent alone.
    func killAgent(_ signal: Int32 = SIGKILL) async {
        let handle = self.process.withLock { $0 }
        handle?.signal(signal)
        _ = await handle?.exit(within: .seconds(60))
        self.process.withLock { $0 = nil }
    }

    var postmasterPID: pid_t? { PostmasterFile.read(self.data + "/postmaster.pid")?.pid }

    /// Ends everything and removes the directory.
    func tearDown() async {
        await self.killAgent()
        for pid in ProcessTable.processes(mentioning: self.base) + ProcessTable.processes(workingIn: self.data) {
            kill(pid, SIGKILL)
        }
        try? await self.eventually("all is gone") {
            ProcessTable.processes(mentioning: self.base).isEmpty
                && ProcessTable.processes(workingIn: self.data).isEmpty
        }
        try? DurableFile.removeTree(self.base)
    }

    /// Rows as psql prints them, unaligned; as the superuser over the Unix socket.
    @discardableResult
    func sql(_ statement: String) async throws -> String {
        let words =
            Self.asServerUser + [
                try #require(await ServerPrograms.find(given: nil)).path("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1",
                "-h",
                self.directory + "/run", "-p", "\(self.postgresPort)", "-U", "postgres", "-d", "postgres", "-c",
                statement,
            ]
        let output = try await Program.run(words[0], Array(words.dropFirst()))
        guard output.status == 0 else { throw RigError(text: output.complaint) }
        return output.standardOutput.split(separator: "\n").joined(separator: "\n")
    }

    /// Polls until `holds`, for at most a minute; an error counts as "not yet".
    func eventually(_ what: String, _ holds: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        var last = ""
        while ContinuousClock.now < deadline {
            do {
                if try await holds() { return }
                last = ""
            } catch {
                last = " (\(error))"
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        let log = (try? DurableFile.read(self.base + "/agent.log")) ?? ""
        throw RigError(text: "never: \(what)\(last). Agent's log: \(log.suffix(2000))")
    }

    func initialize(_ pledge: Pledge) async throws -> AgentResult {
        try await self.client.initialize(
            InitializeRequest(
                pledge: pledge, server: self.server, controlPassword: WireSecret(Self.controlPassword),
                roles: [RoleSetup(name: "app", password: WireSecret("it's"))],
                databases: [DatabaseSetup(name: "app", owner: "app")]))
    }

    func rejoin(
        _ leader: AgentRig, _ pledge: Pledge, suffix: UInt64, maxRate: String? = nil
    ) async throws
        -> AgentResult
    {
        try await self.client.rejoin(
            RejoinRequest(
                pledge: pledge, leader: leader.upstream,
                replicationName: ReplicationName(node: self.name, suffix: suffix), maxRate: maxRate,
                server: self.server))
    }
}

struct RigError: Error, CustomStringConvertible {
    var text: String
    var description: String { self.text }
}

/// Runs a test with agents and tears them down, whatever happens.
func withAgents(
    _ names: [String], flags: [String] = [], _ body: ([AgentRig]) async throws -> Void
) async throws {
    var rigs: [AgentRig] = []
    do {
        for name in names {
            let rig = try await AgentRig.make(name, flags: flags)
            rigs.append(rig)
            try await rig.launch()
        }
        try await body(rigs)
    } catch {
        for rig in rigs { await rig.tearDown() }
        throw error
    }
    for rig in rigs { await rig.tearDown() }
}

func pledge(_ term: UInt64, _ version: UInt32 = 0, nonce: UInt64 = 0xABC) -> Pledge {
    Pledge(number: RuleNumber(term: Term(term), version: version), nonce: nonce)
}
