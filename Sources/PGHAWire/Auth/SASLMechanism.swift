/// The mechanisms that PostgreSQL speaks.
package enum SASLMechanism: String, Sendable {
    case scramSHA256 = "SCRAM-SHA-256"
    /// Bound to the server's certificate: a man in the middle with a certificate of his own is found out.
    case scramSHA256Plus = "SCRAM-SHA-256-PLUS"

    package init?(_ name: UnsafeRawBufferPointer) {
        if name.equals("SCRAM-SHA-256") {
            self = .scramSHA256
        } else if name.equals("SCRAM-SHA-256-PLUS") {
            self = .scramSHA256Plus
        } else {
            return nil
        }
    }
}
