internal import PGHACore
internal import PGHAWire

/// Whether transactions may begin on the leader, as far as its restarts go.
///
/// A server that was restarted shows commits that it had not yet been allowed to acknowledge (DESIGN, "Commits that
/// lie"): whoever reads them may see them lost in a failover. So nobody is let in before its standbys have all that it
/// came up with. A restart ends every session: while one of them lives, there was none. Where none lives, the next
/// session commits something itself; when that is acknowledged, everything before it is on the standbys too.
struct Admission {
    var isOpen = true
    /// Until then the controller's word counts, which opens a term only once the cohort has its beginning. Nanoseconds
    /// of the loop's clock.
    var trustedUntil: UInt64 = 0
    /// The server does not let this be asked.
    var cannotBeAsked = false

    /// From a new topology to the first log-in.
    static var trust: UInt64 { 1_000_000_000 }
}

extension PoolerLoop {
    /// A new term was opened by its controller.
    mutating func trustTerm() {
        self.admission = Admission(trustedUntil: self.now + Admission.trust)
    }

    /// Whether another connection to the pool's server may be opened for clients; if not, one is opened that finds out.
    mutating func isAdmitted(_ pool: PoolPointer) -> Bool {
        guard self.needsProof(pool) else { return true }
        if self.admission.isOpen, self.now < self.admission.trustedUntil || self.hasWitness(besides: nil) {
            return true
        }
        self.closeAdmission()
        self.proveIfNeeded(pool)
        return false
    }

    private func needsProof(_ pool: PoolPointer) -> Bool {
        pool.pointee.key.target == .leader && !pool.pointee.key.isReplication && self.configuration.provesRestarts
    }

    /// A session that has been there since before is proof that nothing was restarted.
    private func hasWitness(besides excluded: ServerPointer?) -> Bool {
        self.anyLeaderSession { server in
            if server == excluded || server.pointee.flags.contains(.proves) { return false }
            return server.pointee.phase == .idle || server.pointee.phase == .busy || server.pointee.phase == .cleaning
        }
    }

    private func anyLeaderSession(_ isMeant: (ServerPointer) -> Bool) -> Bool {
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            guard server.pointee.phase != .free, server.pointee.pool.pointee.key.target == .leader,
                server.pointee.term == self.topology.term.number, isMeant(server)
            else { continue }
            return true
        }
        return false
    }

    /// A connection to the leader broke or could not be made.
    mutating func leaderBroke(_ server: ServerPointer) {
        guard server.pointee.pool.pointee.key.target == .leader, server.pointee.phase != .cancelling,
            server.pointee.term == self.topology.term.number, self.admission.isOpen, self.configuration.provesRestarts
        else { return }
        self.admission.trustedUntil = 0
        if !self.hasWitness(besides: server) { self.closeAdmission() }
    }

    private mutating func closeAdmission() {
        self.admission.isOpen = false
        for pool in self.pools.values { self.updateHold(pool) }
    }

    // MARK: - Proof

    /// One session at a time, for the first pool that has clients waiting.
    mutating func proveIfNeeded(_ pool: PoolPointer) {
        guard !self.admission.isOpen, self.needsProof(pool), self.topology.takesWrites,
            pool.pointee.waitingCount > 0, pool.pointee.serverCount < pool.pointee.limit,
            !self.console.pauses(pool.pointee.key.database.description), !self.isProving, self.hasRoom(for: pool)
        else { return }
        _ = self.openServer(pool)
    }

    private var isProving: Bool {
        self.anyLeaderSession { server in
            server.pointee.phase == .connecting || server.pointee.phase == .loggingIn
                || (server.pointee.phase == .cleaning && server.pointee.flags.contains(.proves))
        }
    }

    func mustProve(_ server: ServerPointer) -> Bool {
        !self.admission.isOpen && server.pointee.term == self.topology.term.number
            && self.needsProof(server.pointee.pool)
    }

    /// Commits a message that nobody reads. Whatever the role's settings say, it waits for the standbys.
    mutating func prove(_ server: ServerPointer) {
        server.pointee.phase = .cleaning
        server.pointee.since = self.now
        server.pointee.flags.insert(.proves)
        self.out.removeAll()
        self.inject(
            server,
            """
            BEGIN READ WRITE; SET LOCAL synchronous_commit = on; SET LOCAL statement_timeout = 0; \
            SET LOCAL client_min_messages = warning; \
            SELECT pg_catalog.pg_logical_emit_message(true, 'pgha', ''); COMMIT
            """)
        self.flush(to: server)
    }

    /// What the server says meanwhile.
    func noteProof(_ server: ServerPointer, _ message: MessageView) -> Bool {
        guard server.pointee.flags.contains(.proves) else { return false }
        if message.type == BackendMessage.noticeResponse { return LyingCommit.isReported(message.body) }
        // Not permitted, or no such function: waiting would not help.
        guard let state = ErrorView(message.body)?.state?.description else { return false }
        return state.hasPrefix("42")
    }

    mutating func proofEnded(_ server: ServerPointer) {
        server.pointee.flags.remove(.proves)
        let pool = server.pointee.pool
        let isProved = !server.pointee.flags.contains(.cleaningFailed) && server.pointee.session.isReleasable
        guard isProved || self.admission.cannotBeAsked else {
            self.dropServer(server)
            return self.connectFailed(pool)
        }
        self.admission.isOpen = true
        if isProved { self.giveBack(server) } else { self.dropServer(server) }
        // With no session left there would be no witness.
        self.admission.trustedUntil = isProved ? 0 : self.now + Admission.trust
        for pool in self.pools.values {
            self.updateHold(pool)
            self.release(pool)
        }
    }
}
