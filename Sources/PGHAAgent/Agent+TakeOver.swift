import Glibc
import Logging
import PGHAClient
import PGHACore
import PGHAPostgres
import PGHASchema

extension Agent {
    /// Prepares a running server that somebody else made for being led: access and passwords for the roles of pgha, and
    /// on the primary the roles and `sql/` themselves. Restarts nothing, changes no other setting, and can be repeated.
    func takeOver(_ request: AdoptRequest) async throws -> AgentResult {
        try await self.perform(WorkKey(kind: .adopt), pledge: nil) { agent in
            try await agent.prepareTakeOver(request)
            return AgentResult()
        }
    }

    private func prepareTakeOver(_ request: AdoptRequest) async throws {
        if let held = self.pledges.pledge { throw Refusal.alreadyLed(held) }
        await self.adopt()
        guard self.postmaster != nil else { throw Refusal.notRunning() }
        try await self.adoptSetup(request.server)
        await self.local.use(port: request.server.port)
        try await self.admit(bootstrap: false)
        let isPrimary = !DurableFile.exists(self.directory.standbySignal)
        // On a standby the role comes with the primary's WAL.
        if try await !self.opens(self.local, within: isPrimary ? .zero : .seconds(10)) {
            guard isPrimary, self.adopted != nil else { throw Refusal.noSuperuser("the role is not there") }
            try await self.makeOwnRole(port: request.server.port)
        }
        guard isPrimary else { return }
        self.report("roles and schema")
        try await self.installSchema(
            control: request.controlPassword, replica: request.server.replicationPassword,
            pooler: request.poolerPassword)
        try await self.waitUntilReplayed()
    }

    private func admit(bootstrap: Bool) async throws {
        var files = try self.managedFiles()
        files.admitsBootstrap = bootstrap
        let data = self.directory.data
        _ = try await Offload.run { [files] in try files.writeAccess(into: data) }
        self.postmaster?.signal(SIGHUP)
    }

    /// As the superuser `postgres`, who gets a line in `pg_hba.conf` for a moment where there is no other way in.
    private func makeOwnRole(port: Int) async throws {
        guard let adopted = self.adopted else { return }
        let bootstrap = LocalServer(socketDirectory: adopted.socketDirectory)
        await bootstrap.use(port: port)
        let isOpen = try await self.opens(bootstrap, within: .zero)
        if !isOpen { try await self.admit(bootstrap: true) }
        do {
            if !isOpen, try await !self.opens(bootstrap, within: .seconds(5)) {
                throw Refusal.noSuperuser("there is no line for it in \(adopted.hbaFile) that helps")
            }
            try await bootstrap.script("CREATE ROLE \(AdoptedServer.role) SUPERUSER LOGIN")
        } catch {
            await bootstrap.close()
            try await self.admit(bootstrap: false)
            throw error
        }
        await bootstrap.close()
        if !isOpen { try await self.admit(bootstrap: false) }
    }

    /// The postmaster loads `pg_hba.conf` within a moment of the signal.
    private func opens(_ server: LocalServer, within limit: Duration) async throws -> Bool {
        let deadline = ContinuousClock.now + limit
        while true {
            let row = try? await server.query("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").first
            if try row?.bool("rolsuper") == true { return true }
            guard ContinuousClock.now < deadline else { return false }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// The controller asks the standbys next, as a role that they must know by then. Best effort.
    private func waitUntilReplayed() async throws {
        guard let end = try await self.local.primaryPosition()?.end else { return }
        let deadline = ContinuousClock.now + .seconds(5)
        while ContinuousClock.now < deadline {
            let behind = try await self.local.query(
                "SELECT FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn < $1::pg_lsn",
                [end.description])
            if behind.isEmpty { return }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
