package import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOHTTP1
package import PGHACore
package import PGHATLS
import Synchronization

/// Talks to one agent over HTTP.
///
/// Every request is safe to repeat: the agent joins a repeated one with the work that is under way.
package struct AgentClient: Sendable {
    /// `http://host:port`.
    package let baseURL: String
    private let token: WireSecret
    private let tls: TLSIdentity?
    private let httpClient: HTTPClient

    /// No byte on an event stream for this long means that the stream is dead: three heartbeats.
    static let silenceLimit = Duration.seconds(3)
    /// Largest body of a plain answer. Bytes.
    private static let answerLimit = 1 << 20

    /// With an identity everything goes over TLS, whatever the address begins with.
    package init(
        baseURL: String, token: WireSecret, tls: TLSIdentity? = nil,
        httpClient: HTTPClient = AgentClient.sharedHTTPClient
    ) {
        self.baseURL = TLSIdentity.address(baseURL, tls)
        self.token = token
        self.tls = tls
        self.httpClient = httpClient
    }

    /// For all agents. A refused connection fails at once (the library would go on trying until the deadline,
    /// and that the host is there but the agent is not is news); answers to long work may be silent for hours.
    package static let sharedHTTPClient: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.timeout = .init(connect: .seconds(2), read: nil)
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.noticeVanishedPeers()
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// `GET /v1/facts`.
    package func facts(timeout: Duration = .seconds(2)) async throws -> AgentFacts {
        try await self.send("GET", "/v1/facts", body: nil, timeout: timeout)
    }

    package func fence(_ request: FenceRequest, timeout: Duration = .seconds(30)) async throws -> AgentResult {
        try await self.post("/v1/fence", request, timeout: timeout)
    }

    package func startLeader(
        _ request: StartLeaderRequest, timeout: Duration = .seconds(300)
    ) async throws -> AgentResult {
        try await self.post("/v1/start-leader", request, timeout: timeout)
    }

    package func startStandby(
        _ request: StartStandbyRequest, timeout: Duration = .seconds(300)
    ) async throws -> AgentResult {
        try await self.post("/v1/start-standby", request, timeout: timeout)
    }

    /// Answers when the server runs as a standby; a base backup may take hours.
    package func rejoin(_ request: RejoinRequest, timeout: Duration = .seconds(86_400)) async throws -> AgentResult {
        try await self.post("/v1/rejoin", request, timeout: timeout)
    }

    package func initialize(
        _ request: InitializeRequest, timeout: Duration = .seconds(600)
    ) async throws -> AgentResult {
        try await self.post("/v1/initialize", request, timeout: timeout)
    }

    package func endSessions(_ request: EndSessionsRequest, timeout: Duration = .seconds(3)) async throws {
        let _: AgentResult = try await self.post("/v1/end-sessions", request, timeout: timeout)
    }

    package func adopt(_ request: AdoptRequest, timeout: Duration = .seconds(120)) async throws {
        let _: AgentResult = try await self.post("/v1/adopt", request, timeout: timeout)
    }

    /// Starts a server whose `standby.signal` stands.
    package func start(_ request: PlainRequest = .init(), timeout: Duration = .seconds(300)) async throws {
        let _: AgentResult = try await self.post("/v1/start", request, timeout: timeout)
    }

    package func stop(_ request: StopRequest = .init(), timeout: Duration = .seconds(120)) async throws {
        let _: AgentResult = try await self.post("/v1/stop", request, timeout: timeout)
    }

    package func restart(_ request: StopRequest = .init(), timeout: Duration = .seconds(300)) async throws {
        let _: AgentResult = try await self.post("/v1/restart", request, timeout: timeout)
    }

    package func reload(_ request: PlainRequest = .init(), timeout: Duration = .seconds(10)) async throws {
        let _: AgentResult = try await self.post("/v1/reload", request, timeout: timeout)
    }

    /// Answers with the settings that wait for a restart.
    package func apply(_ request: SettingsRequest, timeout: Duration = .seconds(30)) async throws -> AgentResult {
        try await self.post("/v1/settings", request, timeout: timeout)
    }

    /// `GET /v1/diverged`: what the agent keeps of a server that had diverged.
    package func diverged(timeout: Duration = .seconds(3)) async throws -> [DivergedEntry] {
        let list: DivergedList = try await self.send("GET", "/v1/diverged", body: nil, timeout: timeout)
        return list.entries
    }

    package func diverged(_ name: DivergedName, timeout: Duration = .seconds(3)) async throws -> DivergedEntry {
        try await self.send("GET", "/v1/diverged/\(name)", body: nil, timeout: timeout)
    }

    /// Removes it for good. A removal that outlasts `timeout` goes on.
    package func dropDiverged(_ name: DivergedName, timeout: Duration = .seconds(60)) async throws -> DivergedEntry {
        try await self.send("DELETE", "/v1/diverged/\(name)", body: nil, timeout: timeout)
    }

    /// The stream of `GET /v1/events`: the facts, then a value for each change and each second.
    ///
    /// Ends with an error when the agent goes away or falls silent for three seconds; never ends by itself.
    package func events() -> AsyncThrowingStream<AgentEvent, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    try await self.readEvents { continuation.yield($0) }
                    continuation.finish(throwing: AgentClientError.streamEnded)
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private func readEvents(_ deliver: @escaping @Sendable (AgentEvent) -> Void) async throws {
        let lastChunk = LastHeard()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await self.readLines { line in
                    lastChunk.at.withLock { $0 = .now }
                    deliver(try JSONDecoder().decode(AgentEvent.self, from: Data(line)))
                }
            }
            group.addTask {
                while lastChunk.at.withLock({ $0.duration(to: .now) }) < Self.silenceLimit {
                    try await Task.sleep(for: .milliseconds(500))
                }
                throw AgentClientError.silent
            }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// When the last line came.
    private final class LastHeard: Sendable {
        let at = Mutex(ContinuousClock.now)
    }

    private func readLines(_ deliver: (ArraySlice<UInt8>) throws -> Void) async throws {
        // The deadline bounds the head only; the watchdog sees silence afterwards.
        let response = try await self.httpClient.execute(
            self.request("GET", "/v1/events", body: nil),
            timeout: .milliseconds(Self.silenceLimit.milliseconds))
        guard response.status == .ok else { throw try await self.failure(response) }
        var lines = LineSplitter()
        for try await chunk in response.body {
            for line in lines.add(chunk.readableBytesView) { try deliver(line) }
        }
    }

    private func post<Answer: Decodable>(
        _ path: String, _ body: some Encodable, timeout: Duration
    ) async throws -> Answer {
        try await self.send("POST", path, body: try JSONEncoder().encode(body), timeout: timeout)
    }

    private func send<Answer: Decodable>(
        _ method: String, _ path: String, body: Data?, timeout: Duration
    ) async throws -> Answer {
        let response = try await self.httpClient.execute(
            self.request(method, path, body: body), timeout: .milliseconds(timeout.milliseconds))
        guard (200...299).contains(response.status.code) else { throw try await self.failure(response) }
        let buffer = try await response.body.collect(upTo: Self.answerLimit)
        return try JSONDecoder().decode(Answer.self, from: Data(buffer.readableBytesView))
    }

    private func request(_ method: String, _ path: String, body: Data?) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: self.baseURL + path)
        request.method = HTTPMethod(rawValue: method)
        request.tlsConfiguration = self.tls?.client
        request.headers.add(name: "authorization", value: "Bearer \(self.token.value)")
        if let body {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(Array(body))
        }
        return request
    }

    private func failure(_ response: HTTPClientResponse) async throws -> any Error {
        let buffer = try await response.body.collect(upTo: Self.answerLimit)
        let body = Data(buffer.readableBytesView)
        if let failure = try? JSONDecoder().decode(AgentFailure.self, from: body) { return failure }
        return AgentClientError.unexpectedStatus(Int(response.status.code))
    }
}

/// What can go wrong besides an ``AgentFailure`` and the transport's own errors.
package enum AgentClientError: Error, Hashable, Sendable {
    /// The event stream ended.
    case streamEnded
    /// Nothing came on the event stream for three seconds.
    case silent
    /// The answer was no agent's.
    case unexpectedStatus(Int)
    /// The command needs something that the context does not hold.
    case incomplete(String)
}
