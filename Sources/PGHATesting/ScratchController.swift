internal import AsyncHTTPClient
internal import Glibc
package import PGHAClient
package import PGHACore
internal import Synchronization

/// A controller without agents, and the command line, for servers that the test made itself.
///
/// A reaper ends it when this process ends, however it does.
package final class ScratchController: Sendable {
    /// Passwords of the roles of pgha.
    private static let passwords = "*:*:*:pgha_control:control\n*:*:*:pgha_replica:replica\n*:*:*:pgha_pooler:pooler\n"
    private static let token = "token-of-a-scratch-controller"

    package let directory: String
    package let client: ControllerClient
    private let port: Int
    private let reaper: ChildProcess
    private let child = Mutex<ChildProcess?>(nil)
    private let agents = Mutex<[ChildProcess]>([])

    package init() async throws {
        self.directory = try makeTemporaryDirectory("pgha-controller")
        self.reaper = try ChildProcess(
            arguments: ["/bin/bash", "-c", ScratchCluster.reaperScript, self.directory], dropsPrivileges: false)
        self.port = try freePort()
        self.client = ControllerClient(
            baseURL: "http://127.0.0.1:\(self.port)", token: BearerToken(Self.token), httpClient: .shared)
        try writeFile("\(self.directory)/token", Self.token)
        try writeFile("\(self.directory)/passfile", Self.passwords)
        try makeDirectory("\(self.directory)/store")
        try await run(["/bin/cp", ScratchCluster.builtExecutable, "\(self.directory)/pgha"])
    }

    /// A file beside the controller's, readable by its user alone; returns its path.
    package func write(_ name: String, _ text: String) throws -> String {
        try writeFile("\(self.directory)/\(name)", text)
        return "\(self.directory)/\(name)"
    }

    package var passfile: String { "\(self.directory)/passfile" }

    /// Starts the controller and waits until it answers. `store` names its file.
    package func start(store: String = "pgha.db") async throws {
        let arguments =
            "controller --listen 127.0.0.1:\(self.port) --store $0/store/\(store) --token-file $0/token "
            + "--passfile $0/passfile --replication-passfile $0/passfile --log-level debug"
        let child = try ChildProcess(
            arguments: [
                "/bin/bash", "-c", "exec 3<&-; exec $0/pgha \(arguments) >>$0/controller.log 2>&1 </dev/null",
                self.directory,
            ], dropsPrivileges: true)
        self.child.withLock { $0 = child }
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            if (try? await self.client.status()) != nil { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw ScratchFailure("the controller does not answer:\n\(self.log)")
    }

    /// Starts an agent for a server that runs already, as the server's user; returns its address once it answers.
    package func startAgent(_ node: NodeName, data: String, timeout: Duration = .seconds(60)) async throws -> String {
        let port = try freePort()
        let arguments =
            "agent --node \(node) --dir $0/agent-\(node) --data \(data) --listen 127.0.0.1:\(port) --token-file $0/token"
        let child = try ChildProcess(
            arguments: [
                "/bin/bash", "-c", "exec 3<&-; exec $0/pgha \(arguments) >>$0/agent-\(node).log 2>&1 </dev/null",
                self.directory,
            ], dropsPrivileges: true)
        self.agents.withLock { $0.append(child) }
        let address = "http://127.0.0.1:\(port)"
        let client = AgentClient(baseURL: address, token: WireSecret(Self.token))
        let deadline = ContinuousClock.now + timeout
        while ContinuousClock.now < deadline, child.isRunning {
            if let facts = try? await client.facts(), case .running = facts.postmaster { return address }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw ScratchFailure("the agent of \(node) does not answer:\n\(self.log(of: node))")
    }

    /// SIGKILL: their servers run on.
    package func killAgents() {
        let agents = self.agents.withLock { agents in
            defer { agents = [] }
            return agents
        }
        for agent in agents {
            Glibc.kill(agent.pid, SIGKILL)
            agent.waitForExit()
        }
    }

    /// Copies the store of a controller that does not run, as a backup would.
    package func copyStore(to name: String) async throws {
        let files = "\(self.directory)/store"
        for suffix in ["", "-wal"] where readFile("\(files)/pgha.db\(suffix)") != nil {
            try await run(["/bin/cp", "\(files)/pgha.db\(suffix)", "\(files)/\(name)\(suffix)"])
        }
    }

    package func log(of node: NodeName) -> String { readFile("\(self.directory)/agent-\(node).log") ?? "" }

    package func kill() {
        guard let child = self.child.withLock({ $0.take() }) else { return }
        Glibc.kill(child.pid, SIGKILL)
        child.waitForExit()
    }

    /// Runs `pgha` against this controller; throws with its output when it fails.
    package func pgha(_ arguments: String...) async throws {
        try await run(
            ["\(self.directory)/pgha"] + arguments
                + ["--controller", "http://127.0.0.1:\(self.port)", "--token-file", "\(self.directory)/token"])
    }

    /// Waits for the condition; the error says what the status was instead.
    @discardableResult
    package func wait(
        for what: String, timeout: Duration = .seconds(60), _ condition: (StatusReport) -> Bool
    ) async throws -> StatusReport {
        let deadline = ContinuousClock.now + timeout
        var last: StatusReport?
        while ContinuousClock.now < deadline {
            last = try? await self.client.status()
            if let last, condition(last) { return last }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw ScratchFailure("waited for \(what); last: \(String(describing: last))\n\(self.log.suffix(4000))")
    }

    package var log: String { readFile("\(self.directory)/controller.log") ?? "" }

    package func tearDown() {
        self.kill()
        self.killAgents()
        self.reaper.closePipe()
        self.reaper.waitForExit()
    }
}
