import PGHAClient
import PGHACore

extension Agent {
    /// Starts the server as the leader of the recorded rule, in place and without promotion, behind the fence.
    func startLeader(_ request: StartLeaderRequest) async throws -> AgentResult {
        let key = WorkKey(kind: .startLeader, claim: request.pledge.claim)
        return try await self.perform(key, pledge: request.pledge) { agent in
            AgentResult(position: try await agent.runAsPrimary(request.pledge))
        }
    }

    /// Starts a stopped server as a standby without an upstream, so that it can be sealed and read over SQL.
    func startStandby(_ request: StartStandbyRequest) async throws -> AgentResult {
        let key = WorkKey(kind: .startStandby, claim: request.pledge.claim)
        return try await self.perform(key, pledge: request.pledge) { agent in
            try await agent.runIsolated()
            return AgentResult()
        }
    }

    private func runIsolated() async throws {
        await self.adopt()
        if self.postmaster != nil {
            guard try await self.local.primaryPosition() == nil else { throw Refusal.isPrimary }
            return
        }
        guard self.directory.hasData else { throw Refusal.noData(self.directory.root) }
        guard !DurableFile.exists(self.directory.rewindMark) else { throw Refusal.halfRewound(self.directory.data) }
        try await self.writeStandbySignal()
        try await self.endLeftovers()
        try await self.isolate()
        try await self.start(standby: true)
    }

    /// Until the server runs as a primary: answers at once when it does.
    func runAsPrimary(_ pledge: Pledge) async throws -> WALPosition {
        await self.adopt()
        if self.postmaster != nil {
            if let position = try await self.local.primaryPosition() { return position }
            // A standby has no way to become a primary without promotion but a restart.
            try await self.stop(Self.cleanStop(drain: .seconds(10)))
        }
        guard self.directory.hasData else { throw Refusal.noData(self.directory.root) }
        guard !DurableFile.exists(self.directory.rewindMark) else { throw Refusal.halfRewound(self.directory.data) }
        try await self.endLeftovers()
        try await self.isolate()
        try self.requireCurrent(pledge)
        let signal = self.directory.standbySignal
        try await Offload.run { try DurableFile.remove(signal) }
        self.trace("standby.signal removed")
        self.board.update(.changed) { $0.standbySignal = false }
        try self.requireCurrent(pledge)
        try await self.start(standby: false)
        guard let position = try await self.local.primaryPosition() else { throw Refusal.neverLeader }
        return position
    }
}
