/// Decides what a listener does with a connection's first bytes.
///
/// Intuition: before log-in a client may ask for encryption in either of two ways, in either order, until one is
/// granted; everything else ends the conversation or begins the session. Each way may be asked for once, in a loop
/// and never by recursion (CVE-2026-6479), and nothing may lie behind such a request (CVE-2021-23214): a client waits
/// for the answer, so what is there was put there by somebody else.
package struct StartupPolicy: Sendable {
    package enum Step: Equatable, Sendable {
        /// The packet is not complete. `total` are its bytes once its length is known: never above
        /// ``StartupParser/maximumLength``, so that a caller may reserve that much.
        case needsMore(total: Int?)
        /// Answer `S` and shake hands; then call ``tlsEstablished()``.
        case acceptTLS
        /// The client begins with TLS itself (PostgreSQL 17, `sslnegotiation=direct`): shake hands without an answer
        /// and consume nothing. ALPN "postgresql" is then compulsory.
        case acceptDirectTLS
        /// Answer `N` and read on.
        case declineEncryption
        /// Pass it on and close; a cancel request is never answered.
        case cancel(CancelRequest)
        case logIn(StartupMessage)
        /// Send the error and close.
        case refuse(StartupProblem)
    }

    /// Whether a certificate is at hand and the socket is one that TLS is spoken over.
    private let offersTLS: Bool
    package private(set) var isEncrypted = false
    private var sawSSLRequest = false
    private var sawGSSRequest = false
    private var isFirst = true

    package init(offersTLS: Bool) { self.offersTLS = offersTLS }

    /// The handshake is done; what follows was decrypted.
    package mutating func tlsEstablished() { self.isEncrypted = true }

    /// `buffered` is everything at hand. `consumed` says how much of it the step has used up.
    package mutating func next(_ buffered: UnsafeRawBufferPointer) -> (step: Step, consumed: Int) {
        if self.isFirst, !self.isEncrypted, buffered.first == Self.tlsRecordType {
            return (self.offersTLS ? .acceptDirectTLS : .refuse(.unexpectedTLS), 0)
        }
        do {
            guard let total = try StartupParser.length(buffered) else { return (.needsMore(total: nil), 0) }
            guard buffered.count >= total else { return (.needsMore(total: total), 0) }
            let packet = try StartupParser.parse(UnsafeRawBufferPointer(rebasing: buffered[..<total]))
            self.isFirst = false
            return (self.step(after: packet, isAlone: buffered.count == total), total)
        } catch {
            return (.refuse(error), buffered.count)
        }
    }

    /// The content type of a TLS handshake record. No startup packet begins with it: its length would be 350 MB.
    private static let tlsRecordType: UInt8 = 0x16

    private mutating func step(after packet: StartupPacket, isAlone: Bool) -> Step {
        switch packet {
        case .cancel(let request): return .cancel(request)
        case .startup(let message): return .logIn(message)
        case .sslRequest:
            guard !self.sawSSLRequest, !self.isEncrypted else { return .refuse(.repeatedNegotiation) }
            guard isAlone else { return .refuse(.bytesBehindRequest) }
            self.sawSSLRequest = true
            return self.offersTLS ? .acceptTLS : .declineEncryption
        case .gssEncryptionRequest:
            guard !self.sawGSSRequest, !self.isEncrypted else { return .refuse(.repeatedNegotiation) }
            guard isAlone else { return .refuse(.bytesBehindRequest) }
            self.sawGSSRequest = true
            return .declineEncryption
        }
    }
}
