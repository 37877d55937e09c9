/// TLS of the HTTP interfaces, and of those who ask them: the same three settings for each process.
enum HTTPTLSSettings {
    static func settings(of place: Setting.Place, use: String) -> [Setting] {
        [
            Setting(
                place: place, key: "http_tls_cert_file", kind: .path, fallback: .unset("plain HTTP"),
                reason: "This process's certificate for HTTP, in PEM, then those between it and its authority. With it "
                    + "HTTP is served over TLS alone\(use). Renewed files are taken up within 10 s, or at once on SIGHUP."
            ),
            Setting(
                place: place, key: "http_tls_key_file", kind: .path, fallback: .unset("plain HTTP"),
                reason: "Its key, readable for its owner alone."),
            Setting(
                place: place, key: "http_tls_ca_file", kind: .path,
                fallback: .unset("the system's authorities; no certificate is asked for"),
                reason:
                    "Who signs the certificates of the cluster's processes. Where the token is needed, a certificate "
                    + "of theirs is needed too; health, metrics and what may be read need neither."),
        ]
    }
}
