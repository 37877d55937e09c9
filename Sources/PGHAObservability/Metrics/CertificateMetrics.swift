/// Until when the certificates are valid that a process uses, for an alert before they are not.
package struct CertificateMetrics: Sendable {
    private let expiry: Gauge

    package init(_ metrics: Metrics) {
        self.expiry = metrics.gauge(
            "pgha_tls_certificate_expiry_timestamp_seconds",
            "When the first certificate in the file of this setting expires, in seconds since 1970.",
            labels: ["setting"])
    }

    /// Seconds since 1970, by the setting that names the file; nothing for what is not used.
    package func update(_ expiries: [String: Int]) {
        self.expiry.replace(expiries.map { (labelValues: [$0.key], value: Double($0.value)) })
    }
}
