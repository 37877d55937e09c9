internal import PGHACore
internal import PGHAWire

/// What a loop knows and does so that sessions see what they must.
struct Reading {
    var book = ReplayBook()
    /// Counts the topologies.
    var epoch: UInt64 = 1
    /// When positions are looked at again. Never, while nobody needs any.
    var wakeAt = UInt64.max
    var probes: [PositionProbe] = []
    var generation: UInt32 = 0
    /// When a server may be asked again that could not be.
    var pausedUntil: [NodeName: UInt64] = [:]
    /// Somebody has written: the next read will need a sample.
    var wantsSample = false
    var sampledAt: UInt64 = 0
    /// Of those that wait: the latest sample that one needs, and whether one needs a standby to go on.
    var neededSample: UInt64 = 0
    var needsReplay = false
    /// Whose name servers are asked in: the last pool that needed it.
    var demander: PoolPointer?
    /// Clients that wait for standbys, by `next` and `previous`.
    private(set) var first: ClientPointer?
    private var last: ClientPointer?

    mutating func append(_ client: ClientPointer) {
        client.pointee.next = nil
        client.pointee.previous = self.last
        if let last = self.last { last.pointee.next = client } else { self.first = client }
        self.last = client
    }

    mutating func remove(_ client: ClientPointer) {
        let (next, previous) = (client.pointee.next, client.pointee.previous)
        if let next { next.pointee.previous = previous } else { self.last = previous }
        if let previous { previous.pointee.next = next } else { self.first = next }
        client.pointee.next = nil
        client.pointee.previous = nil
    }
}

// Sessions that must see what they have written.
extension PoolerLoop {
    /// Between two samples that nobody waits for, and two looks at standbys that somebody does. 1 and 2 ms.
    private static var samplePause: UInt64 { 1_000_000 }
    private static var replayPause: UInt64 { 2_000_000 }

    private func causal(of client: ClientPointer) -> UnsafeMutablePointer<CausalSession> {
        if let causal = client.pointee.causal { return causal }
        let causal = UnsafeMutablePointer<CausalSession>.allocate(capacity: 1)
        causal.initialize(to: CausalSession())
        client.pointee.causal = causal
        return causal
    }

    /// What the client did on its server is answered, or lost: it may have written.
    mutating func noteWrite(_ client: ClientPointer, _ server: ServerPointer) {
        guard self.configuration.readsAreCausal, client.pointee.role == .write,
            client.pointee.flags.contains(.routed), server.pointee.pool.pointee.key.target == .leader
        else { return }
        self.causal(of: client).pointee.wrote(self.reading.book)
        self.reading.demander = server.pointee.pool
        self.reading.wantsSample = true
        self.reading.wakeAt = min(self.reading.wakeAt, max(self.now, self.reading.sampledAt + Self.samplePause))
    }

    /// `SET pgha.min_lsn`
    mutating func demand(_ position: LSN?, _ client: ClientPointer) {
        guard position != nil || client.pointee.causal != nil else { return }
        self.causal(of: client).pointee.demand(position, self.reading.book)
    }

    // MARK: - Waiting

    /// The client waits until a standby has replayed what it must see, or for as long as it may.
    mutating func catchUp(_ client: ClientPointer) {
        client.pointee.phase = .catchingUp
        client.pointee.since = self.now
        client.pointee.flags.insert(.heldWhole)
        let pool = client.pointee.pool
        (pool?.pointee.leader ?? pool)?.pointee.statistics.waitingReads &+= 1
        self.reading.append(client)
        self.reading.wakeAt = self.now
    }

    /// Something was learned, or time has passed: those that can go on do, and what the others need is asked for.
    mutating func wakeReads() {
        self.reading.wakeAt = .max
        self.reading.neededSample = 0
        self.reading.needsReplay = false
        var ready: [ClientPointer] = []
        var next = self.reading.first
        while let client = next {
            next = client.pointee.next
            if self.place(client) { ready.append(client) }
        }
        for client in ready {
            self.reading.remove(client)
            client.pointee.phase = .idle
        }
        self.askServers()
        for client in ready where client.pointee.phase == .idle { self.serve(client) }
        self.handOutReturned()
    }

    private mutating func askServers() {
        if self.reading.neededSample >= self.reading.book.nextSample || self.isSampleDue { self.askLeader() }
        if self.reading.needsReplay {
            for node in self.topology.standbys where self.balancer.isEligible(node, at: self.moment) {
                guard let probe = self.probe(node), self.now &- probe.since >= Self.replayPause || !probe.wasAsked
                else { continue }
                self.ask(probe)
            }
        }
        if self.reading.first != nil {
            self.reading.wakeAt = min(self.reading.wakeAt, self.now + Self.replayPause)
        } else if self.reading.wantsSample {
            self.reading.wakeAt = min(self.reading.wakeAt, self.now + Self.samplePause)
        }
    }

    private var isSampleDue: Bool {
        self.reading.wantsSample && self.now &- self.reading.sampledAt >= Self.samplePause
    }

    private mutating func askLeader() {
        guard let leader = self.topology.leader else {
            self.reading.wantsSample = false
            return
        }
        guard let probe = self.probe(leader) else {
            // Whoever needs it will ask for it, or the probe says when it is ready.
            self.reading.wantsSample = false
            return
        }
        guard probe.isFree else { return }
        self.reading.wantsSample = false
        self.reading.sampledAt = self.now
        probe.sample = self.reading.book.ask()
        self.ask(probe)
    }

    // MARK: - Changes

    /// Every topology; a new term ends all that was known.
    mutating func topologyChangedForReads() {
        self.reading.epoch += 1
        let isNewTerm = self.reading.book.term != self.topology.term
        self.reading.book.begin(self.topology.term)
        for probe in self.reading.probes where isNewTerm || self.topology.node(probe.node) == nil {
            self.close(probe)
            self.reading.book.forget(probe.node)
        }
        if isNewTerm { self.reading.pausedUntil = [:] }
        if self.reading.first != nil { self.reading.wakeAt = self.now }
    }

    /// Part of every tick.
    mutating func checkReads() {
        for probe in self.reading.probes { self.check(probe) }
        for pool in self.pools.values where pool.pointee.key.target == .nobody { self.rerouteWaiting(pool) }
        guard self.limits.queryWait > 0 else { return }
        while let client = self.reading.first, self.now &- client.pointee.since > self.limits.queryWait {
            self.refuse(client, .tooManyConnections, "no standby has caught up in time (query_wait_timeout)")
        }
    }
}
