internal import COpenSSL

/// What a certificate says of its owner.
struct CertificateName: Equatable {
    /// nil where there is none, or one with a zero byte inside, which other programs would read differently.
    let commonName: String?
    /// As RFC 2253 writes it.
    let distinguishedName: String?
}

extension Transport {
    /// Names in the client's certificate, which an authority has signed; nil without one.
    var verifiedPeer: CertificateName? {
        guard let tls = self.tls, let certificate = SSL_get1_peer_certificate(tls) else { return nil }
        defer { X509_free(certificate) }
        guard SSL_get_verify_result(tls) == X509_V_OK, SSL_get_verify_mode(tls) & SSL_VERIFY_PEER != 0,
            let subject = X509_get_subject_name(certificate)
        else { return nil }
        return CertificateName(
            commonName: Self.commonName(subject), distinguishedName: Self.distinguishedName(subject))
    }

    private static func commonName(_ subject: OpaquePointer) -> String? {
        let length = X509_NAME_get_text_by_NID(subject, NID_commonName, nil, 0)
        guard length > 0 else { return nil }
        var text = [CChar](repeating: 0, count: Int(length) + 1)
        X509_NAME_get_text_by_NID(subject, NID_commonName, &text, length + 1)
        let bytes = text.dropLast().map { UInt8(bitPattern: $0) }
        return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
    }

    private static func distinguishedName(_ subject: OpaquePointer) -> String? {
        guard let memory = BIO_new(BIO_s_mem()) else { return nil }
        defer { BIO_free(memory) }
        guard pgha_print_rfc2253(memory, subject) >= 0 else { return nil }
        var text = [UInt8](repeating: 0, count: 8192)
        let count = BIO_read(memory, &text, Int32(text.count))
        guard count > 0, Int(count) < text.count else { return nil }
        return String(validating: text[..<Int(count)], as: UTF8.self)
    }

    /// What SCRAM binds to (RFC 5929, tls-server-end-point): the hash of the pooler's own certificate where it is the
    /// server, else of the server's. nil without TLS, or where the certificate's signature has no hash of its own.
    func bindingHash(asServer: Bool) -> [UInt8]? {
        guard let tls = self.tls else { return nil }
        if asServer { return SSL_get_certificate(tls).flatMap(Self.hash) }
        guard let certificate = SSL_get1_peer_certificate(tls) else { return nil }
        defer { X509_free(certificate) }
        return Self.hash(certificate)
    }

    private static func hash(_ certificate: OpaquePointer) -> [UInt8]? {
        var kind: Int32 = 0
        guard X509_get_signature_info(certificate, &kind, nil, nil, nil) == 1 else { return nil }
        // The RFC replaces the two that are broken.
        let digest = kind == NID_md5 || kind == NID_sha1 ? EVP_sha256() : pgha_digest(kind)
        guard let digest else { return nil }
        var hash = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard X509_digest(certificate, digest, &hash, &count) == 1 else { return nil }
        return Array(hash[..<Int(count)])
    }
}
