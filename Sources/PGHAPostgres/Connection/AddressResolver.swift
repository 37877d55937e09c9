internal import Glibc
internal import Synchronization

/// Turns host names into numeric addresses off the cooperative pool.
///
/// getaddrinfo(3) blocks for seconds when a name server is silent, and cannot be interrupted. So each name has
/// at most one look-up under way, on a thread of its own; a caller waits for it no longer than its deadline; and
/// an address that worked before is used while the name server fails: a broken DNS must not make a healthy
/// server look dead.
package final class AddressResolver: Sendable {
    package static let shared = AddressResolver(resolve: AddressResolver.resolve)

    /// Younger answers are used without asking again. Short, because a restarted container changes its address.
    static let freshness = Duration.seconds(5)

    /// How long a caller with an older answer waits for a newer one: a look-up takes a few milliseconds, and a name
    /// server that is silent must not use up the time for the connection.
    static let patience = Duration.milliseconds(100)

    private struct Known {
        var addresses: [String] = []
        var at: ContinuousClock.Instant?
        var lookupRunning = false
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    }

    private let known = Mutex<[String: Known]>([:])
    private let nextWaiter = Atomic<UInt64>(0)
    private let resolve: @Sendable (_ host: String) -> [String]

    /// `resolve` may block for as long as it likes; it answers with nothing when it fails.
    package init(resolve: @escaping @Sendable (_ host: String) -> [String]) { self.resolve = resolve }

    /// The numeric addresses of `host`; empty when none is known by the deadline.
    package func addresses(of host: String, until deadline: ContinuousClock.Instant) async -> [String] {
        if Self.isNumeric(host) { return [host] }
        let fresh: [String]? = self.known.withLock { known in
            guard let entry = known[host], let at = entry.at, ContinuousClock.now - at < Self.freshness,
                !entry.addresses.isEmpty
            else { return nil }
            return entry.addresses
        }
        if let fresh { return fresh }
        let hasAnswer = self.known.withLock { $0[host]?.addresses.isEmpty == false }
        await self.lookUp(host, until: hasAnswer ? min(deadline, ContinuousClock.now + Self.patience) : deadline)
        return self.known.withLock { $0[host]?.addresses ?? [] }
    }

    /// After a failed connection: ask anew next time, keeping the old answer for when that fails.
    package func expire(_ host: String) { self.known.withLock { $0[host]?.at = nil } }

    private func lookUp(_ host: String, until deadline: ContinuousClock.Instant) async {
        let waiter = self.nextWaiter.add(1, ordering: .relaxed).newValue
        let timer = Task {
            try await ContinuousClock().sleep(until: deadline)
            self.resume(waiter, of: host)
        }
        await withCheckedContinuation { continuation in
            let start = self.known.withLock { known in
                var entry = known[host] ?? Known()
                entry.waiters[waiter] = continuation
                let start = !entry.lookupRunning
                entry.lookupRunning = true
                known[host] = entry
                return start
            }
            // Without a thread the name stays unknown, and is asked for again.
            if start, !Self.onThread({ self.finish(host, self.resolve(host)) }) { self.finish(host, []) }
            // The deadline may have passed before the waiter was known.
            if ContinuousClock.now >= deadline { self.resume(waiter, of: host) }
        }
        timer.cancel()
    }

    /// A thread for each look-up, and no shared pool: a queue has as many threads as the machine has processors, so that
    /// two silent names would hold up all others, and with them whoever else uses the pool. False when there is none.
    private static func onThread(_ body: @escaping @Sendable () -> Void) -> Bool {
        let box = Unmanaged.passRetained(Box(body))
        var thread = pthread_t()
        let created = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body() }
                return nil
            }, box.toOpaque())
        guard created == 0 else {
            box.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    private final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private func resume(_ waiter: UInt64, of host: String) {
        self.known.withLock { $0[host]?.waiters.removeValue(forKey: waiter) }?.resume()
    }

    private func finish(_ host: String, _ addresses: [String]) {
        let waiters = self.known.withLock { known in
            var entry = known[host] ?? Known()
            if !addresses.isEmpty { (entry.addresses, entry.at) = (addresses, ContinuousClock.now) }
            entry.lookupRunning = false
            let waiters = entry.waiters
            entry.waiters = [:]
            known[host] = entry
            return waiters
        }
        for waiter in waiters.values { waiter.resume() }
    }

    static func isNumeric(_ host: String) -> Bool {
        var four = in_addr()
        var six = in6_addr()
        return inet_pton(AF_INET, host, &four) == 1 || inet_pton(AF_INET6, host, &six) == 1 || host.contains("%")
    }

    private static func resolve(_ host: String) -> [String] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var addresses: [String] = []
        var next = list
        while let info = next {
            var buffer = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            let named = getnameinfo(
                info.pointee.ai_addr, info.pointee.ai_addrlen, &buffer, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST)
            if named == 0 {
                let text = buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
                if !addresses.contains(text) { addresses.append(text) }
            }
            next = info.pointee.ai_next
        }
        return addresses
    }
}
