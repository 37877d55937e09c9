import FoundationEssentials
import Glibc
import PGHAClient
import PGHACommand
import PGHACore

/// The demo in the foreground: processes, their supervision, what is printed, and the end in order.
actor Demo {
    let layout: DemoLayout
    let isEphemeral: Bool
    /// The executable that the children run.
    private let executable: String
    private let programs: String?
    private let screen = Terminal.standardOutput
    var processes: [String: DemoProcess] = [:]
    var lastStatus: StatusReport?
    var isStopping = false

    init(layout: DemoLayout, programs: String?, isEphemeral: Bool) {
        self.layout = layout
        self.programs = programs
        self.isEphemeral = isEphemeral
        let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        self.executable = own ?? CommandLine.arguments[0]
    }

    /// Until Ctrl-C, or until something ends that cannot be started again.
    func run() async throws {
        try FileManager.default.createDirectory(atPath: self.layout.directory, withIntermediateDirectories: true)
        try DemoFiles.lock(self.layout)
        let interruption = Interruption {
            Terminal.standardError.write("stopping already; once more leaves the servers running\n")
        }
        let problem = await self.untilInterrupted(interruption)
        await self.stopAll()
        if self.isEphemeral { DemoFiles.remove(self.layout) }
        if let problem { throw problem }
    }

    /// Nil when a signal asked for the end.
    private func untilInterrupted(_ interruption: Interruption) async -> (any Error)? {
        await withTaskGroup(of: (any Error)?.self) { group in
            group.addTask {
                for await _ in interruption.requests { break }
                return nil
            }
            group.addTask {
                do {
                    try await self.startAndWatch()
                    return nil
                } catch {
                    return error
                }
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    // MARK: - Starting

    private func startAndWatch() async throws {
        await self.stopLeftovers()
        try DemoPorts.requireFree(self.layout)
        try DemoFiles.prepare(self.layout)
        let servers = self.layout.nodes == 1 ? "one PostgreSQL server" : "\(self.layout.nodes) PostgreSQL servers"
        self.say("\(servers) in \(self.layout.directory), ports from \(self.layout.basePort)")
        let token = try BearerToken.read(path: self.layout.tokenFile)
        try await withThrowingTaskGroup(of: Void.self) { group in
            let client = ControllerClient(baseURL: self.layout.controllerURL, token: token)
            for role in self.roles where role.name == "controller" {
                try await self.start(role, token)
                group.addTask { try await self.supervise(role) }
            }
            let leader = try await client.status().leader
            for role in self.roles where role.name == "agent-\(leader ?? "")" {
                try await self.start(role, token)
                group.addTask { try await self.supervise(role) }
                await self.waitForLeader(client)
            }
            for role in self.roles where self.processes[role.name] == nil {
                try await self.start(role, token)
                group.addTask { try await self.supervise(role) }
            }
            group.addTask { try await self.bringUp(client) }
            try await group.waitForAll()
        }
    }

    /// The last leader comes back before its standbys do: with them there, it would be replaced meanwhile.
    private func waitForLeader(_ client: ControllerClient) async {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline, !Task.isCancelled {
            if let report = try? await client.status(), let leader = report.leader, report[leader]?.role == "primary" {
                return
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    /// One process of the demo.
    struct Role: Sendable {
        var name: String
        var arguments: [String]
        var url: String
    }

    var roles: [Role] {
        let layout = self.layout
        let agents = layout.names.enumerated().map { index, name in
            Role(
                name: "agent-\(name)",
                arguments: [
                    "agent", "--node", name.text, "--dir", layout.nodeDirectory(name), "--listen",
                    "127.0.0.1:\(layout.agentPort(index))", "--token-file", layout.tokenFile,
                ] + (self.programs.map { ["--pg-bindir", $0] } ?? []), url: layout.agentURL(index))
        }
        let controller = Role(
            name: "controller",
            arguments: [
                "controller", "--listen", "127.0.0.1:\(layout.controllerPort)", "--store",
                layout.controllerDirectory + "/pgha.db", "--token-file", layout.tokenFile, "--passfile",
                layout.controllerPassfile,
            ], url: layout.controllerURL)
        return agents + [controller, self.pooler]
    }

    /// A process of its own: the controller's death touches no client.
    private var pooler: Role {
        let layout = self.layout
        return Role(
            name: "pooler",
            arguments: [
                "pooler", "--listen", "127.0.0.1:\(layout.writePort)", "--listen-read", "127.0.0.1:\(layout.readPort)",
                "--http-listen", "127.0.0.1:\(layout.poolerHTTPPort)", "--controller", layout.controllerURL,
                "--token-file", layout.tokenFile, "--auth-query", "true", "--auth-passfile", layout.poolerPassfile,
                "--admin-users", "demo",
            ], url: layout.poolerURL)
    }

    private func start(_ role: Role, _ token: BearerToken) async throws {
        try self.launch(role)
        try await self.waitUntilReady(role, token)
    }

    private func launch(_ role: Role) throws {
        let process = try DemoProcess.start(self.executable, role.arguments, log: self.log(role.name))
        self.processes[role.name] = process
        ProcessRecord.write(process, to: self.record(role.name))
    }

    private func waitUntilReady(_ role: Role, _ token: BearerToken) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while await !self.answers(role, token) {
            guard self.processes[role.name]?.hasEnded == false else {
                throw CommandError(
                    .failed, "\(role.name) ended at its start: \(self.lastWords(role.name))",
                    hint: "Its log is \(self.log(role.name)).")
            }
            guard ContinuousClock.now < deadline else {
                throw CommandError(
                    .failed, "\(role.name) does not answer at \(role.url)", hint: "Its log is \(self.log(role.name)).")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        self.say("\(role.name) listens on \(role.url)")
    }

    private func answers(_ role: Role, _ token: BearerToken) async -> Bool {
        if role.name == "pooler" { return await HealthCheck.isOK(role.url + "/liveness", within: .seconds(1)) }
        if role.name == "controller" {
            return (try? await ControllerClient(baseURL: role.url, token: token, timeout: .seconds(1)).status()) != nil
        }
        let client = AgentClient(baseURL: role.url, token: WireSecret(token.value), httpClient: .failingFast)
        return (try? await client.facts(timeout: .seconds(1))) != nil
    }

    /// Starts a process again that ended by itself. PostgreSQL is not among them: that is pgha's work.
    private func supervise(_ role: Role) async throws {
        var failures = 0
        while let process = self.processes[role.name], !Task.isCancelled {
            let started = ContinuousClock.now
            while !process.hasEnded { try await Task.sleep(for: .milliseconds(100)) }
            guard !self.isStopping else { return }
            _ = await process.waitForEnd()
            failures = started.duration(to: .now) > .seconds(30) ? 1 : failures + 1
            guard failures < 5 else {
                throw CommandError(
                    .failed, "\(role.name) ends again and again: \(self.lastWords(role.name))",
                    hint: "Its log is \(self.log(role.name)).")
            }
            self.say("\(role.name) ended unexpectedly and is started again", .warning)
            try await Task.sleep(for: .milliseconds(200 * failures))
            try self.launch(role)
        }
    }

    private func bringUp(_ client: ControllerClient) async throws {
        let found = try await client.status()
        let accepted: Accepted
        if found.cluster == nil, found.phase == "none" {
            accepted = try await client.initialize(InitRequest(spec: SpecDocument(self.layout.spec)))
        } else {
            accepted = Accepted(message: "going on with the data that is there", term: found.term)
        }
        let waiter = OperationWaiter(client: client, timeout: .seconds(300), terminal: self.screen)
        do {
            self.lastStatus = try await waiter.wait(for: .formed, after: accepted).1
        } catch let error as CommandError {
            // Ctrl-C still works, and what is missing may come yet.
            self.say(error.message, .warning)
        }
        if let leader = self.lastStatus?.leader.flatMap({ NodeName($0) }) {
            try await DemoDatabase.prepare(self.layout, leader: leader)
        }
        let status = try await client.status()
        self.show([""] + StatusView.lines(status) + self.instructions(status))
        try await self.watch(client, from: status)
    }

    private func watch(_ client: ControllerClient, from status: StatusReport) async throws {
        var last = status
        while !self.isStopping {
            try await Task.sleep(for: .milliseconds(200))
            guard let now = try? await client.status() else { continue }
            for line in StatusChanges.lines(from: last, to: now) { self.say(line) }
            (last, self.lastStatus) = (now, now)
        }
    }

    // MARK: - Words

    func say(_ text: String, _ emphasis: Emphasis = .plain) { self.say([Styled(text, emphasis)]) }

    func say(_ line: Line) {
        self.show([Line([Styled(HumanClock.timeOfDay + "  ", .faint)] + line.pieces)])
    }

    private func show(_ lines: [Line]) { self.screen.write(lines.rendered(colour: self.screen.hasColour)) }

    private func instructions(_ status: StatusReport) -> [Line] {
        let psql = "PGPASSFILE=\(self.layout.clientPassfile) psql"
        let ending = self.isEphemeral ? "removes" : "keeps"
        let victim = status.leader.flatMap { status[$0]?.postmasterPID }.map { "\($0)" } ?? "PID"
        let lines: [Line] = [
            "", [Styled("Connect through the pooler, to whichever server leads, or to read from a standby:", .strong)],
            [Styled("  \(psql) \"\(self.layout.connectionString(.write))\"")],
            [Styled("  \(psql) \"\(self.layout.connectionString(.read))\"")],
            "", [Styled("In another terminal:", .strong)],
            [Styled("  export PGHA_CONTROLLER=\(self.layout.controllerURL) PGHA_TOKEN_FILE=\(self.layout.tokenFile)")],
            [Styled("  \(self.executable) status --watch")],
            [Styled("  kill -9 \(victim)        "), Styled("# the leader's postmaster", .faint)],
            "", [Styled("Ctrl-C stops everything in order and \(ending) the data.", .faint)], "",
        ]
        return lines
    }

    private func log(_ name: String) -> String { "\(self.layout.logDirectory)/\(name).log" }
    func record(_ name: String) -> String { "\(self.layout.runDirectory)/\(name).json" }

    private func lastWords(_ name: String) -> String {
        let data = FileManager.default.contents(atPath: self.log(name)) ?? Data()
        let line = String(decoding: data.suffix(4096), as: UTF8.self).split(separator: "\n").last
        return line.map(String.init) ?? "its log is empty"
    }
}
