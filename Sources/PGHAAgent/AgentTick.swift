import Logging
import PGHAClient
import PGHACore
import ServiceLifecycle

/// What an agent does each second: fresh facts on the event streams, the heartbeat row on a primary, a look for a
/// postmaster that someone else started.
struct AgentTick: Service {
    let agent: Agent

    func run() async throws {
        await self.agent.begin()
        let clock = ContinuousClock()
        var next = clock.now
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            await self.agent.tick()
            // A late tick is not made up for.
            next = max(next + .seconds(1), clock.now)
            let wake = next
            try? await cancelWhenGracefulShutdown { try await clock.sleep(until: wake) }
        }
    }
}

extension Agent {
    func tick() async {
        await self.refreshCheapFacts(.heartbeat)
        if self.postmaster == nil, self.isIdle, DurableFile.exists(self.directory.postmasterPID) { await self.adopt() }
        await self.writeHeartbeat()
        if self.isIdle { await self.pruneDiverged() }
    }

    /// Removes saved WAL that is older than the cluster keeps it; a look each minute.
    private func pruneDiverged() async {
        let now = ContinuousClock.now
        guard let seconds = self.setup?.keepDivergedSeconds, now >= self.nextPrune else { return }
        self.nextPrune = now + .seconds(60)
        let limit = Self.clockMicroseconds() / 1_000_000 - seconds
        let places = DivergedPlaces(self.directory)
        let expired = await Offload.run { DivergedFiles.expired(places.names, before: limit) }
        for name in expired {
            do {
                _ = try await self.removeDiverged(name)
                self.logger.notice(
                    "removed what was kept of a diverged server for long enough",
                    metadata: ["directory": "\(name)", "kept_seconds": "\(seconds)"])
            } catch {
                self.logger.warning("saved WAL is not removed", metadata: ["directory": "\(name)", "why": "\(error)"])
            }
        }
    }

    /// `standby.signal` tells a standby without a query: PostgreSQL itself removes it when it promotes.
    private func writeHeartbeat() async {
        let facts = self.board.facts
        guard case .running = facts.postmaster, !facts.standbySignal, facts.activity == nil else { return }
        let term = self.pledges.pledge?.number.term.number ?? 0
        // Fails while the server starts, stops or has no room: the missing row says so.
        _ = try? await self.local.query(
            """
            INSERT INTO pgha.heartbeat AS old (node, term, beat, at) VALUES ($1, $2::bigint, 1, clock_timestamp())
            ON CONFLICT (node) DO UPDATE SET term = excluded.term, beat = old.beat + 1, at = excluded.at
            """, [self.node.text, "\(term)"], timeout: .milliseconds(900))
    }
}
