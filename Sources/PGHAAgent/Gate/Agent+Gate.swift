import Glibc
import Logging
import PGHAClient

extension Agent {
    /// How long a gate may take to notice a ticket: its container may be starting.
    private static let gatePatience = Duration.seconds(60)

    /// Lets the gate of PostgreSQL's container start the server, and watches the process that it started.
    func admitStart(_ gate: GateFiles) async throws {
        let ticket = StartTicket(
            number: .random(in: 0 ... .max), data: self.directory.data,
            standby: DurableFile.exists(self.directory.standbySignal))
        try await Offload.run { try gate.issue(ticket) }
        do {
            try await self.use(try await self.answer(to: ticket, gate))
        } catch {
            // Not wanted any more. A ticket that was taken meanwhile means a server that somebody has to end.
            if await !Offload.run({ gate.withdraw() }),
                let answer = await Offload.run({ gate.answer(to: ticket.number, within: .seconds(10)) })
            {
                try? await self.use(answer)
            }
            throw error
        }
    }

    private func answer(to ticket: StartTicket, _ gate: GateFiles) async throws -> GateAnswer {
        let deadline = ContinuousClock.now + Self.gatePatience
        self.report("waiting for the gate")
        while ContinuousClock.now < deadline {
            if let answer = await Offload.run({ gate.answer(to: ticket.number) }) { return answer }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Refusal.noGate
    }

    private func use(_ answer: GateAnswer) async throws {
        guard let pid = answer.pid else { throw Refusal.gateRefused(answer.refusal ?? "no reason given") }
        guard answer.processNamespace == GateFiles.processNamespace() else { throw Refusal.otherProcessNamespace }
        if self.postmaster?.pid != pid { self.watch(pid) }
    }

    /// What an earlier agent left: a ticket that nobody may use any more, and a server that has not written its
    /// `postmaster.pid` yet.
    func settleGate() async {
        guard let gate = self.gate else { return }
        let last = await Offload.run {
            _ = gate.withdraw()
            return gate.lastAnswer
        }
        guard let last, let pid = last.pid, let start = last.startSeconds, self.postmaster == nil,
            await Offload.run({ ProcessTable.startSeconds(pid) }) == start
        else { return }
        try? await self.use(last)
    }
}

extension Refusal {
    static let noGate = AgentFailure(
        code: "no_gate", message: "Nobody used the permission to start PostgreSQL",
        hint:
            "Its container must run 'pgha agent gate --dir DIR -- COMMAND' on the same volume. Without it this node is "
            + "only watched.")

    static func gateRefused(_ why: String) -> AgentFailure {
        AgentFailure(
            code: "gate_refused", message: "The gate did not start PostgreSQL: \(why)", hint: "See the gate's log.")
    }

    static let otherProcessNamespace = AgentFailure(
        code: "other_process_namespace", message: "PostgreSQL's processes are not to be seen from here",
        hint: "Let both containers share one process namespace (shareProcessNamespace, or 'pid:' in a compose file).")
}
