internal import NIOSSL

/// Why a connection over TLS did not come about, where the library says it with names from the inside of OpenSSL.
package enum TLSTrouble: Hashable, Sendable {
    /// The other side's certificate is not of the authority, or not to be used like this.
    case notTrusted
    /// The other side's certificate has expired.
    case expired
    /// The other side's certificate is for other names.
    case wrongName
    /// The other side does not know who signed our certificate.
    case unknownToThem
    /// Our certificate has expired, says the other side.
    case expiredForThem
    /// The other side does not take our certificate for another reason.
    case refusedByThem
    /// The other side does not speak TLS.
    case notTLS
    /// Nothing that has a name here: an end of the handshake, for one.
    case failed(String)

    /// Nil for an error that is none of TLS.
    package init?(_ error: any Error) {
        switch error {
        case let error as NIOSSLExtraError
        where [.failedToValidateHostname, .serverHostnameImpossibleToMatch].contains(error):
            self = .wrongName
        case NIOSSLError.handshakeFailed(let inner): self.init(inner)
        case NIOSSLError.noCertificateToValidate, NIOSSLError.unableToValidateCertificate: self = .notTrusted
        case let error as BoringSSLError: self.init(error)
        default: return nil
        }
    }

    private init(_ error: BoringSSLError) {
        switch error {
        case .sslError(let stack), .unknownError(let stack): self.init(stack)
        default: self = .failed("\(error)")
        }
    }

    private init(_ stack: NIOBoringSSLErrorStack) {
        let text = stack.map { "\($0)" }.joined(separator: "; ")
        let known: [(reason: String, trouble: TLSTrouble)] = [
            ("CERTIFICATE_VERIFY_FAILED", .notTrusted), ("ALERT_UNKNOWN_CA", .unknownToThem),
            ("ALERT_CERTIFICATE_EXPIRED", .expiredForThem), ("ALERT_BAD_CERTIFICATE", .refusedByThem),
            ("ALERT_CERTIFICATE_UNKNOWN", .refusedByThem), ("ALERT_UNSUPPORTED_CERTIFICATE", .refusedByThem),
            ("ALERT_CERTIFICATE_REVOKED", .refusedByThem), ("ALERT_CERTIFICATE_REQUIRED", .refusedByThem),
            ("ALERT_DECRYPT_ERROR", .refusedByThem), ("WRONG_VERSION_NUMBER", .notTLS), ("HTTP_REQUEST", .notTLS),
        ]
        self = known.first { text.contains($0.reason) }?.trouble ?? .failed(text)
    }

    /// What is wrong and the next step, as part of a sentence.
    package var words: String {
        switch self {
        case .notTrusted:
            "its certificate is not signed by an authority that is trusted here (http_tls_ca_file), or is not one for this use"
        case .expired: "its certificate has expired"
        case .wrongName: "its certificate is for another name than that of the address; add that as subjectAltName"
        case .unknownToThem: "it does not trust who signed our certificate: its http_tls_ca_file is another one"
        case .expiredForThem: "our certificate (http_tls_cert_file) has expired"
        case .refusedByThem: "it does not take our certificate (http_tls_cert_file)"
        case .notTLS: "it does not speak TLS: it has no http_tls_cert_file, or this is another program's port"
        case .failed(let text): "TLS failed: \(text)"
        }
    }
}
