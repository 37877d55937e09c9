import FoundationEssentials
import Glibc
import Logging
import PGHAClient
import PGHACore
import PGHAPostgres

extension Agent {
    /// The files that the agent manages, for the setup it was last given.
    func managedFiles() throws -> ManagedFiles {
        guard let setup = self.setup else {
            throw AgentFailure(
                code: "no_setup", message: "The agent was never told how to configure its server",
                hint: "Send `server` with the request.")
        }
        return self.managedFiles(setup)
    }

    private func managedFiles(_ setup: ServerSetup) -> ManagedFiles {
        ManagedFiles(
            node: self.node, setup: setup, socketDirectory: self.directory.socketDirectory,
            systemUser: Self.systemUser(), adopted: self.adopted)
    }

    func writeManagedFiles() async throws {
        let files = try self.managedFiles()
        let data = self.directory.data
        try await Offload.run { try files.write(into: data) }
    }

    /// Takes a setup, keeps it across restarts, and puts the replication password where libpq finds it.
    func adoptSetup(_ setup: ServerSetup?) async throws {
        guard var setup else { return }
        if let problem = self.managedFiles(setup).problem { throw problem }
        let password = setup.replicationPassword
        setup.replicationPassword = nil
        let text = String(decoding: try JSONEncoder().encode(setup), as: UTF8.self)
        let directory = self.directory
        try await Offload.run {
            if let password {
                try DurableFile.write(
                    Passfile.content(user: "pgha_replica", password: password.value), to: directory.passfile)
            }
            try DurableFile.write(text, to: directory.setupFile)
        }
        if self.setup?.keepDivergedSeconds != setup.keepDivergedSeconds { self.nextPrune = .now }
        self.setup = setup
        if self.postmaster == nil { await self.local.use(port: setup.port) }
    }

    /// The setup that an earlier process kept; nil when there is none. Blocks.
    static func keptSetup(_ path: String) throws -> ServerSetup? {
        guard let text = try DurableFile.read(path) else { return nil }
        return try JSONDecoder().decode(ServerSetup.self, from: Data(text.utf8))
    }

    static func systemUser() -> String {
        guard let entry = getpwuid(geteuid()), let name = entry.pointee.pw_name else { return "\(geteuid())" }
        return String(cString: name)
    }

    // MARK: - Requests of operators

    func start(_ request: PlainRequest) async throws -> AgentResult {
        let key = WorkKey(kind: .start, claim: request.pledge?.claim)
        return try await self.perform(key, pledge: request.pledge) { agent in
            await agent.adopt()
            guard agent.postmaster == nil else { return AgentResult() }
            guard agent.directory.hasData else { throw Refusal.noData(agent.directory.root) }
            guard agent.mayStartAsStandby else { throw Refusal.neverLeader }
            try await agent.start(standby: true, hot: false)
            return AgentResult()
        }
    }

    func stop(_ request: StopRequest) async throws -> AgentResult {
        let key = WorkKey(kind: .stop, claim: request.pledge?.claim, detail: request.mode.rawValue)
        return try await self.perform(key, pledge: request.pledge) { agent in
            await agent.adopt()
            agent.keepsRunning = false
            try await agent.stop(request.mode)
            return AgentResult()
        }
    }

    /// The agent's end is the server's: an orderly shutdown, whose checkpoint saves the next start from recovery.
    func stopWithAgent() async {
        self.keepsRunning = false
        do {
            try await self.stop(Self.cleanStop(drain: .seconds(30)))
        } catch {
            self.logger.warning("the server is not shut down", metadata: ["why": "\(error)"])
        }
    }

    /// Stops and starts in place: a primary stays the primary, with its list of standbys.
    func restart(_ request: StopRequest) async throws -> AgentResult {
        let key = WorkKey(kind: .restart, claim: request.pledge?.claim, detail: request.mode.rawValue)
        return try await self.perform(key, pledge: request.pledge) { agent in
            await agent.adopt()
            guard agent.postmaster != nil else { throw Refusal.notRunning() }
            let standby = DurableFile.exists(agent.directory.standbySignal)
            let held = agent.pledges.pledge
            agent.keepsRunning = false
            try await agent.stop(request.mode)
            if let held { try agent.requireCurrent(held) }
            try await agent.start(standby: standby, hot: !standby)
            return AgentResult()
        }
    }

    func reload(_ request: PlainRequest) async throws -> AgentResult {
        let key = WorkKey(kind: .reload, claim: request.pledge?.claim)
        return try await self.perform(key, pledge: request.pledge) { agent in
            guard let handle = agent.postmaster, handle.signal(SIGHUP) else { throw Refusal.notRunning() }
            return AgentResult()
        }
    }

    /// Writes the managed files again and has them loaded; answers with what waits for a restart.
    func apply(_ request: SettingsRequest) async throws -> AgentResult {
        let key = WorkKey(kind: .settings, claim: request.pledge?.claim)
        return try await self.perform(key, pledge: request.pledge) { agent in
            guard agent.directory.hasData else { throw Refusal.noData(agent.directory.root) }
            try await agent.adoptSetup(request.server)
            try await agent.writeManagedFiles()
            guard agent.postmaster != nil else { return AgentResult(pendingRestart: []) }
            _ = try await agent.local.query("SELECT pg_reload_conf()")
            return AgentResult(pendingRestart: try await agent.pendingRestart())
        }
    }

    /// Reading `pending_restart` right after a reload may be too early: the session itself loads the files when
    /// it next waits for a statement, so the second statement sees them.
    private func pendingRestart() async throws -> [String] {
        let sql = "SELECT name FROM pg_settings WHERE pending_restart ORDER BY name"
        // The postmaster signals its children after loading, some milliseconds after `pg_reload_conf()` returned.
        var names: [String] = []
        for _ in 0..<20 where names.isEmpty {
            try await Task.sleep(for: .milliseconds(10))
            names = try await self.local.query(sql).map { try $0.string("name") }
        }
        return names
    }

    private func stop(_ mode: StopMode) async throws {
        switch mode {
        case .smart:
            guard let handle = self.postmaster else { return }
            handle.signal(SIGTERM)
            guard await handle.exit(within: .seconds(100)) != nil else {
                throw AgentFailure(
                    code: "clients_remain", message: "Clients are still connected after 100 s",
                    hint: "A smart shutdown goes on waiting for them; ask for `fast` to end them.")
            }
            try await self.stop([(SIGTERM, .seconds(1))])
        case .fast: try await self.stop(Self.cleanStop(drain: .seconds(60)))
        case .immediate: try await self.stop(Self.immediateStop)
        }
    }
}
