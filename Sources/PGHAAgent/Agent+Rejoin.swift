import Glibc
import Logging
import PGHAClient
import PGHACore
import PGHAPostgres

extension Agent {
    /// Makes the server a standby of `leader`, by the cheapest way that is safe; see ``RejoinPlan``.
    func rejoin(_ request: RejoinRequest) async throws -> AgentResult {
        let key = WorkKey(
            kind: .rejoin, claim: request.pledge.claim,
            detail: "\(request.leader.name) \(request.replicationName) \(request.mode.rawValue)")
        return try await self.perform(key, pledge: request.pledge) { agent in
            try await agent.becomeStandby(request)
        }
    }

    private func becomeStandby(_ request: RejoinRequest) async throws -> AgentResult {
        try await self.adoptSetup(request.server)
        _ = try self.managedFiles()
        await self.adopt()
        if try await self.isAlreadyFollowing(request) { return AgentResult(method: "unchanged") }
        try await self.checkCluster(request)
        let control = try await self.bringToRest(request.pledge)
        let (plan, local) = try await self.plan(request, control: control)
        self.logger.info("rejoin planned", metadata: ["plan": "\(plan)"])
        guard request.mode != .startOnly || plan == .follow else { throw Refusal.rebuildNeeded(plan) }
        var result = AgentResult()
        switch plan {
        case .follow:
            result.method = "follow"
        case .refuse(let foreign):
            let leader = try await self.readLeader(request.leader)
            throw Refusal.foreignCluster(foreign, leader: leader.systemIdentifier)
        case .rewind(let fork):
            guard let local, let control else { throw Refusal.noData(self.directory.root) }
            result = try await self.rewindOrClone(request, from: fork, local: local, control: control)
        case .clone(let reason, let fork):
            if let fork, let local, let control {
                result.saved = try await self.saveDiverged(
                    from: fork, local: local, segmentSize: control.segmentSize, for: request)
            }
            try await self.clone(request, reason: reason)
            result.method = "clone"
        }
        try await self.startFollowing(request)
        return result
    }

    /// Another cluster's server is not even stopped. Nothing is changed either while the leader cannot be read.
    private func checkCluster(_ request: RejoinRequest) async throws {
        guard self.directory.hasData else { return }
        self.report("looking at \(request.leader.name)")
        let leader = try await self.readLeader(request.leader)
        guard let control = try? await self.controlData() else { return }
        guard control.systemIdentifier == leader.systemIdentifier else {
            throw Refusal.foreignCluster(control.systemIdentifier, leader: leader.systemIdentifier)
        }
    }

