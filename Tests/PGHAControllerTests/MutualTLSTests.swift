import AsyncHTTPClient
import Hummingbird
import Logging
import NIOCore
import PGHAClient
import PGHAController
import PGHACore
import PGHAHTTP
import PGHATLS
import PGHATesting
import Synchronization
import Testing

/// A controller behind TLS, asked with certificates that are right, and wrong in each way there is.
@Suite struct MutualTLSTests {
    private static let token = "a-token-of-a-test"

    /// A certificate of the test's own authority for this process, by the name of its files.
    private static func identity(
        _ made: ScratchCertificates, _ name: String?, trusting authority: String? = nil
    ) throws -> TLSIdentity {
        let files = try TLSFiles(
            certificate: name.map { made.path("\($0).crt") }, key: name.map { made.path("\($0).key") },
            authority: authority ?? made.authority)
        return try TLSIdentity(try #require(files))
    }

    /// A controller without a cluster; `body` gets its port.
    private func withController(
        _ tls: TLSIdentity?, _ body: @escaping @Sendable (Int) async throws -> Void
    ) async throws {
        let logger = Logger(label: "tls") { _ in SwiftLogNoOpLogHandler() }
        let controller = Controller(
            store: MemoryStore(), storeKind: "memory", seed: 1, logger: logger,
            makeNode: { _, _ in preconditionFailure("there is no cluster") })
        let (ports, port) = AsyncStream.makeStream(of: Int.self)
        let application = Application(
            router: ControllerRoutes(controller: controller, token: WireSecret(Self.token), tls: tls).router(),
            server: .over(tls), configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { port.yield($0.localAddress?.port ?? 0) }, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await controller.run() }
            group.addTask { try await application.run() }
            for await port in ports {
                try await body(port)
                break
            }
            group.cancelAll()
        }
    }

    private static func client(
        _ tls: TLSIdentity?, _ port: Int, host: String = "127.0.0.1", token: String = Self.token
    ) -> ControllerClient {
        ControllerClient(
            baseURL: "http://\(host):\(port)", token: BearerToken(token), tls: tls, timeout: .seconds(60))
    }

    /// Why there was no answer; nil when there was one.
    private static func trouble(_ client: ControllerClient) async -> String? {
        do throws(ControllerFailure) {
            _ = try await client.status()
            return nil
        } catch .unreachable(_, let reason) {
            return reason
        } catch {
            return error.message
        }
    }

    /// The code of the refusal of a change. Without a cluster there is always one.
    private static func change(_ client: ControllerClient) async -> String? {
        do throws(ControllerFailure) {
            _ = try await client.failover(FailoverCommand(target: nil, force: false, acceptDataLoss: false))
            return nil
        } catch {
            return error.code
        }
    }

