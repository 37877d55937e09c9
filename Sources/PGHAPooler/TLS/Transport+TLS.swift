internal import COpenSSL
internal import Glibc

// An encrypted connection. The socket is non-blocking and edge-triggered, so each call goes on until OpenSSL wants
// more of the socket than it has: what OpenSSL holds decrypted would otherwise wait for an event that never comes.
extension Transport {
    enum Handshake: Equatable {
        case done
        case wouldBlock
        case failed(reason: String)
    }

    /// From now on everything is TLS; call ``handshake()`` until it is done. False when memory is out.
    mutating func beginTLS(_ context: TLSContext, asServer: Bool) -> Bool {
        guard let connection = SSL_new(context.raw) else { return false }
        guard SSL_set_fd(connection, self.descriptor) == 1 else {
            SSL_free(connection)
            return false
        }
        if asServer {
            SSL_set_accept_state(connection)
        } else {
            SSL_set_connect_state(connection)
            pgha_ssl_offer_alpn(connection)
        }
        self.tls = connection
        return true
    }

    /// Demands that the server's certificate is for `name`: a host's name or a numeric address.
    func expectServer(_ name: String) -> Bool {
        guard let tls = self.tls else { return false }
        var address = in6_addr()
        if inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1 {
            return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), name) == 1
        }
        pgha_ssl_set_server_name(tls, name)
        SSL_set_hostflags(tls, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        return SSL_set1_host(tls, name) == 1
    }

    func handshake() -> Handshake {
        guard let tls = self.tls else { return .failed(reason: "no TLS") }
        ERR_clear_error()
        let result = SSL_do_handshake(tls)
        if result == 1 { return .done }
        switch SSL_get_error(tls, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wouldBlock
        default:
            let verdict = SSL_get_verify_result(tls)
            guard verdict == X509_V_OK || ERR_peek_last_error() == 0 else {
                return .failed(reason: String(cString: X509_verify_cert_error_string(verdict)))
            }
            return .failed(reason: TLSContext.reason)
        }
    }

    /// Whether the other side chose "postgresql" by ALPN.
    var hasProtocolName: Bool { self.tls.map { pgha_ssl_has_alpn($0) != 0 } ?? false }

    @inline(never) func receiveTLS(_ tls: OpaquePointer, _ buffer: UnsafeMutableRawPointer, _ capacity: Int) -> Int {
        var total = 0
        while total < capacity {
            ERR_clear_error()
            let count = SSL_read(tls, buffer + total, Int32(clamping: capacity - total))
            if count > 0 {
                total += Int(count)
                continue
            }
            // An end or an error stays: the next call meets it again.
            return total > 0 ? total : Self.result(tls, count)
        }
        return total
    }

    @inline(never) func sendTLS(_ tls: OpaquePointer, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        var sent = 0
        while sent < count {
            ERR_clear_error()
            let written = SSL_write(tls, bytes + sent, Int32(clamping: count - sent))
            if written > 0 {
                sent += Int(written)
                continue
            }
            return sent > 0 ? sent : Self.result(tls, written)
        }
        return sent
    }

    /// Neighbouring spans share records: a record costs 22 bytes and a system call of its own. What did not go is sent
    /// again by the caller in the same order and at least as long, as OpenSSL demands.
    @inline(never) func sendTLS(_ tls: OpaquePointer, _ spans: UnsafePointer<iovec>, spanCount: Int) -> Int {
        withUnsafeTemporaryAllocation(byteCount: Self.recordSize, alignment: 16) { record in
            guard let base = record.baseAddress else { return Int(-ENOMEM) }
            var (sent, filled) = (0, 0)
            for index in 0..<spanCount {
                var position = 0
                while position < spans[index].iov_len {
                    let count = min(spans[index].iov_len - position, Self.recordSize - filled)
                    (base + filled).copyMemory(from: spans[index].iov_base + position, byteCount: count)
                    filled += count
                    position += count
                    guard filled == Self.recordSize else { continue }
                    let result = self.sendTLS(tls, base, filled)
                    guard result == filled else { return Self.total(sent, result) }
                    sent += filled
                    filled = 0
                }
            }
            return filled == 0 ? sent : Self.total(sent, self.sendTLS(tls, base, filled))
        }
    }

    /// Bytes of a record's content.
    private static var recordSize: Int { 16 * 1024 }

    private static func total(_ sent: Int, _ result: Int) -> Int {
        if result >= 0 { return sent + result }
        return sent > 0 ? sent : result
    }

    func peekTLS(_ tls: OpaquePointer, _ byte: inout UInt8) -> Int {
        ERR_clear_error()
        let count = SSL_peek(tls, &byte, 1)
        return count > 0 ? Int(count) : Self.result(tls, count)
    }

    /// In ``Transport``'s terms: 0 at the end, or a negated errno.
    private static func result(_ tls: OpaquePointer, _ count: Int32) -> Int {
        let number = errno
        switch SSL_get_error(tls, count) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return Self.wouldBlock
        case SSL_ERROR_ZERO_RETURN: return 0
        case SSL_ERROR_SYSCALL: return number == 0 || number == EAGAIN ? 0 : Int(-number)
        default: return Int(-EPROTO)
        }
    }

    /// Says goodbye, so that the other side knows that nothing was cut off, and frees the state.
    func closeTLS(_ tls: OpaquePointer) {
        ERR_clear_error()
        if SSL_is_init_finished(tls) == 1 { SSL_shutdown(tls) }
        SSL_free(tls)
    }
}
