import Glibc
import PGHAClient
import PGHACore

extension Agent {
    /// The facts with what is cheap to ask read anew.
    func currentFacts() async -> AgentFacts {
        await self.refreshCheapFacts(.changed)
        return self.board.facts
    }

    /// Disk, clock, `standby.signal` and what is kept of a diverged server: a few system calls.
    func refreshCheapFacts(_ kind: AgentEvent.Kind) async {
        let directory = self.directory
        // Work that saves WAL names its relations afterwards.
        let isIdle = self.isIdle
        let (dataFree, walFree, signal, kept) = await Offload.run {
            (
                DurableFile.freeBytes(directory.volume), DurableFile.freeBytes(directory.data + "/pg_wal"),
                DurableFile.exists(directory.standbySignal),
                isIdle ? DivergedPlaces(directory).names.map(\.description) : nil
            )
        }
        self.board.update(kind) { facts in
            facts.dataFreeBytes = dataFree
            facts.walFreeBytes = walFree ?? dataFree
            facts.standbySignal = signal
            facts.clockMicroseconds = Self.clockMicroseconds()
            if let kept { facts.diverged = kept.isEmpty ? nil : kept }
        }
    }

    /// The above, and the control data; called after what may have changed that.
    func refreshFacts() async {
        let hasData = self.directory.hasData
        let control = hasData ? try? await self.controlData() : nil
        let isDown = self.postmaster == nil
        self.board.update(.changed) { facts in
            facts.systemIdentifier = control?.systemIdentifier
            facts.controlTimeline = control?.timeline
            facts.controlState = control?.state
            guard isDown else { return }
            switch facts.postmaster {
            case .absent where hasData: facts.postmaster = .stopped(exitStatus: nil)
            case .stopped where !hasData: facts.postmaster = .absent
            case .absent, .stopped, .running: break
            }
        }
        await self.refreshCheapFacts(.changed)
    }

    func controlData(of data: String? = nil) async throws -> ControlData {
        let output = try await Program.run(
            self.programs.path("pg_controldata"), ["-D", data ?? self.directory.data])
        guard output.status == 0, let control = ControlData(output.standardOutput) else {
            throw WALReadError.controlDataUnreadable(output.complaint)
        }
        return control
    }

    static func clockMicroseconds() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1000
    }
}
