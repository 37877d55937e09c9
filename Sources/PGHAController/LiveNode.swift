package import AsyncHTTPClient
package import Logging
package import PGHAClient
package import PGHACore
package import PGHAPostgres
package import PGHATLS
import Synchronization

/// How the controller reaches every node: one role, one token, one trust store for all of them.
package struct NodeCredentials: Sendable {
    /// The role of the controller's sessions.
    package var user: String
    package var password: Secret?
    /// A file in `.pgpass` format, used when `password` is nil.
    package var passfile: String?
    package var sslMode: ConnectionParameters.SSLMode
    package var sslRootCert: String?
    /// The password of `pgha_replica`, which agents need to stream.
    package var replicationPassword: Secret?
    /// The password of `pgha_pooler`, with which poolers look users up.
    package var poolerPassword: Secret?
    /// Where servers without an agent find it, on their hosts, in `.pgpass` format; nil: libpq's default place.
    package var replicationPassfile: String?
    /// The agents' bearer token.
    package var token: WireSecret
    /// What is shown to agents; nil: they are asked without TLS, unless their address says https.
    package var tls: TLSIdentity?

    package init(
        user: String = "pgha_control", password: Secret?, passfile: String?,
        sslMode: ConnectionParameters.SSLMode = .prefer, sslRootCert: String? = nil, replicationPassword: Secret?,
        poolerPassword: Secret? = nil, replicationPassfile: String? = nil, token: WireSecret,
        tls: TLSIdentity? = nil
    ) {
        self.user = user
        self.password = password
        self.passfile = passfile
        self.sslMode = sslMode
        self.sslRootCert = sslRootCert
        self.replicationPassword = replicationPassword
        self.poolerPassword = poolerPassword
        self.replicationPassfile = replicationPassfile
        self.token = token
        self.tls = tls
    }
}

