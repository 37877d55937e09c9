package import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOPosix
package import PGHACore
package import PGHATLS

/// Talks to a controller over HTTP. Every method throws ``ControllerFailure``.
package struct ControllerClient: Sendable {
    /// `http://host:port`.
    package let baseURL: String
    let token: BearerToken?
    let tls: TLSIdentity?
    let httpClient: HTTPClient
    /// For one request.
    private let timeout: Duration

    /// Largest answer that is read. Bytes.
    private static let answerLimit = 16 << 20

    /// With an identity everything goes over TLS, whatever the address begins with.
    package init(
        baseURL: String, token: BearerToken?, tls: TLSIdentity? = nil, httpClient: HTTPClient = .failingFast,
        timeout: Duration = .seconds(5)
    ) {
        self.baseURL = TLSIdentity.address(baseURL, tls)
        self.token = token
        self.tls = tls
        self.httpClient = httpClient
        self.timeout = timeout
    }

    package func status() async throws(ControllerFailure) -> StatusReport { try await self.get("/v1/status") }

    package func history(limit: Int = 50) async throws(ControllerFailure) -> HistoryReport {
        try await self.get("/v1/history?limit=\(limit)")
    }

    package func topology() async throws(ControllerFailure) -> TopologyReport { try await self.get("/v1/topology") }

    package func failoverPlan(target: NodeName? = nil) async throws(ControllerFailure) -> FailoverPlan {
        try await self.get("/v1/failover/plan" + (target.map { "?target=\($0)" } ?? ""))
    }

    package func initialize(_ request: InitRequest) async throws(ControllerFailure) -> Accepted {
        // Adopting asks every server before it is accepted.
        try await self.send("POST", "/v1/init", request, timeout: .seconds(60))
    }

    package func failover(_ request: FailoverCommand) async throws(ControllerFailure) -> Accepted {
        try await self.send("POST", "/v1/failover", request)
    }

    package func switchover(_ request: SwitchoverCommand) async throws(ControllerFailure) -> Accepted {
        try await self.send("POST", "/v1/switchover", request)
    }

    package func pause() async throws(ControllerFailure) -> Accepted { try await self.post("/v1/pause") }

    package func resume() async throws(ControllerFailure) -> Accepted { try await self.post("/v1/resume") }

    package func rejoin(_ request: RejoinCommand) async throws(ControllerFailure) -> Accepted {
        try await self.send("POST", "/v1/rejoin", request)
    }

    package func restart(_ request: RestartCommand) async throws(ControllerFailure) -> Accepted {
        try await self.send("POST", "/v1/restart", request)
    }

    package func diverged() async throws(ControllerFailure) -> DivergedReport { try await self.get("/v1/diverged") }

    package func diverged(_ name: DivergedName) async throws(ControllerFailure) -> DivergedEntry {
        try await self.get("/v1/diverged/\(name)")
    }

    package func dropDiverged(_ name: DivergedName) async throws(ControllerFailure) -> DivergedEntry {
        try await self.send("DELETE", "/v1/diverged/\(name)", Nothing(), timeout: .seconds(90))
    }

    package func nodes() async throws(ControllerFailure) -> NodesReport { try await self.get("/v1/nodes") }

    package func addNode(_ node: NodeDocument) async throws(ControllerFailure) -> Accepted {
        try await self.send("POST", "/v1/nodes", node)
    }

    package func removeNode(_ node: NodeName) async throws(ControllerFailure) -> Accepted {
        try await self.send("DELETE", "/v1/nodes/\(node)", Nothing())
    }

    package func setNode(_ node: NodeName, _ patch: NodePatch) async throws(ControllerFailure) -> Accepted {
        try await self.send("PATCH", "/v1/nodes/\(node)", patch)
    }

    package func config() async throws(ControllerFailure) -> ConfigReport { try await self.get("/v1/config") }

    package func setConfig(_ patch: ConfigPatch) async throws(ControllerFailure) -> ConfigReport {
        try await self.send("PATCH", "/v1/config", patch)
    }

    package func adoptStore(_ request: StoreAdoptRequest = .init()) async throws(ControllerFailure) -> Accepted {
        try await self.send("POST", "/v1/store/adopt", request, timeout: .seconds(60))
    }
}

// MARK: - Transport

extension ControllerClient {
    private struct Nothing: Encodable {}

    private func get<Answer: Decodable>(_ path: String) async throws(ControllerFailure) -> Answer {
        try await self.exchange("GET", path, body: nil, timeout: self.timeout)
    }

    private func post<Answer: Decodable>(_ path: String) async throws(ControllerFailure) -> Answer {
        try await self.send("POST", path, Nothing())
    }

