import Testing

@testable import pgha

@Suite struct HealthTests {
    /// The image's own check goes on when TLS is switched on by the environment.
    @Test func aCheckOverHTTPFollowsTheServiceToTLS() {
        let url = "http://127.0.0.1:8433/liveness"
        for name in ["AGENT", "CONTROLLER", "POOLER"] {
            let environment = ["PGHA_\(name)_HTTP_TLS_CERT_FILE": "/etc/pgha/tls/tls.crt"]
            #expect(HealthCommand.address(url, environment: environment) == "https://127.0.0.1:8433/liveness")
        }
        #expect(HealthCommand.address(url, environment: [:]) == url)
        #expect(HealthCommand.address(url, environment: ["PGHA_AGENT_HTTP_TLS_CERT_FILE": ""]) == url)
    }
}
