import Glibc
import Hummingbird
package import Logging
import PGHAClient
import PGHACore
import PGHAHTTP
import ServiceLifecycle

/// The agent as a service: its HTTP interface, its tick, and the server it is the parent of.
///
/// Its end, graceful or not, leaves PostgreSQL running: the next agent for the directory adopts it. But where all
/// processes end with the agent, as in a container, it can be told to shut PostgreSQL down first.
package struct AgentService: Service {
    private let agent: Agent
    private let stopsServer: Bool
    private let application: Application<RouterResponder<AgentRoutes.Context>>

    /// Checks everything that can be wrong before anything is changed.
    ///
    /// - Throws: ``AgentStartError`` and others whose description says what to do.
    ///
    /// - Parameter trace: told the name of each step whose place in the order matters.
    package init(
        _ settings: AgentSettings, logger: Logger, trace: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws {
        guard geteuid() != 0 else { throw AgentStartError.runningAsRoot }
        guard !settings.isExternal || settings.data == nil else {
            throw AgentStartError.cannotAdopt("A server that runs already is not started by a gate: leave --data out.")
        }
        let (host, port) = try settings.address()
        let token = try settings.token()
        let directory = try StateDirectory.open(
            settings.directory, data: settings.data, socketGroup: settings.socketGroup)
        try directory.lock()
        let others = settings.data == nil ? nil : AdoptedServer.programs(directory.data)
        let programs = try await ServerPrograms.find(given: settings.binaryDirectory ?? others)
        self.stopsServer = settings.stopsServer
        self.agent = Agent(
            node: settings.node, directory: directory, programs: programs,
            pledges: try PledgeFile(path: directory.pledgeFile), setup: try Agent.keptSetup(directory.setupFile),
            adopted: try await Self.adopted(settings, directory, programs),
            gate: settings.isExternal ? GateFiles(root: directory.root + "/gate") : nil, logger: logger, trace: trace)
        self.application = Application(
            router: AgentRoutes.router(self.agent, token: token.value, tls: settings.tls),
            server: .over(settings.tls),
            configuration: .init(address: .hostname(host, port: port), serverName: "pgha"),
            onServerRunning: { channel in
                logger.info(
                    "agent listens",
                    metadata: [
                        "node": "\(settings.node)", "address": "\(host):\(channel.localAddress?.port ?? port)",
                        "directory": "\(directory.root)", "programs": "\(programs.directory)",
                    ])
            }, logger: logger)
    }

    /// What there is to know of a server that somebody else made; kept from the first time on.
    private static func adopted(
        _ settings: AgentSettings, _ directory: StateDirectory, _ programs: ServerPrograms
    ) async throws -> AdoptedServer? {
        if let kept = try AdoptedServer.kept(directory.adoptedFile) { return kept }
        guard settings.data != nil else { return nil }
        let version = (try DurableFile.read(directory.data + "/PG_VERSION") ?? "").filter { !$0.isWhitespace }
        guard version == "\(programs.majorVersion)" else {
            throw AgentStartError.otherVersion(data: version, programs: programs.majorVersion)
        }
        let found = try await AdoptedServer.examine(directory.data, programs: programs)
        try found.keep(directory.adoptedFile)
        return found
    }

    package func run() async throws {
        await self.agent.lookAround()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.application.run() }
            group.addTask { try await AgentTick(agent: self.agent).run() }
            defer { group.cancelAll() }
            try await group.waitForAll()
        }
        if self.stopsServer { await self.agent.stopWithAgent() }
    }
}
