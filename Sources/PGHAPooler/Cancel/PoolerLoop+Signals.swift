internal import PGHAWire

/// `pg_terminate_backend` or `pg_cancel_backend` with the number of a client in place of a process.
struct SessionSignal: Sendable {
    let address: CancelAddress
    /// Otherwise its query alone.
    let ends: Bool
    /// Whose sessions it may be; nil: anybody's.
    let user: WireText?
}

// Clients know themselves by the number that the pooler greeted them with, and use it as the process that it looks like. The
// server has no such process and says so in a warning: that is how the pooler hears of it, whatever the call was part of.
extension PoolerLoop {
    mutating func takeSignal(
        _ server: ServerPointer, _ message: MessageView, _ span: inout UnsafeRawPointer
    ) -> ServerTaken {
        guard let client = server.pointee.client, let number = SignalWarning.number(in: message.body) else {
            return .forward
        }
        let address = CancelAddress(number: number)
        guard address.isClient, address.process == self.localPoolers.number else { return .forward }
        // Only who calls pg_terminate_backend in so many words ends a session.
        let signal = SessionSignal(
            address: address, ends: server.pointee.flags.contains(.endsSessions), user: self.reach(of: client))
        if address == self.cancelAddress(of: client), signal.ends {
            self.end(client)
            return .gone
        }
        let loop = address.loop(of: self.mailbox.peerCount)
        if loop == self.number, self.target(of: signal) == nil { return .forward }
        // Later: what this client has yet to get lies in `out`.
        self.mailbox.postToPeer(loop, .signal(signal))
        self.out.append(span, message.start - span)
        span = message.start
        if self.out.isNearlyFull(for: 512) { _ = self.flushToClient(of: server) }
        self.append(Self.notice)
        return .drop
    }

    private static let notice = OwnMessages.notice("the pooler passes this on to the session that has the number")

    /// As PostgreSQL has it: one's own, and everybody's for a superuser.
    private func reach(of client: ClientPointer) -> WireText? {
        guard let pool = client.pointee.pool else { return nil }
        let reported = pool.pointee.welcome?.takeUnretainedValue().reported ?? []
        let isSuperuser = reported.contains { $0.name == "is_superuser" && $0.value == "on" }
        return isSuperuser ? nil : pool.pointee.key.user
    }

    mutating func take(_ signal: SessionSignal) {
        guard let client = self.target(of: signal) else { return }
        if signal.ends { return self.end(client) }
        guard client.pointee.isServed, let server = client.pointee.server, server.pointee.session.isBusy else { return }
        self.cancelQuery(of: server)
    }

    private func target(of signal: SessionSignal) -> ClientPointer? {
        for index in signal.address.places(below: self.clients.highWater) {
            let client = self.clients[index]
            switch client.pointee.phase {
            case .free, .loggingIn, .console, .closing: continue
            default: break
            }
            guard self.cancelAddress(of: client) == signal.address else { continue }
            return signal.user == nil || client.pointee.pool?.pointee.key.user == signal.user ? client : nil
        }
        return nil
    }

    private mutating func end(_ client: ClientPointer) {
        self.refuse(client, .adminShutdown, "terminating connection due to administrator command")
    }
}

enum SignalWarning {
    /// The process that there is none of. The text is translated; the routine that raises it is not. Source: PostgreSQL,
    /// `signalfuncs.c`.
    static func number(in body: UnsafeRawBufferPointer) -> UInt32? {
        var reader = ByteReader(body)
        var number: UInt32?
        while let code = reader.byte(), code != 0 {
            guard let text = reader.string() else { return nil }
            if code == UInt8(ascii: "M") { number = Self.firstNumber(in: text) }
            if code == UInt8(ascii: "R") { return text.elementsEqual("pg_signal_backend".utf8) ? number : nil }
        }
        return nil
    }

    private static func firstNumber(in text: UnsafeRawBufferPointer) -> UInt32? {
        let digits = text.drop { !(0x30...0x39).contains($0) }.prefix { (0x30...0x39).contains($0) }
        return UInt32(String(decoding: digits, as: UTF8.self))
    }
}