    /// Whether the server runs as a standby of that leader under that name, and streams. A server that was told so
    /// but does not stream yet gets three seconds: a repeated request must not restart it.
    private func isAlreadyFollowing(_ request: RejoinRequest) async throws -> Bool {
        guard self.postmaster != nil else { return false }
        let wanted = UpstreamIdentity(leader: request.leader, name: request.replicationName)
        let deadline = ContinuousClock.now + .seconds(3)
        while self.postmaster != nil {
            let rows = try? await self.local.query(
                """
                SELECT pg_is_in_recovery() AS in_recovery, current_setting('primary_conninfo') AS upstream,
                    (SELECT status FROM pg_stat_wal_receiver) AS receiver
                """)
            guard let row = rows?.first, try row.bool("in_recovery"),
                UpstreamIdentity(conninfo: try row.string("upstream")) == wanted
            else { return false }
            if try row.stringIfPresent("receiver") == "streaming" {
                try await self.updateRunningStandby()
                return true
            }
            guard ContinuousClock.now < deadline else { return false }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }

    private func updateRunningStandby() async throws {
        try await self.writeManagedFiles()
        // Before PostgreSQL 17 ALTER SYSTEM knows a setting of ours only once the session has set it.
        if let pledge = self.pledges.pledge {
            let value = quoteLiteral(pledge.description)
            _ = try await self.local.query("SET pgha.term = \(value)")
            _ = try await self.local.query("ALTER SYSTEM SET pgha.term = \(value)")
        }
        _ = try await self.local.query(
            "ALTER SYSTEM SET synchronous_standby_names = \(quoteLiteral(SyncList.fence.setting))")
        _ = try await self.local.query("SELECT pg_reload_conf()")
        await self.removeOldData()
    }

    /// No server runs, `standby.signal` stands, nothing is followed. Nil without a data directory that can be read.
    private func bringToRest(_ pledge: Pledge) async throws -> ControlData? {
        guard self.directory.hasData else { return nil }
        self.keepsRunning = false
        try await self.writeStandbySignal()
        try await self.stop(Self.cleanStop(drain: .seconds(5)))
        // Until it was stopped the server could be sealed over SQL for a later claim: then its position was read,
        // and its data must stay as it is.
        await self.learnServersPledge()
        try self.requireCurrent(pledge)
        try await self.isolate()
        return try? await self.controlData()
    }

    private func plan(
        _ request: RejoinRequest, control: ControlData?
    ) async throws -> (RejoinPlan, RejoinLocal?) {
        self.report("comparing with \(request.leader.name)")
        var local: RejoinLocal?
        if let control {
            if let position = try? await self.stoppedPosition() {
                local = RejoinLocal(systemIdentifier: control.systemIdentifier, position: position)
            }
        }
        let leader = try await self.readLeader(request.leader)
        // Another cluster's data is refused even where its WAL cannot be read.
        if let control, control.systemIdentifier != leader.systemIdentifier {
            return (.refuse(foreign: control.systemIdentifier), nil)
        }
        if self.directory.hasData, local == nil { return (.clone(.unreadable, savingFrom: nil), nil) }
        let plan = RejoinPlan(local: local, leader: leader)
        guard let local, let control else { return (plan, nil) }
        if DurableFile.exists(self.directory.rewindMark) { return (.clone(.rewindFailed, savingFrom: nil), local) }
        if plan == .follow {
            let there = try await self.leaderHasWAL(
                request.leader, after: local.position, history: leader.position.history,
                segmentSize: control.segmentSize)
            if !there { return (.clone(.walRemoved, savingFrom: nil), local) }
        }
        return (plan, local)
    }

    private func rewindOrClone(
        _ request: RejoinRequest, from fork: LSN, local: RejoinLocal, control: ControlData
    ) async throws -> AgentResult {
        let saved = try await self.saveDiverged(
            from: fork, local: local, segmentSize: control.segmentSize, for: request)
        do {
            try await self.rewind(request, control: control)
            return AgentResult(method: "rewind", saved: saved)
        } catch {
            try Task.checkCancellation()
            self.logger.warning("rewind failed, copying anew", metadata: ["why": "\(Refusal.other(error))"])
            try await self.clone(request, reason: .rewindFailed)
            return AgentResult(method: "clone", saved: saved)
        }
    }

    private func rewind(_ request: RejoinRequest, control: ControlData) async throws {
        if !control.isCleanlyShutDown { try await self.recoverInPlace() }
        let leader = try await self.readLeader(request.leader)
        try await self.checkpointLeader(request.leader, timeline: leader.position.history.timeline)
        self.report("rewind")
        try await self.write("\(request.pledge)\n", to: self.directory.rewindMark)
        let board = self.board
        let output = try await Program.run(
            self.programs.path("pg_rewind"),
            [
                "--target-pgdata=\(self.directory.data)", "--no-ensure-shutdown", "--progress",
                "--source-server=\(self.toolConnection(request.leader, database: "postgres"))",
            ], passfile: self.directory.passfile,
            progress: { line in if line.contains("%") { board.update(.activity) { $0.activity = "rewind: \(line)" } } })
        // The signal and our settings went with the source's copy of the directory: put back before all else.
        try await self.writeStandbySignal()
        try await self.isolate()
        guard output.status == 0 else {
            throw Refusal.programFailed("pg_rewind", status: output.status, output.complaint)
        }
        guard !(output.standardError + output.standardOutput).contains("no rewind required") else {
            throw Refusal.programFailed("pg_rewind", status: 0, "it found nothing to do, although the WAL has forked")
        }
        try await self.writeManagedFiles()
        let mark = self.directory.rewindMark
        try await Offload.run { try DurableFile.remove(mark) }
    }

    /// Crash recovery, which pg_rewind wants done. Its own way, a single-user server, refuses a directory with
    /// `standby.signal`, and that stays: so a standby of nobody is started and stopped.
    private func recoverInPlace() async throws {
        self.report("crash recovery")
        try await self.writeManagedFiles()
        try await self.start(standby: true, hot: false)
        self.keepsRunning = false
        try await self.stop(Self.cleanStop(drain: .seconds(30)))
        guard try await self.controlData().isCleanlyShutDown else {
            throw Refusal.startFailed("recovery did not end in a clean shutdown", log: "")
        }
    }

    private func startFollowing(_ request: RejoinRequest) async throws {
        self.report("start")
        try await self.ensureSlot(request.leader)
        try await self.writeStandbySignal()
        try await self.writeManagedFiles()
        let upstream = self.upstreamConnection(request.leader, name: request.replicationName)
        let slot = self.node.slotName
        try await self.changeAutoConf { settings in
            settings["primary_conninfo"] = upstream
            settings["primary_slot_name"] = slot
            settings["restore_command"] = nil
        }
        try Task.checkCancellation()
        try await self.start(standby: true)
        await self.removeOldDataWhenStreaming()
    }
}