    func send<Answer: Decodable>(
        _ method: String, _ path: String, _ body: some Encodable, timeout: Duration? = nil
    ) async throws(ControllerFailure) -> Answer {
        let data: Data
        do {
            data = try JSONEncoder().encode(body)
        } catch {
            throw .undecodable(url: self.baseURL, reason: "the request cannot be written: \(error)")
        }
        return try await self.exchange(method, path, body: data, timeout: timeout ?? self.timeout)
    }

    private func exchange<Answer: Decodable>(
        _ method: String, _ path: String, body: Data?, timeout: Duration
    ) async throws(ControllerFailure) -> Answer {
        let (status, data) = try await self.bytes(method, path, body: body, timeout: timeout)
        guard (200...299).contains(status) else { throw self.failure(status, data) }
        do {
            return try JSONDecoder().decode(Answer.self, from: data)
        } catch {
            throw .undecodable(url: self.baseURL + path, reason: Self.words(error))
        }
    }

    private func bytes(
        _ method: String, _ path: String, body: Data?, timeout: Duration
    ) async throws(ControllerFailure) -> (Int, Data) {
        var request = self.request(method, path)
        if let body {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(Array(body))
        }
        let answer: Result<(Int, Data), any Error>
        do {
            let response = try await self.httpClient.execute(request, timeout: .milliseconds(timeout.milliseconds))
            let buffer = try await response.body.collect(upTo: Self.answerLimit)
            answer = .success((Int(response.status.code), Data(buffer.readableBytesView)))
        } catch {
            answer = .failure(error)
        }
        switch answer {
        case .success(let answer): return answer
        case .failure(let error):
            throw .unreachable(url: self.baseURL, reason: await Self.reason(error, url: self.baseURL, timeout: timeout))
        }
    }

    /// Why a request to `url` had no answer.
    package static func reason(_ error: any Error, url: String, timeout: Duration) async -> String {
        await TLSTrouble.found(in: error, at: url)?.words ?? self.words(error, timeout: timeout)
    }

    func request(_ method: String, _ path: String) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: self.baseURL + path)
        request.method = HTTPMethod(rawValue: method)
        request.tlsConfiguration = self.tls?.client
        if let token = self.token { request.headers.add(name: "authorization", value: "Bearer \(token.value)") }
        return request
    }

    func failure(_ status: Int, _ body: Data) -> ControllerFailure {
        let refusal = try? JSONDecoder().decode(ControllerRefusal.self, from: body)
        if status == 401 || (status == 403 && refusal == nil) {
            return .unauthorised(url: self.baseURL, hasToken: self.token != nil)
        }
        guard let refusal else {
            return .undecodable(url: self.baseURL, reason: "HTTP status \(status)")
        }
        return status >= 500 ? .failed(refusal) : .refused(refusal)
    }

    /// A failure of the transport in words.
    static func words(_ error: any Error, timeout: Duration) -> String {
        if let error = error as? HTTPClientError {
            switch error {
            case .connectTimeout, .readTimeout, .deadlineExceeded:
                return "no answer within \(timeout.milliseconds) ms"
            case .remoteConnectionClosed: return "it closed the connection"
            case .invalidURL, .emptyHost, .emptyScheme: return "this is not an address such as http://host:8432"
            default: return error.shortDescription
            }
        }
        if let error = error as? IOError, let name = Self.name(error.errnoCode) { return name }
        if let error = error as? NIOConnectionError {
            let causes = error.connectionErrors.compactMap { failed in
                (failed.error as? IOError).flatMap { Self.name($0.errnoCode) }
            }
            if let cause = causes.first { return cause }
            if error.dnsAError != nil || error.dnsAAAAError != nil { return "there is no host \(error.host)" }
        }
        return "\(error)"
    }

    /// Values of errno(3) on Linux and macOS that a user meets here.
    private static func name(_ errno: CInt) -> String? {
        switch errno {
        case 111, 61: "connection refused"
        case 113, 65: "no route to host"
        case 104, 54: "connection reset"
        case 110, 60: "connection timed out"
        default: nil
        }
    }

    private static func words(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "\(error)" }
        switch error {
        case .keyNotFound(let key, _): return "'\(key.stringValue)' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            return path.isEmpty ? "it is not the JSON expected" : "'\(path)' has an unexpected value"
        @unknown default: return "\(error)"
        }
    }
}

extension HTTPClient {
    /// Reports a refused connection at once, where the default goes on trying until the deadline. For command
    /// line tools: it lives as long as the process.
    package static let failingFast: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(2)
        return HTTPClient(eventLoopGroup: .singletonMultiThreadedEventLoopGroup, configuration: configuration)
    }()
}