/// A real node: libpq to its server, HTTP to its agent.
package struct LiveNode: NodeAccess {
    private let spec: NodeSpec
    private let probe: ServerProbe
    private let control: ServerControl
    /// Of its own, so that keeping slots never stands in the way of a failover.
    private let slots: ServerControl
    private let agent: AgentClient?
    private let credentials: NodeCredentials
    private let settings: @Sendable () async -> ServerSettings
    /// Where the agent said that its server finds the password.
    private let passfile = LastPassfile()
    private let trouble = LastTrouble()
    private let logger: Logger

    private final class LastPassfile: Sendable {
        let path = Mutex<String?>(nil)
    }

    /// With the agent, over TLS; said once.
    private final class LastTrouble: Sendable {
        let trouble = Mutex<TLSTrouble?>(nil)
    }

    /// `settings`: what the spec says of this server's configuration at the time of the call.
    package init(
        spec: NodeSpec, systemIdentifier: UInt64?, credentials: NodeCredentials, httpClient: HTTPClient,
        logger: Logger, settings: @escaping @Sendable () async -> ServerSettings
    ) {
        var parameters = ConnectionParameters(
            host: spec.host, port: spec.port, user: credentials.user, passfile: credentials.passfile,
            password: credentials.password, sslMode: credentials.sslMode, sslRootCert: credentials.sslRootCert)
        parameters.applicationName = "pgha"
        self.spec = spec
        self.probe = ServerProbe(parameters)
        self.control = ServerControl(
            node: spec.name, parameters: parameters, expectedSystemIdentifier: systemIdentifier)
        self.slots = ServerControl(
            node: spec.name, parameters: parameters, expectedSystemIdentifier: systemIdentifier)
        self.agent = spec.agent.map {
            AgentClient(baseURL: $0, token: credentials.token, tls: credentials.tls, httpClient: httpClient)
        }
        self.credentials = credentials
        self.settings = settings
        self.logger = logger
    }

    package func probe(timeout: Duration) async -> Result<ServerObservation, ProbeFailure> {
        await self.probe.observe(timeout: timeout)
    }

    package var losses: AsyncStream<Void> { self.probe.losses }

    package func execute(_ command: NodeCommand, upstreams: [NodeName: NodeSpec]) async -> NodeOutcome {
        switch command {
        case .seal(let pledge):
            return await self.endingSessions(pledge) { await self.control.execute(command, upstream: nil) }
        case .promote(let pledge):
            // Nobody waits for them.
            Task { await self.makeSlots(for: upstreams.keys) }
            return await self.endingSessions(pledge) { await self.control.execute(command, upstream: nil) }
        case .reclaim, .readPosition, .writeTermRow, .readSenders, .setSyncList, .checkpoint:
            return await self.control.execute(command, upstream: nil)
        case .follow(_, let leader, _):
            guard let leader = upstreams[leader] else { return .failed(.other("no address for \(leader)")) }
            return await self.control.execute(command, upstream: self.upstream(leader))
        case .fence, .startLeader, .startStandby, .rejoin, .initialize, .lease:
            guard let agent = self.agent else { return .failed(.other("\(self.spec.name) has no agent")) }
            return await agent.execute(command, context: await self.context(upstreams))
        }
    }

    /// A new leader's followers cannot stream without their slots, and a server that was made, cloned or rewound in the
    /// last two seconds may have none yet: they would wait for the next time that slots are kept. Best effort: they are
    /// kept for ever.
    private func makeSlots(for members: some Collection<NodeName>) async {
        try? await self.slots.ensureSlots(members.filter { $0 != self.spec.name }.sorted())
    }

    /// A server that the agent started has the password in its environment's passfile as well; one that it only took
    /// over has not.
    private func upstream(_ leader: NodeSpec) -> Upstream {
        Upstream(
            host: leader.host, port: leader.port, user: "pgha_replica",
            passfile: self.spec.agent == nil
                ? self.credentials.replicationPassfile : self.passfile.path.withLock { $0 })
    }

    /// A superuser's query on a standby can hold its replay up, and only the agent can end that: asked when an order that
    /// usually takes some 30 ms takes long.
    private func endingSessions(
        _ pledge: Pledge, _ order: @escaping @Sendable () async -> NodeOutcome
    ) async -> NodeOutcome {
        guard let agent = self.agent else { return await order() }
        return await withTaskGroup(of: NodeOutcome?.self) { group in
            group.addTask { await order() }
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: Self.endsSessionsAfter)
                    guard !Task.isCancelled else { break }
                    try? await agent.endSessions(EndSessionsRequest(pledge: pledge))
                }
                return nil
            }
            for await case let outcome? in group {
                group.cancelAll()
                return outcome
            }
            return .failed(.other("no answer"))
        }
    }

    private static let endsSessionsAfter = Duration.milliseconds(200)

    private func note(_ facts: AgentFacts) -> AgentFacts {
        if let path = facts.passfile { self.passfile.path.withLock { $0 = path } }
        return facts
    }

    private func setup(_ settings: ServerSettings) -> ServerSetup {
        var server = ServerSetup(port: self.spec.port)
        server.listenAddresses = [self.spec.host]
        server.settings = settings.postgres
        // The roles of pgha, wherever the server listens, with a password.
        server.trustedNetworks = ["all"]
        server.access = settings.access.map {
            HBARule(type: $0.type, database: $0.database, user: $0.user, address: $0.address, method: $0.method)
        }
        server.keepDivergedSeconds = settings.keepDiverged.components.seconds
        server.replicationPassword = self.credentials.replicationPassword.map { WireSecret($0.revealed) }
        return server
    }

    private func context(_ upstreams: [NodeName: NodeSpec]) async -> AgentCommandContext {
        AgentCommandContext(
            server: self.setup(await self.settings()),
            controlPassword: self.credentials.password.map { WireSecret($0.revealed) },
            poolerPassword: self.credentials.poolerPassword.map { WireSecret($0.revealed) },
            upstreams: upstreams.mapValues { AgentUpstream(name: $0.name, host: $0.host, port: $0.port) })
    }

    package func facts() -> AsyncStream<AgentFacts> {
        guard let agent = self.agent else { return AsyncStream { $0.finish() } }
        return AsyncStream { continuation in
            let task = Task {
                do {
                    for try await event in agent.events() {
                        self.trouble.trouble.withLock { $0 = nil }
                        continuation.yield(self.note(event.facts))
                    }
                } catch {
                    // The end of the stream says it: facts get old, and the caller connects again.
                    await self.say(TLSTrouble(error), error, agent)
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// A wrong certificate is nothing that mends itself.
    private func say(_ trouble: TLSTrouble?, _ error: any Error, _ agent: AgentClient) async {
        let isNews = self.trouble.trouble.withLock { last in
            defer { last = trouble }
            return last != trouble
        }
        guard isNews, let exact = await TLSTrouble.found(in: error, at: agent.baseURL) else { return }
        self.logger.error(
            "no connection to the agent over TLS",
            metadata: ["node": "\(self.spec.name)", "agent": "\(agent.baseURL)", "error": "\(exact.words)"])
    }

    package func keepSlots(_ positions: [NodeName: LSN?], advance: Bool, members: [NodeName]?) async throws {
        try await self.control.warmUp()
        try await self.slots.ensureSlots(positions.keys.sorted(), members: members)
        if advance { try await self.slots.advanceSlots(to: positions.compactMapValues { $0 }) }
    }

    package func restart() async throws { try await self.requireAgent("Restart its server by hand.").restart() }

    package func diverged() async throws -> [DivergedEntry] { try await self.requireAgent("").diverged() }

    package func diverged(_ name: DivergedName) async throws -> DivergedEntry {
        try await self.requireAgent("").diverged(name)
    }

    package func dropDiverged(_ name: DivergedName) async throws -> DivergedEntry {
        try await self.requireAgent("").dropDiverged(name)
    }

    private func requireAgent(_ hint: String) throws -> AgentClient {
        guard let agent = self.agent else {
            throw AgentFailure(code: "no_agent", message: "\(self.spec.name) has no agent", hint: hint)
        }
        return agent
    }

    package func survey() async -> AdoptionSurvey {
        async let server = self.control.survey()
        let agent = await self.surveyAgent()
        return AdoptionSurvey(await server, agent: agent)
    }

    package func surveyAgent() async -> AdoptionSurvey.Agent {
        guard let client = self.agent else { return .none }
        do {
            return .facts(self.note(try await client.facts(timeout: .seconds(3))))
        } catch {
            return .silent("\(error)")
        }
    }

    package func prepareAdoption(_ settings: ServerSettings) async throws {
        let agent = try self.requireAgent("Give 'pgha init --adopt' --superuser-file.")
        try await agent.adopt(
            AdoptRequest(
                server: self.setup(settings),
                controlPassword: self.credentials.password.map { WireSecret($0.revealed) },
                poolerPassword: self.credentials.poolerPassword.map { WireSecret($0.revealed) }))
    }

    package func storeEvidence() async throws(NodeFailure) -> StoreEvidence { try await self.control.storeEvidence() }

    package func runningLimits() async throws(NodeFailure) -> [String: Int] { try await self.slots.runningLimits() }

    package func apply(_ settings: ServerSettings) async throws {
        let agent = try self.requireAgent("Change the settings of its server by hand.")
        _ = try await agent.apply(SettingsRequest(server: self.setup(settings)))
    }

    package func rehearse(following leader: NodeSpec) async throws(NodeFailure) -> @Sendable () async -> Void {
        let before = try await self.control.rehearseFollow(self.upstream(leader))
        return { [control = self.control] in
            if let before { try? await control.endRehearsal(before) }
        }
    }

    package func close() async {
        await self.probe.close()
        await self.control.close()
        await self.slots.close()
    }
}
