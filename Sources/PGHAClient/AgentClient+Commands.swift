package import PGHACore
import PGHATLS

/// What the commands of ``NodeCommand`` leave out because decisions do not need it: addresses, settings, secrets.
package struct AgentCommandContext: Sendable {
    /// How the node's server is configured.
    package var server: ServerSetup?
    package var controlPassword: WireSecret?
    package var poolerPassword: WireSecret?
    package var roles: [RoleSetup]
    package var databases: [DatabaseSetup]
    /// The addresses of the leaders that may be named.
    package var upstreams: [NodeName: AgentUpstream]
    /// As `pg_basebackup --max-rate` takes it.
    package var maxRate: String?
    package var drain: Duration?
    /// For the whole command. A clone outlasts it: the same command asked again joins the work.
    package var timeout: Duration?

    package init(
        server: ServerSetup? = nil, controlPassword: WireSecret? = nil, poolerPassword: WireSecret? = nil,
        roles: [RoleSetup] = [],
        databases: [DatabaseSetup] = [], upstreams: [NodeName: AgentUpstream] = [:], maxRate: String? = nil,
        drain: Duration? = nil, timeout: Duration? = nil
    ) {
        self.server = server
        self.controlPassword = controlPassword
        self.poolerPassword = poolerPassword
        self.roles = roles
        self.databases = databases
        self.upstreams = upstreams
        self.maxRate = maxRate
        self.drain = drain
        self.timeout = timeout
    }
}

extension AgentClient {
    /// Executes a command that goes through the agent. Those that go over SQL answer `.failed(.other)`.
    package func execute(_ command: NodeCommand, context: AgentCommandContext) async -> NodeOutcome {
        do {
            return try await self.attempt(command, context)
        } catch let failure as AgentFailure {
            return .failed(Self.nodeFailure(failure))
        } catch let error as AgentClientError {
            return .failed(.other("\(error)"))
        } catch {
            return .failed(.unreachable("agent \(self.baseURL): \(TLSTrouble(error)?.words ?? "\(error)")"))
        }
    }

    private func attempt(_ command: NodeCommand, _ context: AgentCommandContext) async throws -> NodeOutcome {
        switch command {
        case .fence(let pledge, let clean):
            let request = FenceRequest(
                pledge: pledge, clean: clean, drainMilliseconds: context.drain.map { Int($0.milliseconds) })
            return .fenced(try await self.fence(request, timeout: context.timeout ?? .seconds(30)).position)
        case .startLeader(let pledge):
            let result = try await self.startLeader(.init(pledge: pledge), timeout: context.timeout ?? .seconds(300))
            guard let position = result.position else { throw AgentClientError.incomplete("answer without position") }
            return .reclaimed(position)
        case .startStandby(let pledge):
            _ = try await self.startStandby(.init(pledge: pledge), timeout: context.timeout ?? .seconds(300))
            return .done
        case .rejoin(let pledge, let leader, let name, let mode):
            guard let upstream = context.upstreams[leader] else {
                throw AgentClientError.incomplete("no address for leader \(leader)")
            }
            let request = RejoinRequest(
                pledge: pledge, leader: upstream, replicationName: name, mode: mode, maxRate: context.maxRate,
                server: context.server)
            _ = try await self.rejoin(request, timeout: context.timeout ?? .seconds(86_400))
            return .done
        case .initialize(let pledge):
            return try await self.initialize(pledge, context)
        // Mode async is refused until agents keep leases.
        case .lease: throw AgentClientError.incomplete("agents of this version keep no leases")
        case .seal, .reclaim, .readPosition, .promote, .follow, .writeTermRow, .readSenders, .setSyncList, .checkpoint:
            throw AgentClientError.incomplete("\(command.label) goes over SQL")
        }
    }

    private func initialize(_ pledge: Pledge, _ context: AgentCommandContext) async throws -> NodeOutcome {
        guard let server = context.server else { throw AgentClientError.incomplete("no server settings") }
        let request = InitializeRequest(
            pledge: pledge, server: server, controlPassword: context.controlPassword,
            poolerPassword: context.poolerPassword, roles: context.roles, databases: context.databases)
        let result = try await self.initialize(request, timeout: context.timeout ?? .seconds(600))
        guard let identifier = result.systemIdentifier, let position = result.position else {
            throw AgentClientError.incomplete("answer without identifier or position")
        }
        return .initialized(systemIdentifier: identifier, position)
    }

    private static func nodeFailure(_ failure: AgentFailure) -> NodeFailure {
        if let holding = failure.holding { return .refused(holding: holding) }
        if failure.code == "is_primary" { return .isPrimary }
        if failure.code == "foreign_cluster", let identifier = failure.systemIdentifier {
            return .foreignCluster(identifier)
        }
        return .other(failure.description)
    }
}
