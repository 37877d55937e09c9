import Glibc
import Logging
import PGHAClient
import PGHACore

extension Agent {
    /// How long a gate may take to notice a ticket: its container may be starting.
    private static let gatePatience = Duration.seconds(60)

    /// Lets the gate of PostgreSQL's container start the server, and watches the process that it started.
    func admitStart(_ gate: GateFiles) async throws {
        let isStandby = DurableFile.exists(self.directory.standbySignal)
        let pledge = isStandby ? nil : self.pledges.pledge?.description
        guard isStandby || pledge != nil, let agent = ProcessMark.of(getpid()) else { throw Refusal.termUnknown }
        let ticket = StartTicket(
            number: .random(in: 0 ... .max), data: self.directory.data, pledge: pledge, agent: agent)
        self.report("waiting for the gate")
        try await Offload.run { try gate.issue(ticket) }
        do {
            try self.use(try await self.answer(to: ticket, gate))
        } catch {
            await self.takeBack(ticket, gate)
            throw error
        }
    }

    private func answer(to ticket: StartTicket, _ gate: GateFiles) async throws -> GateAnswer {
        let deadline = ContinuousClock.now + Self.gatePatience
        while ContinuousClock.now < deadline {
            if let answer = await Offload.run({ gate.answer(to: ticket.number) }) { return answer }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Refusal.noGate
    }

    /// A ticket that is not wanted any more, and was taken meanwhile, means a server that somebody has to end. Where the
    /// gate does not get on with it, ``endStart()`` asks again before anything relies on it.
    private func takeBack(_ ticket: StartTicket, _ gate: GateFiles) async {
        let answer = await Offload.run {
            gate.withdraw() || !gate.settle(within: .seconds(10)) ? nil : gate.answer(to: ticket.number)
        }
        if let answer { try? self.use(answer) }
    }

    private func use(_ answer: GateAnswer) throws {
        guard let process = answer.process else { throw Refusal.gateRefused(answer.refusal ?? "no reason given") }
        if self.postmaster?.pid != process.pid { self.watch(process.pid) }
    }

    /// What an earlier agent left: a ticket that nobody may use any more, and a server that has not written its
    /// `postmaster.pid` yet.
    func settleGate() async {
        guard let gate = self.gate, self.postmaster == nil else { return }
        let process = await Offload.run {
            _ = gate.withdraw()
            _ = gate.settle(within: .seconds(10))
            return gate.lastAnswer?.process.flatMap { $0.isAlive ? $0 : nil }
        }
        if let process, self.postmaster == nil { self.watch(process.pid) }
    }

    /// No start is under way and none will come of an earlier ticket: what rewinds, copies or reads the data may begin.
    ///
    /// - Returns: A server that the gate started and that is not watched: to be ended.
    func endStart() async throws -> pid_t? {
        guard let gate = self.gate else { return nil }
        let (isSettled, process) = await Offload.run {
            _ = gate.withdraw()
            return (gate.settle(within: .seconds(5)), gate.lastAnswer?.process)
        }
        guard isSettled else { throw Refusal.stopFailed() }
        return await Offload.run { process.flatMap { $0.isAlive ? $0.pid : nil } }
    }
}

extension Refusal {
    static let noGate = AgentFailure(
        code: "no_gate", message: "Nobody used the permission to start PostgreSQL",
        hint:
            "Its container must run 'pgha agent gate --dir DIR -- COMMAND' on the same volume. Without it this node is "
            + "only watched.")

    static let termUnknown = AgentFailure(
        code: "term_unknown", message: "This node is pledged to no term: no primary is started",
        hint: "The controller says which server leads; see 'pgha status'.")

    static func gateRefused(_ why: String) -> AgentFailure {
        AgentFailure(
            code: "gate_refused", message: "The gate did not start PostgreSQL: \(why)", hint: "See the gate's log.")
    }
}