    /// What a pooler gets first: a line or a refusal's code.
    private static func following(_ client: ControllerClient) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            let (lines, line) = AsyncStream.makeStream(of: Void.self)
            group.addTask {
                do {
                    try await client.followTopology(pooler: "p") { _ in line.yield() }
                    return nil
                } catch {
                    return (error as? ControllerFailure)?.code
                }
            }
            group.addTask {
                for await _ in lines { return "a line" }; return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    @Test func aChangeNeedsTokenAndCertificateAndReadingNeither() async throws {
        let made = try await ScratchCertificates()
        for name in ["server", "client"] { try await made.issue(name, names: "IP:127.0.0.1", isOurs: true) }
        let nobody = try Self.identity(made, nil)
        let somebody = try Self.identity(made, "client")
        try await self.withController(try Self.identity(made, "server")) { port in
            #expect(await Self.trouble(Self.client(nobody, port, token: "wrong")) == nil)
            #expect(await Self.change(Self.client(nobody, port)) == "no_certificate")
            #expect(await Self.change(Self.client(nobody, port, token: "wrong")) == "no_certificate")
            #expect(await Self.change(Self.client(somebody, port, token: "wrong")) == "unauthorized")
            #expect(await Self.change(Self.client(somebody, port)) == "no_cluster")
            // Switchovers wait for a pooler that follows by name.
            #expect(await Self.following(Self.client(nobody, port)) == "no_certificate")
            #expect(await Self.following(Self.client(somebody, port, token: "wrong")) == "unauthorized")
            #expect(await Self.following(Self.client(somebody, port)) == "a line")
            #expect(await HealthCheck.isOK("https://localhost:\(port)/liveness", within: .seconds(60)))
        }
    }

    @Test func withoutAnAuthorityTheTokenIsEnough() async throws {
        let made = try await ScratchCertificates()
        try await made.issue("server", names: "IP:127.0.0.1", isOurs: true)
        let files = try TLSFiles(
            certificate: made.path("server.crt"), key: made.path("server.key"), authority: nil)
        try await self.withController(try TLSIdentity(try #require(files))) { port in
            let nobody = try Self.identity(made, nil)
            #expect(await Self.change(Self.client(nobody, port)) == "no_cluster")
            #expect(await Self.change(Self.client(nobody, port, token: "wrong")) == "unauthorized")
        }
    }

    @Test func eachWrongCertificateIsAnErrorOfItsOwn() async throws {
        let made = try await ScratchCertificates()
        try await made.issue("server", names: "IP:127.0.0.1", isOurs: true)
        try await made.issue("old", names: "IP:127.0.0.1", days: -1, isOurs: true)
        try await made.issue("foreign", names: "IP:127.0.0.1", authority: "stranger", isOurs: true)
        try await self.withController(try Self.identity(made, "server")) { port in
            let strangers = try Self.identity(made, nil, trusting: made.strangerAuthority)
            #expect(await Self.trouble(Self.client(strangers, port)) == TLSTrouble.notTrusted.words)
            let foreign = try Self.identity(made, "foreign")
            let old = try Self.identity(made, "old")
            #expect(await Self.trouble(Self.client(foreign, port)) == TLSTrouble.unknownToThem.words)
            #expect(await Self.trouble(Self.client(old, port)) == TLSTrouble.expiredForThem.words)
            let plain = await Self.trouble(Self.client(nil, port))
            #expect(plain != nil)
        }
        try await self.withController(try Self.identity(made, "old")) { port in
            let client = Self.client(try Self.identity(made, nil), port)
            #expect(await Self.trouble(client) == TLSTrouble.expired.words)
        }
        try await made.issue("elsewhere", names: "DNS:elsewhere,IP:192.0.2.1", isOurs: true)
        try await self.withController(try Self.identity(made, "elsewhere")) { port in
            let nobody = try Self.identity(made, nil)
            #expect(await Self.trouble(Self.client(nobody, port)) == TLSTrouble.wrongName.words)
            #expect(await Self.trouble(Self.client(nobody, port, host: "localhost")) == TLSTrouble.wrongName.words)
        }
        try await self.withController(nil) { port in
            let client = Self.client(try Self.identity(made, nil), port)
            #expect(await Self.trouble(client) == TLSTrouble.notTLS.words)
        }
    }

    /// Who is connected stays so; who comes next sees the new certificate.
    @Test func aRenewedCertificateClosesNoConnection() async throws {
        let made = try await ScratchCertificates()
        try await made.issue("server", names: "IP:127.0.0.1", isOurs: true)
        let tls = try Self.identity(made, "server")
        let before = try Self.identity(made, nil)
        let after = try Self.identity(made, nil, trusting: made.strangerAuthority)
        try await self.withController(tls) { port in
            let (lines, line) = AsyncStream.makeStream(of: Void.self)
            let stream = Task {
                defer { line.finish() }
                try await Self.client(before, port).followTopology { _ in line.yield() }
            }
            var iterator = lines.makeAsyncIterator()
            #expect(await iterator.next() != nil)
            #expect(await Self.trouble(Self.client(after, port)) == TLSTrouble.notTrusted.words)
            try await made.issue("server", names: "IP:127.0.0.1", authority: "stranger", isOurs: true)
            #expect(tls.reload() == .read)
            #expect(await Self.trouble(Self.client(after, port)) == nil)
            // It repeats itself each second for as long as it lasts.
            for _ in 1...2 { #expect(await iterator.next() != nil) }
            stream.cancel()
        }
    }
}
