import FoundationEssentials
import PGHAClient
import PGHACore
import PGHAPostgres
import PGHASchema
import PGHAWire

extension Agent {
    /// Makes the cluster's first server and runs it behind the fence. Each step can be repeated: after an
    /// interruption the same request goes on where it was.
    func initialize(_ request: InitializeRequest) async throws -> AgentResult {
        let key = WorkKey(kind: .initialize, claim: request.pledge.claim)
        return try await self.perform(key, pledge: request.pledge) { agent in
            try await agent.makeFirstServer(request)
        }
    }

    private func makeFirstServer(_ request: InitializeRequest) async throws -> AgentResult {
        try await self.requireOwnData(request.pledge)
        try await self.adoptSetup(request.server)
        if !self.directory.hasData {
            try await self.write("\(request.pledge)\n", to: self.directory.initializingMark)
            try await self.createDataDirectory()
        } else if self.postmaster == nil {
            try await self.writeManagedFiles()
        }
        self.report("start")
        _ = try await self.runAsPrimary(request.pledge)
        if DurableFile.exists(self.directory.initializingMark) {
            self.report("roles and schema")
            try await self.installSchema(request)
            let mark = self.directory.initializingMark
            try await Offload.run { try DurableFile.remove(mark) }
        }
        await self.refreshFacts()
        let control = try await self.controlData()
        return AgentResult(
            position: try await self.local.primaryPosition(), systemIdentifier: control.systemIdentifier)
    }

    /// Refuses a data directory that is not this agent's own unfinished or finished work for the claim.
    private func requireOwnData(_ pledge: Pledge) async throws {
        let directory = self.directory
        let made = try await Offload.run { try DurableFile.read(directory.agent + "/made-for") }
        if DurableFile.exists(directory.initializingMark) { return }
        if directory.hasData {
            guard made.flatMap({ Pledge($0.filter { !$0.isWhitespace }) })?.claim == pledge.claim else {
                throw Refusal.foreignData(directory.data)
            }
            return
        }
        for path in [directory.data, directory.newData] {
            let isOurs = path == directory.newData && DurableFile.exists(directory.agent + "/making")
            if !isOurs, try await Offload.run({ try !DurableFile.list(path).isEmpty }) {
                throw Refusal.foreignData(path)
            }
        }
        try await self.write("\(pledge)\n", to: directory.agent + "/made-for")
    }

    private func createDataDirectory() async throws {
        self.report("initdb")
        try await self.prepareNewData()
        var output = try await self.initdb(locale: "C.UTF-8")
        if output.status != 0, output.standardError.contains("invalid locale") {
            try await self.prepareNewData()
            output = try await self.initdb(locale: "C")
        }
        guard output.status == 0 else {
            throw Refusal.programFailed("initdb", status: output.status, output.complaint)
        }
        let files = try self.managedFiles()
        let directory = self.directory
        try await Offload.run { try files.write(into: directory.newData) }
        try await self.isolate(data: directory.newData)
        try await self.installNewData()
    }

    private func initdb(locale: String) async throws -> Program.Output {
        try await Program.run(
            self.programs.path("initdb"),
            [
                "--pgdata=\(self.directory.newData)", "--data-checksums", "--auth-local=peer",
                "--auth-host=scram-sha-256", "--username=postgres", "--encoding=UTF8", "--locale=\(locale)",
            ])
    }

    /// An empty place for a data directory in the making, marked as the agent's own.
    func prepareNewData() async throws {
        let directory = self.directory
        try await Offload.run {
            let mark = directory.agent + "/making"
            if !DurableFile.exists(mark), try !DurableFile.list(directory.newData).isEmpty {
                throw Refusal.foreignData(directory.newData)
            }
            try DurableFile.write("data.new\n", to: mark)
            try directory.removeData(directory.newData)
        }
    }

    /// Puts the finished directory in place of the old one, which stays as `data.old`.
    func installNewData() async throws {
        let directory = self.directory
        try await Offload.run {
            if DurableFile.exists(directory.data) {
                try directory.removeData(directory.oldData)
                try DurableFile.move(directory.data, to: directory.oldData)
            }
            try DurableFile.move(directory.newData, to: directory.data)
            try DurableFile.remove(directory.agent + "/making")
            // Whatever was half rewound is no longer in place.
            try DurableFile.remove(directory.rewindMark)
        }
    }

    func write(_ text: String, to path: String) async throws {
        try await Offload.run { try DurableFile.write(text, to: path) }
    }

    // MARK: - Roles, schema, databases

    private func installSchema(_ request: InitializeRequest) async throws {
        try await self.installSchema(
            control: request.controlPassword, replica: request.server.replicationPassword,
            pooler: request.poolerPassword)
        for role in request.roles { try await self.createRole(role) }
        for database in request.databases { try await self.createDatabase(database) }
    }

    /// The roles of pgha, their passwords, and the scripts that the database lacks.
    func installSchema(control: WireSecret?, replica: WireSecret?, pooler: WireSecret?) async throws {
        let installed = try await self.local.query("\(PGHASchema.installedQuery) AS installed")
        var applied: [Int] = []
        if try installed.first?.bool("installed") == true {
            applied = try await self.local.query(PGHASchema.appliedQuery).map { try $0.int("number") }
        }
        for script in PGHASchema.missing(applied: applied) { try await self.local.script(script.transaction) }
        try await self.setVerifier(of: "pgha_control", from: control)
        try await self.setVerifier(of: "pgha_replica", from: replica)
        try await self.setVerifier(of: "pgha_pooler", from: pooler)
        // pg_rewind needs a checkpoint on the new primary first (DESIGN section 5, rejoin).
        try await self.local.script("GRANT pg_checkpoint TO pgha_replica")
    }

    private func createRole(_ role: RoleSetup) async throws {
        let name = quoteIdentifier(role.name)
        let exists = try await self.local.query("SELECT FROM pg_roles WHERE rolname = $1", [role.name])
        if exists.isEmpty { try await self.local.script("CREATE ROLE \(name) LOGIN") }
        if let password = role.password { try await self.setPassword(password.value, of: role.name) }
    }

    private func createDatabase(_ database: DatabaseSetup) async throws {
        let exists = try await self.local.query("SELECT FROM pg_database WHERE datname = $1", [database.name])
        guard exists.isEmpty else { return }
        let owner = database.owner.map { " OWNER \(quoteIdentifier($0))" } ?? ""
        try await self.local.script("CREATE DATABASE \(quoteIdentifier(database.name))\(owner)")
    }

    private func setVerifier(of role: String, from password: WireSecret?) async throws {
        guard let password else { return }
        let verifier = await Offload.run {
            SCRAMVerifier.ofRole(password: PGHAWire.Secret(Array(password.value.utf8))).text
        }
        try await self.setPassword(verifier.withBytes { String(decoding: $0, as: UTF8.self) }, of: role)
    }

    /// The session logs no statements.
    private func setPassword(_ password: String, of role: String) async throws {
        _ = try await self.local.query(PGHASchema.takePassword, [role, password])
        try await self.local.script(PGHASchema.setPassword)
    }
}
