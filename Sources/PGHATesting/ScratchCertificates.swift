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

    package func path(_ file: String) -> String { "\(self.directory)/\(file)" }

    /// A key `name.key` and its certificate `name.crt`, for names such as `DNS:localhost,IP:127.0.0.1`, which the authority
    /// `ca` or `stranger` has signed. It expires in `days`; a negative number makes one that has expired.
    ///
    /// Files are the servers' user's, as what it runs needs them, or this process's own.
    package func issue(
        _ name: String, names: String, authority: String = "ca", days: Int = 2, isOurs: Bool = false
    ) async throws {
        let script = """
            set -e; cd "$0"; umask 077; rm -f $1.*
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $1.key -out $1.csr -subj /CN=$1
            echo subjectAltName=$2 >$1.names
            openssl x509 -req -in $1.csr -CA $3.crt -CAkey $3.key -CAserial $1.srl -CAcreateserial -days $4 -extfile $1.names -out $1.crt
            """
        try await run(
            ["/bin/bash", "-c", script, self.directory, name, names, authority, "\(days)"], dropsPrivileges: !isOurs)
    }

    deinit { removeTree(self.directory) }
}
