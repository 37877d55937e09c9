import CPGHASystem
import FoundationEssentials
import Glibc

/// One permission to start the server, written by the agent and used up by a gate.
struct StartTicket: Hashable, Sendable, Codable {
    /// Random: an answer is to this ticket and to no other.
    var number: UInt64
    /// The data directory, as both name it.
    var data: String
    /// What the agent was pledged to when it let a primary start; nil: a standby is to start.
    var pledge: String?
    /// Who wrote it: once that process has gone, whatever it let happen is as old as its end.
    var agent: ProcessMark
}

/// What a gate made of a ticket.
struct GateAnswer: Hashable, Sendable, Codable {
    var number: UInt64
    /// What was started; nil when it was refused.
    var process: ProcessMark?
    var refusal: String?
}

/// How agent and gate talk: by files in the agent's state directory.
///
/// Intuition: PostgreSQL runs in a container of its own, unmodified, whose command is `pgha agent gate -- COMMAND`. The
/// gate starts nothing of its own accord. Each start needs a ticket, which the agent alone writes, and only where it
/// would have started its own child: the directory is as it should be, `standby.signal` stands or the term is known.
///
/// Algorithm: the agent writes `ticket`. A gate takes the lock `starting`, renames the ticket to `taken` (of several
/// gates one wins), looks at the data itself, starts the command, writes `running`, and lets go of the lock. The agent
/// takes a ticket back by removing it. Where it is gone a start is under way, and who can have the lock knows its end.
///
/// Limits: both have the volume under the same path, the same user, and one process namespace.
struct GateFiles: Hashable, Sendable {
    /// `gate` in the state directory.
    let root: String

    private var ticket: String { self.root + "/ticket" }
    private var taken: String { self.root + "/taken" }
    private var running: String { self.root + "/running" }
    private var starting: String { self.root + "/starting" }
    /// Held by a gate as long as it runs.
    var lockFile: String { self.root + "/lock" }

    // MARK: - The agent's side. Everything blocks.

    func issue(_ ticket: StartTicket) throws {
        try DurableFile.makeDirectory(self.root)
        try DurableFile.write(Self.text(ticket), to: self.ticket)
    }

    /// True when no gate will start anything any more, for want of a ticket.
    func withdraw() -> Bool { unlink(self.ticket) == 0 }

    /// Waits until no start is under way: after it the answer stands, or there will be none. False when `limit` has
    /// passed first, as when a gate was frozen in the midst.
    func settle(within limit: Duration) -> Bool {
        guard DurableFile.exists(self.root) else { return true }
        let deadline = ContinuousClock.now + limit
        while true {
            if let lock = self.lockStart() {
                close(lock)
                return true
            }
            guard ContinuousClock.now < deadline else { return false }
            usleep(5_000)
        }
    }

    func answer(to number: UInt64) -> GateAnswer? { self.lastAnswer.flatMap { $0.number == number ? $0 : nil } }

    var lastAnswer: GateAnswer? {
        guard let text = try? DurableFile.read(self.running) else { return nil }
        return try? JSONDecoder().decode(GateAnswer.self, from: Data(text.utf8))
    }

    // MARK: - The gate's side. Everything blocks.

    /// Takes the ticket, if there is one, lets `start` look at it, and answers.
    func serve(_ start: (StartTicket) throws -> GateAnswer) throws -> GateAnswer? {
        guard DurableFile.exists(self.ticket), let lock = self.lockStart() else { return nil }
        defer { close(lock) }
        guard let ticket = try self.take() else { return nil }
        let answer: GateAnswer
        do {
            answer = try start(ticket)
        } catch {
            answer = GateAnswer(number: ticket.number, refusal: "\(error)")
        }
        do {
            try DurableFile.write(Self.text(answer), to: self.running)
        } catch {
            // Nobody would know of it.
            if let process = answer.process { kill(process.pid, SIGKILL) }
            throw error
        }
        return answer
    }

    private func take() throws -> StartTicket? {
        guard rename(self.ticket, self.taken) == 0 else {
            guard errno == ENOENT else { throw SystemError("rename \(self.ticket)") }
            return nil
        }
        guard let text = try DurableFile.read(self.taken) else { return nil }
        return try JSONDecoder().decode(StartTicket.self, from: Data(text.utf8))
    }

    /// Not inherited by what is started, so that it ends with the gate. Nil while somebody else has it.
    private func lockStart() -> Int32? {
        let descriptor = open(self.starting, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return nil }
        if pgha_lock_exclusively(descriptor) == 0 { return descriptor }
        close(descriptor)
        return nil
    }

    private static func text(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }
}
