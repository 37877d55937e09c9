package import AsyncHTTPClient
import Logging
package import PGHAClient
package import PGHACore
package import PGHAPostgres

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
    /// The agents' bearer token.
    package var token: WireSecret

    package init(
        user: String = "pgha_control", password: Secret?, passfile: String?,
        sslMode: ConnectionParameters.SSLMode = .prefer, sslRootCert: String? = nil, replicationPassword: Secret?,
        token: WireSecret
    ) {
        self.user = user
        self.password = password
        self.passfile = passfile
        self.sslMode = sslMode
        self.sslRootCert = sslRootCert
        self.replicationPassword = replicationPassword
        self.token = token
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
    private let settings: @Sendable () async -> [String: String]

    /// `settings`: the spec's PostgreSQL settings at the time of the call.
    package init(
        spec: NodeSpec, systemIdentifier: UInt64?, credentials: NodeCredentials, httpClient: HTTPClient,
        settings: @escaping @Sendable () async -> [String: String]
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
            AgentClient(baseURL: $0, token: credentials.token, httpClient: httpClient)
        }
        self.credentials = credentials
        self.settings = settings
    }

    package func probe(timeout: Duration) async -> Result<ServerObservation, ProbeFailure> {
        await self.probe.observe(timeout: timeout)
    }

    package func execute(_ command: NodeCommand, upstreams: [NodeName: NodeSpec]) async -> NodeOutcome {
        switch command {
        case .seal, .reclaim, .readPosition, .promote, .writeTermRow, .readSenders, .setSyncList, .checkpoint:
            return await self.control.execute(command, upstream: nil)
        case .follow(_, let leader, _):
            guard let leader = upstreams[leader] else { return .failed(.other("no address for \(leader)")) }
            return await self.control.execute(
                command, upstream: Upstream(host: leader.host, port: leader.port, user: "pgha_replica"))
        case .fence, .startLeader, .startStandby, .rejoin, .initialize:
            guard let agent = self.agent else { return .failed(.other("\(self.spec.name) has no agent")) }
            return await agent.execute(command, context: await self.context(upstreams))
        }
    }

    private func context(_ upstreams: [NodeName: NodeSpec]) async -> AgentCommandContext {
        var server = ServerSetup(port: self.spec.port)
        server.listenAddresses = [self.spec.host]
        server.settings = await self.settings()
        // Wherever the server listens, with a password. A spec that wants less says so in its access rules.
        server.trustedNetworks = ["all"]
        server.access = [HBARule(type: "host", database: "all", user: "all", address: "all", method: "scram-sha-256")]
        server.replicationPassword = self.credentials.replicationPassword.map { WireSecret($0.revealed) }
        return AgentCommandContext(
            server: server, controlPassword: self.credentials.password.map { WireSecret($0.revealed) },
            upstreams: upstreams.mapValues { AgentUpstream(name: $0.name, host: $0.host, port: $0.port) })
    }

    package func facts() -> AsyncStream<AgentFacts> {
        guard let agent = self.agent else { return AsyncStream { $0.finish() } }
        return AsyncStream { continuation in
            let task = Task {
                do {
                    for try await event in agent.events() { continuation.yield(event.facts) }
                } catch {
                    // The end of the stream says it: facts get old, and the caller connects again.
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    package func keepSlots(_ positions: [NodeName: LSN?], advance: Bool) async throws {
        try await self.slots.ensureSlots(positions.keys.sorted())
        if advance { try await self.slots.advanceSlots(to: positions.compactMapValues { $0 }) }
    }

    package func restart() async throws {
        guard let agent = self.agent else {
            throw AgentFailure(
                code: "no_agent", message: "\(self.spec.name) has no agent", hint: "Restart its server by hand.")
        }
        try await agent.restart()
    }

    package func close() async {
        await self.probe.close()
        await self.control.close()
        await self.slots.close()
    }
}
