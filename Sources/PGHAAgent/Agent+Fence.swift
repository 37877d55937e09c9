import Logging
import PGHAClient
import PGHACore

extension Agent {
    /// Makes sure that no postmaster runs, and that none will below the pledge.
    ///
    /// The order is the point: pledge, then `standby.signal`, both durable, and only then is the server stopped.
    /// Whatever ends the agent in between, what is started next is a standby.
    func fence(_ request: FenceRequest) async throws -> AgentResult {
        let key = WorkKey(kind: .fence, claim: request.pledge.claim, detail: request.clean ? "clean" : "immediate")
        return try await self.perform(key, pledge: request.pledge) { agent in
            AgentResult(position: try await agent.carryOutFence(request))
        }
    }

    private func carryOutFence(_ request: FenceRequest) async throws -> WALPosition? {
        guard self.directory.hasData else { return nil }
        self.keepsRunning = false
        try await self.writeStandbySignal()
        await self.adopt()
        let drain = request.drainMilliseconds.map { Duration.milliseconds($0) } ?? .seconds(5)
        try await self.stop(request.clean ? Self.cleanStop(drain: drain) : Self.immediateStop)
        self.trace("stopped")
        try await self.isolate()
        do {
            return try await self.stoppedPosition()
        } catch {
            self.logger.warning("the end of WAL is not known", metadata: ["why": "\(error)"])
            return nil
        }
    }

    func writeStandbySignal() async throws {
        let path = self.directory.standbySignal
        try await Offload.run {
            // Written again even if it is there: whoever wrote it may not have made it durable.
            try DurableFile.write("", to: path)
        }
        self.trace("standby.signal")
        self.board.update(.changed) { $0.standbySignal = true }
    }

    /// Puts pledge and fence into the stopped server's settings and forgets its upstream.
    func isolate(data: String? = nil) async throws {
        try await self.changeAutoConf(data: data) { settings in
            settings["primary_conninfo"] = ""
            settings["restore_command"] = nil
        }
        self.trace("settings")
    }

    /// Edits `postgresql.auto.conf` offline. Pledge and fence are always part of it.
    func changeAutoConf(
        data: String? = nil, _ change: @escaping @Sendable (inout AutoConf) -> Void = { _ in }
    ) async throws {
        let path = (data ?? self.directory.data) + "/postgresql.auto.conf"
        let pledge = self.pledges.pledge
        try await Offload.run {
            var settings = AutoConf(try DurableFile.read(path) ?? "")
            settings["synchronous_standby_names"] = SyncList.fence.setting
            // Never lowered: the server may have been sealed over SQL since the agent last looked.
            let served = settings["pgha.term"].flatMap { Pledge($0) }
            if let pledge, served?.mayBecome(pledge) ?? true { settings["pgha.term"] = pledge.description }
            change(&settings)
            try DurableFile.write(settings.text, to: path)
        }
    }
}
