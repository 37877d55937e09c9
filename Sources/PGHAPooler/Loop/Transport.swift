internal import CPGHALoop
internal import Glibc

/// A connection's socket, with or without TLS: the only place where bytes enter and leave.
struct Transport: BitwiseCopyable {
    let descriptor: Int32
    /// A Unix socket reports room whenever its peer reads: see `watchRoom`.
    let isUnix: Bool
    /// The `SSL` of an encrypted connection.
    var tls: OpaquePointer?

    init(_ descriptor: Int32, isUnix: Bool = false) {
        self.descriptor = descriptor
        self.isUnix = isUnix
    }

    /// The number of bytes; 0 at the end of the stream; `wouldBlock` or another negated errno. Less than `capacity`:
    /// there was no more.
    @inline(__always) func receive(_ buffer: UnsafeMutableRawPointer, _ capacity: Int) -> Int {
        if let tls = self.tls { return self.receiveTLS(tls, buffer, capacity) }
        return pgha_receive(self.descriptor, buffer, capacity)
    }

    /// The number of bytes taken; `wouldBlock` or another negated errno.
    @inline(__always) func send(_ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        if let tls = self.tls { return self.sendTLS(tls, bytes, count) }
        return pgha_send(self.descriptor, bytes, count)
    }

    @inline(__always) func send(_ spans: UnsafePointer<iovec>, spanCount: Int) -> Int {
        if let tls = self.tls { return self.sendTLS(tls, spans, spanCount: spanCount) }
        return pgha_send_vector(self.descriptor, spans, spanCount)
    }

    /// The next byte without taking it; the results of `receive`.
    func peek(_ byte: inout UInt8) -> Int {
        if let tls = self.tls { return self.peekTLS(tls, &byte) }
        let count = recv(self.descriptor, &byte, 1, Int32(MSG_PEEK))
        return count >= 0 ? count : Int(-errno)
    }

    func close() {
        if let tls = self.tls { self.closeTLS(tls) }
        _ = Glibc.close(self.descriptor)
    }

    static var wouldBlock: Int { Int(-EAGAIN) }
}
