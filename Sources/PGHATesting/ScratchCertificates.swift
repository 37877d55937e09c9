/// A certificate authority of a test's own, and a certificate that it gave to `localhost`; another authority besides.
package final class ScratchCertificates: Sendable {
    package let directory: String

    package var authority: String { "\(self.directory)/ca.crt" }
    package var strangerAuthority: String { "\(self.directory)/stranger.crt" }
    package var certificate: String { "\(self.directory)/server.crt" }
    package var key: String { "\(self.directory)/server.key" }

    /// For a server's `postgresql.conf`.
    package var settings: [String: String] {
        ["ssl": "on", "ssl_cert_file": self.certificate, "ssl_key_file": self.key]
    }

    package init() async throws {
        self.directory = try makeTemporaryDirectory("pgha-tls")
        let script = """
            set -e; cd "$0"; umask 077
            new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
            for name in ca stranger; do openssl req -x509 $new -keyout $name.key -out $name.crt -subj /CN=$name; done
            openssl req $new -keyout server.key -out server.csr -subj /CN=localhost
            echo subjectAltName=DNS:localhost >names
            openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt
            """
        try await run(["/bin/bash", "-c", script, self.directory])
    }

    deinit { removeTree(self.directory) }
}
