/// Why the files for TLS cannot be used. Names the file; never shows what is in it.
package enum TLSFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// A setting that the others need.
    case incomplete(missing: String)
    case unreadable(String, reason: String)
    /// No certificate in PEM.
    case noCertificate(String)
    /// No private key in PEM, or one with a passphrase.
    case noKey(String)
    case keyOpenToOthers(String)
    case keyOfAnotherUser(String)
    case keyOfAnotherCertificate(key: String, certificate: String)
    /// Something that the library does not take.
    case unusable(String, reason: String)

    /// One line: what is wrong.
    package var message: String {
        switch self {
        case .incomplete(let missing): "\(missing) is missing: a certificate and its key go together"
        case .unreadable(let path, let reason): "\(path) cannot be read: \(reason)"
        case .noCertificate(let path): "\(path) holds no certificate in PEM"
        case .noKey(let path): "\(path) holds no private key in PEM, or one with a passphrase"
        case .keyOpenToOthers(let path): "others may read or write the key \(path)"
        case .keyOfAnotherUser(let path): "the key \(path) is owned neither by the present user nor by root"
        case .keyOfAnotherCertificate(let key, let certificate):
            "the key \(key) is not that of the certificate \(certificate)"
        case .unusable(let path, let reason): "\(path) cannot be used: \(reason)"
        }
    }

    /// One line: the next step.
    package var hint: String {
        switch self {
        case .incomplete: "Set http_tls_cert_file and http_tls_key_file, or none of the three."
        case .unreadable: "Give the path of a file in PEM that this user may read."
        case .noCertificate: "The file begins with -----BEGIN CERTIFICATE-----, the process's own first."
        case .noKey: "Take the passphrase off: openssl pkey -in FILE -out NEWFILE."
        case .keyOpenToOthers(let path): "chmod 600 \(path)"
        case .keyOfAnotherUser(let path): "chown it to the user who runs pgha: chown USER \(path)"
        case .keyOfAnotherCertificate: "Give the pair that was made together."
        case .unusable: "See what 'openssl x509 -text -in FILE' says of it."
        }
    }

    package var description: String { "\(self.message). \(self.hint)" }
}
