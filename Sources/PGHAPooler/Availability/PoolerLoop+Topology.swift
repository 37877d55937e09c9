internal import PGHACore
internal import PGHAWire

// What changes in the cluster.
extension PoolerLoop {
    /// A new view of the cluster. Connections of an older term are closed before anything else is looked at, and
    /// nothing is written to them.
    mutating func apply(_ topology: PoolTopology) {
        guard topology.replaces(self.topology) else { return }
        let isNews =
            topology.term != self.topology.term || topology.leader?.port != self.topology.leader?.port
            || topology.leader?.host != self.topology.leader?.host
        let wasChanging = self.topology.claim != nil
        let isNewTerm = topology.term != self.topology.term
        self.topology = topology
        self.topologyChangedForReads()
        if isNewTerm {
            self.trustTerm()
            self.socketRefusals = []
        }
        if topology.claim == nil { self.drainedClaim = nil }
        for pool in self.pools.values { self.updateHold(pool) }
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            guard server.pointee.phase != .free, self.isOutdated(server) else { continue }
            self.serverBroke(server)
        }
        for pool in self.pools.values {
            if isNews {
                pool.pointee.nextAttempt = 0
                pool.pointee.failures = 0
            }
            self.release(pool)
            if self.node(of: pool) == nil, pool.pointee.key.target != .leader { self.rerouteWaiting(pool) }
            self.openServersIfNeeded(pool)
        }
        self.prepareSuccessor()
        if !self.openCommits.isEmpty { self.resolveCommits() }
        if wasChanging || topology.claim != nil { self.arrangePinned() }
    }

    /// Opened for an older term. A standby's connections stay as long as it is one of the topology's standbys.
    func isOutdated(_ server: ServerPointer) -> Bool {
        switch server.pointee.pool.pointee.key.target {
        case .leader:
            self.topology.outdates(Term(server.pointee.term), to: self.nodeNames[Int(server.pointee.node)])
        case .standby(let name): self.topology.node(name) == nil
        case .nobody: true
        }
    }

    mutating func nodeNumber(_ name: NodeName) -> UInt32 {
        if let known = self.nodeNames.firstIndex(of: name) { return UInt32(known) }
        self.nodeNames.append(name)
        return UInt32(self.nodeNames.count - 1)
    }

    /// No transaction begins on the leader while there is none, or while it is about to be replaced.
    mutating func updateHold(_ pool: PoolPointer) {
        let isPaused = self.console.pauses(pool.pointee.key.database.description)
        guard case .leader = pool.pointee.key.target else {
            pool.pointee.isHeld = isPaused
            return
        }
        let isAdmitted = self.admission.isOpen || pool.pointee.key.isReplication
        pool.pointee.isHeld = isPaused || !self.topology.takesWrites || !isAdmitted
    }

    /// Hands out what lay idle while transactions were held.
    mutating func release(_ pool: PoolPointer) {
        guard !pool.pointee.isHeld else { return }
        self.openServersIfNeeded(pool)
        while pool.pointee.waitingCount > 0, let server = pool.pointee.popIdle() {
            self.giveBack(server)
            self.handOutReturned()
        }
    }

    // MARK: - Draining

    /// Says once for each claim that no transaction is left on the leader that is to be replaced.
    mutating func reportIfDrained() {
        guard let claim = self.topology.claim, self.drainedClaim != claim else { return }
        for index in 0..<self.servers.highWater {
            let server = self.servers[index]
            guard server.pointee.phase == .busy || server.pointee.phase == .cleaning,
                server.pointee.pool.pointee.key.target == .leader, !server.pointee.session.isReleasable,
                !server.pointee.flags.contains(.proves)
            else { continue }
            return
        }
        self.drainedClaim = claim
        self.drains.letGo(claim)
        self.leaveOldLeader()
        self.prepareSuccessor()
    }

    // MARK: - Waiting

    /// Clients of a held pool wait in good faith, but not for ever and not without being told.
    mutating func checkHeld(_ pool: PoolPointer) {
        guard pool.pointee.isHeld else { return }
        var ahead = 0
        var next = pool.pointee.firstWaiting
        while let client = next {
            next = client.pointee.next
            let waited = Duration.nanoseconds(Int64(self.now &- client.pointee.since))
            let verdict = self.configuration.hold.verdict(
                waited: waited, ahead: ahead, wasTold: client.pointee.wasTold || client.pointee.logIn != nil)
            ahead += 1
            switch verdict {
            case .wait: break
            case .explain: self.explainWait(client)
            case .refuse:
                ahead -= 1
                self.refuseHeld(client)
            }
        }
    }

    mutating func explainWait(_ client: ClientPointer) {
        client.pointee.wasTold = true
        var buffer = WireBuffer()
        buffer.noticeResponse(
            WireError(.notice, .successfulCompletion, "waiting: \(self.holdReason(client))"))
        self.out.removeAll()
        self.append(buffer)
        _ = self.flush(to: client)
    }

    private func holdReason(_ client: ClientPointer) -> String {
        if let database = client.pointee.pool?.pointee.key.database, self.console.pauses(database.description) {
            return "PAUSE was ordered; the transaction begins after RESUME"
        }
        if self.topology.leader == nil { return "no primary is known; the transaction begins when there is one" }
        if self.topology.claim != nil { return "the primary is being replaced; the transaction begins on the new one" }
        return
            "the primary was restarted or is not there; the transaction begins when its standbys have all that it has"
    }

    /// 25006 makes drivers look for another host; 57P03 makes them come back.
    private mutating func refuseHeld(_ client: ClientPointer) {
        if self.topology.leader == nil { return self.refuse(client, .readOnlyTransaction, "there is no primary") }
        self.refuse(client, .cannotConnectNow, "waited too long: \(self.holdReason(client))")
    }
}
