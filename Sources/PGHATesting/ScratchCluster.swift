internal import AsyncHTTPClient
internal import Glibc
package import PGHAClient
package import PGHACore
package import PGHAPostgres
internal import Synchronization

/// A whole cluster of real processes for one test or bench: an agent and its PostgreSQL for each node, and a
/// controller with the embedded store, on free ports of loopback, in a directory of their own.
///
/// A reaper ends all of it when this process ends, however it does.
package final class ScratchCluster: Sendable {
    package struct Options: Sendable {
        package var nodes = 3
        package var copies = 2
        /// Of the cluster's spec.
        package var timings = Timings()
        package var postgres: [String: String] = [:]
        package var onStandbyLoss: Durability.StandbyLoss?
        /// Who may connect how; nil: everybody with a password.
        package var access: [AccessRule]?
        package var logLevel = "debug"
        /// The first node's directory is a memory file system of this many MiB, which only that node's processes
        /// see and which ends with them. Needs root.
        package var smallDiskMiB: Int?
        /// Each node, the controller and the pooler are hosts with a network namespace of their own: see
        /// ``ScratchNetwork``.
        package var separateHosts = false
        /// Environment of controller and agents.
        package var environment: [String: String] = [:]
        /// Agents, controller and pooler speak HTTP over TLS alone and show each other certificates.
        package var hasTLS = false

        package init() {}
    }

    package struct Node: Sendable {
        package let name: NodeName
        package let port: Int
        package let agentPort: Int
        package let directory: String
        /// Where the server and the agent listen.
        package let host: String
    }

    /// Of the roles of pgha, generated as the demo does it.
    package static let passwords = Dictionary(
        uniqueKeysWithValues: ["pgha_control", "pgha_replica", "pgha_pooler"].map { role in
            (role, (0..<40).map { _ in String(UInt8.random(in: 0..<16), radix: 16) }.joined())
        })
    /// Superuser of the tests, with the password of the same name.
    package static let user = "test"

    static let token = "token-of-a-scratch-cluster"

    package let directory: String
    package let nodes: [Node]
    package let client: ControllerClient
    package let spec: ClusterSpec
    let options: Options
    let controllerPort: Int
    /// Two ports and one for HTTP.
    let poolerPorts: [Int]
    let network: ScratchNetwork?
    package let certificates: ScratchCertificates?
    private let reaper: ChildProcess
    private let children = Mutex<[String: ChildProcess]>([:])

    /// Why clusters cannot be started here; nil when they can.
    package static var unavailable: String? {
        if let missing = ScratchPrograms.missing { return missing }
        return access(Self.builtExecutable, X_OK) == 0 ? nil : "\(Self.builtExecutable) is not built"
    }

    /// Whether a node can have a small disk of its own: root, and allowed to mount in a namespace of its own.
    package static let hasSmallDisks: Bool = {
        guard geteuid() == 0 else { return false }
        let words = ["/usr/bin/unshare", "--mount", "--", "/bin/mount", "-t", "tmpfs", "pgha-test", "/tmp"]
        guard let child = try? ChildProcess(arguments: words, dropsPrivileges: false) else { return false }
        child.waitForExit()
        return child.status() == 0
    }()

    /// `PGHA_EXECUTABLE`, or the one beside the running test bundle.
    package static let builtExecutable: String = {
        if let chosen = getenv("PGHA_EXECUTABLE") { return String(cString: chosen) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        return path.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" } + "/pgha"
    }()

    private init(
        _ options: Options, _ network: ScratchNetwork?, _ certificates: ScratchCertificates?
    ) throws {
        let directory = try makeTemporaryDirectory("pgha-cluster")
        self.directory = directory
        self.options = options
        self.network = network
        self.certificates = certificates
        self.reaper = try ChildProcess(
            arguments: ["/bin/bash", "-c", Self.reaperScript, directory], dropsPrivileges: false)
        self.nodes = try (1...options.nodes).map {
            guard let name = NodeName("n\($0)") else { throw ScratchFailure("a node's name") }
            return Node(
                name: name, port: try freePort(), agentPort: try freePort(), directory: "\(directory)/\(name)",
                host: network == nil ? "127.0.0.1" : ScratchNetwork.address($0 - 1))
        }
        self.controllerPort = try freePort()
        self.poolerPorts = [try freePort(), try freePort(), try freePort()]
        try writeFile("\(directory)/token", Self.token)
        try writeFile(
            "\(directory)/passfile",
            Self.passwords.map { "*:*:*:\($0.key):\($0.value)\n" }.joined())
        try makeDirectory("\(directory)/controller")
        self.client = ControllerClient(
            baseURL: "http://\(Self.controllerHost(options)):\(self.controllerPort)",
            token: BearerToken(Self.token), tls: try Self.operatorIdentity(certificates),
            httpClient: .shared)
        var spec = ClusterSpec(
            name: "scratch",
            nodes: self.nodes.map {
                NodeSpec(
                    name: $0.name, host: $0.host, port: $0.port, agent: "http://\($0.host):\($0.agentPort)")
            })
        spec.durability = Durability(copies: options.copies, onStandbyLoss: options.onStandbyLoss)
        spec.timings = options.timings
        spec.postgres = options.postgres
        spec.access = options.access
        self.spec = spec
    }

    /// Reads descriptor 3 until it ends, then ends every process that runs in or for the directory. The executable
    /// is a copy inside it, and servers have their data directory as their own, so nothing else can match.
    ///
    /// A killed server leaves its shared memory to the machine, which has room for 4096 segments (`kernel.shmmni`). So
    /// servers stop by themselves if they can (SIGQUIT), once nobody would start them again; of one that was dead before,
    /// line 7 of `postmaster.pid` names the segment (key and id; PostgreSQL, src/include/utils/pidfile.h).
    static let reaperScript = """
        read -r -u 3 _
        exec 2>/dev/null
        found() { find /proc/[0-9]*/$1 -maxdepth 0 -lname "$0/*" | cut -d / -f 3 | grep -vx $$; }
        kill -KILL $(found exe)
        kill -CONT $(found cwd)
        for file in $(find "$0" -name postmaster.pid); do
          read -r pid <"$file"
          case "$(readlink /proc/$pid/cwd)" in "$0/"*) kill -QUIT $pid;; esac
        done
        for round in {1..40}; do
          [ "$(found cwd)" ] || break
          sleep 0.05
        done
        # What was about to become the executable has neither yet, but names it.
        named() { grep -lsF -- "$0" /proc/[0-9]*/cmdline | cut -d / -f 3 | grep -vx $$; }
        for round in 1 2 3; do
          kill -KILL $(found exe) $(found cwd) $(named)
          sleep 0.05
        done
        for file in $(find "$0" -name postmaster.pid); do
          read -r _ id < <(sed -n 7p "$file") && ipcrm -m $id
        done
        rm -rf "$0"
        """

    /// Starts everything, initialises the cluster and waits until it is complete.
    package static func start(_ options: Options = Options()) async throws -> ScratchCluster {
        let network = options.separateHosts ? try await ScratchNetwork.make(options.nodes + 2) : nil
        let certificates = options.hasTLS ? try await Self.makeCertificates() : nil
        let cluster = try ScratchCluster(options, network, certificates)
        try await run(["/bin/cp", Self.builtExecutable, "\(cluster.directory)/pgha"])
        for node in cluster.nodes { try cluster.startAgent(node) }
        try cluster.startController()
        try await cluster.initialize()
        try await cluster.waitUntilComplete()
        try await cluster.makeTestUser()
        return cluster
    }

    private func initialize() async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            do {
                _ = try await self.client.initialize(InitRequest(spec: SpecDocument(self.spec)))
                return
            } catch .unreachable where ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    private func makeTestUser() async throws {
        let status = try await self.status()
        guard let node = self.nodes.first(where: { $0.name.text == status.leader }) else { return }
        var words = [
            ScratchPrograms.path("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "\(node.directory)/run",
            "-p", "\(node.port)", "-U", "postgres", "-d", "postgres",
            "-c", "CREATE ROLE \(Self.user) SUPERUSER LOGIN PASSWORD '\(Self.user)'",
            "-c", "CREATE TABLE ids (id bigint PRIMARY KEY, node text NOT NULL)",
        ]
        let isHidden = self.options.smallDiskMiB != nil
        if isHidden {
            words =
                [
                    "/usr/bin/nsenter", "--mount", "--root", "--target", "\(self.agentPID(node) ?? 0)", "--",
                    "/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--",
                ] + words
        }
        try await run(words, dropsPrivileges: !isHidden)
    }

    // MARK: - Processes

    /// - Parameter port: where it listens in place of the node's own.
    package func startAgent(_ node: Node, port: Int? = nil) throws {
        let arguments =
            "agent --node \(node.name) --dir \(node.directory) --listen \(node.host):\(port ?? node.agentPort) "
            + "--token-file \(self.directory)/token --pg-bindir \(ScratchPrograms.directory ?? "") \(self.tlsFlags)"
        if let size = self.options.smallDiskMiB, node.name == self.nodes[0].name {
            try self.launchOnSmallDisk(node, arguments, mebibytes: size)
        } else {
            try self.launch(
                "agent \(node.name)", arguments, log: "agent-\(node.name).log",
                environment: self.options.environment, host: self.network?.words(self.index(of: .node(node))))
        }
    }

    private func launchOnSmallDisk(_ node: Node, _ arguments: String, mebibytes: Int) throws {
        try makeDirectory(node.directory)
        let script = """
            exec 3<&- && mount -t tmpfs -o size=\(mebibytes)m,mode=0700 pgha-test \(node.directory) \
              && chown postgres:postgres \(node.directory) && exec setpriv --reuid=postgres --regid=postgres \
              --clear-groups -- "$0/pgha" \(arguments) >>"$0/agent-\(node.name).log" 2>&1 </dev/null
            """
        let child = try ChildProcess(
            arguments: (self.network?.words(self.index(of: .node(node)), as: .root) ?? [])
                + ["/usr/bin/unshare", "--mount", "--", "/bin/bash", "-c", script, self.directory],
            dropsPrivileges: false)
        self.children.withLock { $0["agent \(node.name)"] = child }
    }

    /// The node's directory as this process can reach it.
    package func visibleDirectory(_ node: Node) -> String {
        guard self.options.smallDiskMiB != nil, node.name == self.nodes[0].name, let agent = self.agentPID(node) else {
            return node.directory
        }
        return "/proc/\(agent)/root\(node.directory)"
    }

    /// Fills the node's small disk to the last byte.
    package func fillDisk(_ node: Node) async throws {
        try await run(
            ["/bin/sh", "-c", "cat /dev/zero >\(self.visibleDirectory(node))/ballast 2>/dev/null; sync; true"],
            dropsPrivileges: false)
    }

    package func emptyDisk(_ node: Node) async throws {
        try await run(["/bin/rm", "\(self.visibleDirectory(node))/ballast"], dropsPrivileges: false)
    }

    /// `environment`: for the hooks of debug builds.
    package func startController(environment: [String: String] = [:]) throws {
        try self.launch(
            "controller", self.controllerArguments, log: "controller.log",
            environment: self.options.environment.merging(environment) { $1 },
            host: self.network?.words(self.index(of: .controller)))
    }

    private var controllerArguments: String {
        "controller --listen \(Self.controllerHost(self.options)):\(self.controllerPort) --store \(self.directory)/controller/pgha.db "
            + "--token-file \(self.directory)/token --passfile \(self.directory)/passfile "
            + "--log-level \(self.options.logLevel) \(self.tlsFlags)"
    }

    /// Starts one more controller on the same store and waits for its end, which must come soon.
    ///
    /// - Returns: its exit status as by waitpid(2), and what it wrote.
    package func runSecondController() async throws -> (status: Int32?, output: String) {
        let port = try freePort()
        let arguments = self.controllerArguments.replacing(
            "\(Self.controllerHost(self.options)):\(self.controllerPort)", with: "127.0.0.1:\(port)")
        try self.launch("second", arguments, log: "second.log")
        try await self.waitForExit("second", timeout: .seconds(60))
        let child = self.children.withLock { $0.removeValue(forKey: "second") }
        return (child?.status(), self.log("second.log"))
    }

    /// Copies the store of a controller that does not run, as a backup would.
    package func copyStore(to name: String) async throws {
        try await run(["/bin/cp", "-a", "\(self.directory)/controller", "\(self.directory)/store-\(name)"])
    }

    /// Puts a copy of the store back; the controller does not run.
    package func restoreStore(from name: String) async throws {
        try await run(["/bin/rm", "-rf", "\(self.directory)/controller"])
        try await run(["/bin/cp", "-a", "\(self.directory)/store-\(name)", "\(self.directory)/controller"])
    }

    /// Waits until the controller has ended by itself.
    package func waitForControllerExit(timeout: Duration = .seconds(60)) async throws {
        try await self.waitForExit("controller", timeout: timeout)
        self.children.withLock { _ = $0.removeValue(forKey: "controller") }
    }

    private func waitForExit(_ key: String, timeout: Duration) async throws {
        let deadline = ContinuousClock.now + timeout
        while self.children.withLock({ $0[key]?.isRunning }) == true {
            guard ContinuousClock.now < deadline else {
                self.kill(key)
                let log = self.log("controller.log").suffix(3000)
                throw ScratchFailure("the \(key) did not end within \(timeout)\n\(log)")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    func launch(
        _ key: String, _ arguments: String, log: String, environment: [String: String] = [:], host: [String]? = nil
    ) throws {
        let script = "exec 3<&-; exec \"$0/pgha\" \(arguments) >>\"$0/\(log)\" 2>&1 </dev/null"
        let child = try ChildProcess(
            arguments: (host ?? []) + ["/bin/bash", "-c", script, self.directory], environment: environment,
            dropsPrivileges: host == nil)
        self.children.withLock { $0[key] = child }
    }

    package func killController() { self.kill("controller") }
    package func killAgent(_ node: Node) { self.kill("agent \(node.name)") }

    func kill(_ key: String) {
        guard let child = self.children.withLock({ $0.removeValue(forKey: key) }) else { return }
        Glibc.kill(child.pid, SIGKILL)
        child.waitForExit()
    }

    package func agentPID(_ node: Node) -> Int32? { self.children.withLock { $0["agent \(node.name)"]?.pid } }

    package var controllerPID: Int32? { self.children.withLock { $0["controller"]?.pid } }

    /// From the first line of `postmaster.pid`.
    package func postmasterPID(_ node: Node) -> Int32? {
        readFile("\(self.visibleDirectory(node))/data/postmaster.pid")?.split(separator: "\n").first.flatMap {
            Int32($0)
        }
    }

    /// All server processes of the node, the postmaster first.
    package func serverPIDs(_ node: Node) -> [Int32] {
        guard let postmaster = self.postmasterPID(node) else { return [] }
        return [postmaster] + childProcesses(of: postmaster)
    }

    /// SIGKILL for every process of the node's host, at once.
    package func killHost(_ node: Node) {
        let pids = self.serverPIDs(node) + [self.agentPID(node)].compactMap { $0 }
        for pid in pids { Glibc.kill(pid, SIGKILL) }
        self.kill("agent \(node.name)")
    }

    package func signalHost(_ node: Node, _ signal: Int32) {
        for pid in self.serverPIDs(node) + [self.agentPID(node)].compactMap({ $0 }) { Glibc.kill(pid, signal) }
    }

    package func killPostmaster(_ node: Node) {
        guard let pid = self.postmasterPID(node) else { return }
        Glibc.kill(pid, SIGKILL)
    }

    /// Ends every process and removes the directory.
    package func tearDown() {
        self.reaper.closePipe()
        self.reaper.waitForExit()
        self.network?.remove()
    }

    package func log(_ name: String) -> String { readFile("\(self.directory)/\(name)") ?? "" }

    // MARK: - Asking

    package func status() async throws -> StatusReport { try await self.client.status() }

    package func node(_ name: String?) throws -> Node {
        guard let node = self.nodes.first(where: { $0.name.text == name }) else {
            throw ScratchFailure("no node \(name ?? "nil")")
        }
        return node
    }

    package func leader() async throws -> Node { try self.node(try await self.status().leader) }

    /// Waits for the condition; the error says what the status was instead.
    @discardableResult
    package func wait(
        for what: String, timeout: Duration = .seconds(60), _ condition: (StatusReport) -> Bool
    ) async throws -> StatusReport {
        let deadline = ContinuousClock.now + timeout
        var last = "no answer"
        while ContinuousClock.now < deadline {
            do {
                let status = try await self.status()
                if condition(status) { return status }
                last = "\(status)"
            } catch {
                last = "\(error)"
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw ScratchFailure("waited \(timeout) for \(what); last: \(last)\n\(self.log("controller.log").suffix(3000))")
    }

    /// Steady, every node streaming and in the cohort.
    @discardableResult
    package func waitUntilComplete(timeout: Duration = .seconds(120)) async throws -> StatusReport {
        try await self.wait(for: "a complete cluster", timeout: timeout) { status in
            status.phase == "steady" && status.cohort.count == self.nodes.count
                && status.nodes.allSatisfy { $0.state == "leading" || $0.state == "streaming" }
        }
    }

    /// Asks for a switchover; a controller that is busy, or has not heard everybody yet, is asked again.
    package func switchover(to target: Node? = nil) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            let refusal: ControllerFailure
            do {
                _ = try await self.client.switchover(SwitchoverCommand(target: target?.name.text))
                return
            } catch {
                refusal = error
            }
            guard ["busy", "not_ready"].contains(refusal.code), ContinuousClock.now < deadline else { throw refusal }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    package func parameters(_ node: Node) -> ConnectionParameters {
        ConnectionParameters(
            host: node.host, port: node.port, user: Self.user, password: Secret(Self.user),
            applicationName: "test")
    }

    package func connect(_ node: Node) async throws -> PostgresConnection {
        try await PostgresConnection.open(self.parameters(node))
    }
}
