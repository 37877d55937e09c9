internal import COpenSSL
internal import Glibc

/// What TLS connections are made from: certificate, key, authority.
///
/// `@unchecked`: OpenSSL counts references to an `SSL_CTX` with atomics, and nothing changes it once it is made.
final class TLSContext: @unchecked Sendable {
    let raw: OpaquePointer
    /// When the first of the own certificate and those above it expires, in seconds since 1970; nil without one.
    private(set) var expires: Int?
    /// The same of the authorities that are trusted.
    private(set) var authorityExpires: Int?

    private init(_ method: OpaquePointer?, _ version: PoolerConfiguration.TLSVersion) throws(PoolerFailure) {
        guard let raw = SSL_CTX_new(method) else { throw .noTLS(reason: Self.reason) }
        self.raw = raw
        SSL_CTX_set_options(raw, pgha_ssl_options)
        pgha_ssl_ctx_set_mode(raw, pgha_ssl_modes)
        pgha_ssl_ctx_no_session_cache(raw)
        pgha_ssl_ctx_no_passphrase(raw)
        // One read for a record's header and body.
        pgha_ssl_ctx_set_read_ahead(raw)
        guard pgha_ssl_ctx_set_min_version(raw, version == .v12 ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 else {
            throw .noTLS(reason: Self.reason)
        }
    }

    deinit { SSL_CTX_free(self.raw) }

    /// nil where TLS is off.
    static func forClients(_ settings: PoolerConfiguration.ClientTLS) throws(PoolerFailure) -> TLSContext? {
        guard settings.mode != .disable else { return nil }
        guard let certificate = settings.certificateFile, let key = settings.keyFile else {
            throw .noTLS(reason: "TLS towards clients needs a certificate and a key")
        }
        let context = try TLSContext(TLS_server_method(), settings.minimumVersion)
        try context.use(certificate: certificate, key: key)
        pgha_ssl_ctx_select_alpn(context.raw)
        guard let authority = settings.authorityFile else {
            if settings.mode.verifies { throw .noTLS(reason: "verifying clients needs an authority's certificate") }
            return context
        }
        try context.use(authority: authority)
        SSL_CTX_set_client_CA_list(context.raw, SSL_load_client_CA_file(authority))
        let mustHave = settings.mode.verifies ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
        SSL_CTX_set_verify(context.raw, SSL_VERIFY_PEER | mustHave, nil)
        return context
    }

    /// nil where TLS is off.
    static func forServers(_ settings: PoolerConfiguration.ServerTLS) throws(PoolerFailure) -> TLSContext? {
        guard settings.mode != .disable, settings.mode != .allow else { return nil }
        let context = try TLSContext(TLS_client_method(), settings.minimumVersion)
        if let certificate = settings.certificateFile, let key = settings.keyFile {
            try context.use(certificate: certificate, key: key)
        }
        guard settings.mode.verifies else { return context }
        guard let authority = settings.authorityFile else {
            throw .noTLS(reason: "verifying servers needs an authority's certificate")
        }
        try context.use(authority: authority)
        SSL_CTX_set_verify(context.raw, SSL_VERIFY_PEER, nil)
        return context
    }

    private func use(certificate: String, key: String) throws(PoolerFailure) {
        try SecretFile.check(key)
        ERR_clear_error()
        guard SSL_CTX_use_certificate_chain_file(self.raw, certificate) == 1 else {
            throw .unusableFile(certificate, reason: Self.reason)
        }
        guard SSL_CTX_use_PrivateKey_file(self.raw, key, SSL_FILETYPE_PEM) == 1,
            SSL_CTX_check_private_key(self.raw) == 1
        else { throw .unusableFile(key, reason: Self.reason) }
        self.expires = Self.known(pgha_ssl_ctx_expiry(self.raw))
    }

    private func use(authority: String) throws(PoolerFailure) {
        ERR_clear_error()
        guard SSL_CTX_load_verify_locations(self.raw, authority, nil) == 1 else {
            throw .unusableFile(authority, reason: Self.reason)
        }
        self.authorityExpires = Self.known(pgha_ssl_ctx_authority_expiry(self.raw))
    }

    private static func known(_ seconds: Int64) -> Int? { seconds == pgha_no_expiry ? nil : Int(seconds) }

    /// What OpenSSL says of its last failure.
    static var reason: String {
        guard let text = ERR_reason_error_string(ERR_peek_last_error()) else { return "OpenSSL gives no reason" }
        return String(cString: text)
    }
}
