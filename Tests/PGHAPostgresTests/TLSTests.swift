import PGHAPostgres
import PGHATesting
import Testing

/// Sessions with TLS, as the controller's `sslmode` and `sslrootcert` ask for them.
@Suite(.serialized, .enabled(if: ScratchPostgres.hasTLS, "needs PostgreSQL's server programs, built with TLS"))
struct TLSTests {
    private func server(_ certificates: ScratchCertificates) async throws -> ScratchPostgres {
        var options = ScratchPostgres.Options()
        options.settings = certificates.settings
        return try await ScratchPostgres.start(options)
    }

    private func open(
        _ server: ScratchPostgres, _ mode: ConnectionParameters.SSLMode, trusting authority: String?,
        host: String = "localhost"
    ) async -> Result<Bool, PostgresError> {
        var parameters = server.parameters(tcp: true)
        parameters.host = host
        parameters.sslMode = mode
        parameters.sslRootCert = authority
        do throws(PostgresError) {
            let session = try await PostgresConnection.open(parameters)
            let rows = try await session.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            await session.close()
            return .success(try rows.first?.bool("ssl") ?? false)
        } catch {
            return .failure(error)
        }
    }

    @Test func eachModeTrustsWhatItSaysAndNothingElse() async throws {
        let certificates = try await ScratchCertificates()
        let server = try await self.server(certificates)
        let ours = certificates.authority
        let strangers = certificates.strangerAuthority
        #expect(await self.open(server, .disable, trusting: nil) == .success(false))
        #expect(await self.open(server, .prefer, trusting: "/nonexistent/root.crt") == .success(true))
        // With a root certificate libpq verifies in mode require too (manual, "Protection Provided in Different Modes").
        #expect(await self.open(server, .require, trusting: ours) == .success(true))
        #expect(await self.kind(server, .require, trusting: strangers) == .tls)
        #expect(await self.open(server, .verifyCA, trusting: ours, host: "127.0.0.1") == .success(true))
        #expect(await self.kind(server, .verifyCA, trusting: strangers) == .tls)
        #expect(await self.kind(server, .verifyCA, trusting: "/nonexistent/root.crt") == .tls)
        #expect(await self.open(server, .verifyFull, trusting: ours) == .success(true))
        // The certificate is localhost's, not that address's.
        #expect(await self.kind(server, .verifyFull, trusting: ours, host: "127.0.0.1") == .tls)
    }

    private func kind(
        _ server: ScratchPostgres, _ mode: ConnectionParameters.SSLMode, trusting authority: String?,
        host: String = "localhost"
    ) async -> PostgresError.Kind? {
        if case .failure(let error) = await self.open(server, mode, trusting: authority, host: host) {
            error.kind
        } else {
            nil
        }
    }

    /// Statements, their cancellation and the end of the server are seen through TLS as without.
    @Test func aSessionWithTLSIsCancelledAndLostLikeAnyOther() async throws {
        let certificates = try await ScratchCertificates()
        let server = try await self.server(certificates)
        var parameters = server.parameters(tcp: true)
        parameters.host = "localhost"
        parameters.sslMode = .verifyFull
        parameters.sslRootCert = certificates.authority
        let session = try await PostgresConnection.open(parameters)
        // More than one TLS record (16 kB).
        let rows = try await session.query("SELECT repeat('x', 1000000) AS text")
        #expect(try rows.first?.string("text").utf8.count == 1_000_000)
        let late = await postgresError { () throws(PostgresError) in
            try await session.query("SELECT pg_sleep(30)", timeout: .milliseconds(100))
        }
        #expect(late?.kind == .timedOut)
        #expect(try await session.query("SELECT 1 AS one").first?.int("one") == 1)
        server.kill()
        let lost = await postgresError { () throws(PostgresError) in try await session.query("SELECT 1") }
        #expect(lost?.kind == .reset || lost?.kind == .closed)
        await session.close()
    }
}
