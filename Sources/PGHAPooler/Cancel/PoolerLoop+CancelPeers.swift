internal import CPGHALoop
internal import PGHAWire

/// A cancel request on its way to a pooler on another host.
final class CancelForward {
    var transport: Transport
    let logIn: ServerLogIn
    let since: UInt64
    var isConnected = false
    var output: UnsafeMutablePointer<PendingOutput>?

    init(_ transport: Transport, _ logIn: ServerLogIn, now: UInt64) {
        self.transport = transport
        self.logIn = logIn
        self.since = now
    }
}

extension PoolerLoop {
    /// Strangers can make up requests: what these cost stays small.
    private static var mostForwards: Int { 64 }

    func receiveLocalCancels() -> [CancelCall] {
        var calls: [CancelCall] = []
        while let call = self.localPoolers.receive() { calls.append(call) }
        return calls
    }

    /// To all other hosts: who has the client is not in the key.
    mutating func forwardToHosts(_ call: CancelCall) {
        for peer in self.configuration.cancelPeers where self.forwards.count < Self.mostForwards {
            let descriptor = pgha_connect(peer.host, peer.port)
            guard descriptor >= 0 else { continue }
            var target = ServerLogIn.Target(
                user: "", database: "", isLocal: peer.host.hasPrefix("/"), address: peer.host,
                settings: self.configuration.serverTLS, context: self.security.serverTLS)
            target.cancels = call.marked
            let logIn = ServerLogIn(target, proof: ServerProof())
            self.nextForward = (self.nextForward &+ 1) & 0xFF_FFFF
            self.forwards[self.nextForward] = CancelForward(Transport(descriptor), logIn, now: self.now)
            let token = Token(.forward, index: self.nextForward)
            if pgha_epoll_add(self.epoll, descriptor, token.bits) != 0 { self.endForward(self.nextForward) }
        }
    }

    mutating func forwardReady(_ index: UInt32) {
        guard let forward = self.forwards[index] else { return }
        if !forward.isConnected {
            guard pgha_socket_error(forward.transport.descriptor) == 0 else { return self.endForward(index) }
            forward.isConnected = true
            self.out.removeAll()
            forward.logIn.begin(&self.out)
            guard self.flush(forward) else { return self.endForward(index) }
        }
        while true {
            self.out.removeAll()
            let outcome = forward.logIn.proceed(
                &forward.transport, self.input + Self.frontRoom, Self.bufferSize, &self.out)
            guard self.out.isEmpty || self.flush(forward) else { return self.endForward(index) }
            switch outcome {
            case .more: continue
            case .blocked: return
            // The other side has read it and closes.
            default: return self.endForward(index)
            }
        }
    }

    /// So few bytes that a socket which does not take them is of no use.
    private mutating func flush(_ forward: CancelForward) -> Bool {
        if case .sent = self.out.flush(to: forward.transport, pending: &forward.output) { return true }
        return false
    }

    private mutating func endForward(_ index: UInt32) {
        guard let forward = self.forwards.removeValue(forKey: index) else { return }
        PendingOutput.free(forward.output)
        forward.transport.close()
    }

    mutating func checkForwards() {
        guard !self.forwards.isEmpty else { return }
        let limit = self.limits.serverConnect > 0 ? self.limits.serverConnect : 15_000_000_000
        for (index, forward) in self.forwards where self.now &- forward.since > limit { self.endForward(index) }
    }

    mutating func endForwards() {
        for index in self.forwards.keys { self.endForward(index) }
    }
}
